"""Reads and checks service specs and profiles.

`model.py` is the table of all fields; checking, the JSON Schemas and the reference are made from it.
"""

from .choosing import choose_profiles
from .loading import load

__all__ = ["choose_profiles", "load"]
