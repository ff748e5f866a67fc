"""The language of the platform: component types, roles, records, engine and jobs; and the door to what they made."""

from ml_platform.connection import connect

__version__ = "0.1.0"
__all__ = ["connect"]
