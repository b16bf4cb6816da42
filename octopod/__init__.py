"""Octopod: a self-service portal for staging environments."""

__version__ = "2.0.0"
