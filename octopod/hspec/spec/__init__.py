"""Reads and checks service specs and profiles.

`model.py` is the table of all fields; checking, the JSON Schemas and the reference are made from it.
"""

from .choosing import choose_profiles
from .documenting import reference
from .loading import load
from .schema import json_schema, profile_schema

__all__ = ["choose_profiles", "json_schema", "load", "profile_schema", "reference"]
