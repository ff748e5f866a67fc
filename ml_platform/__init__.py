"""The language of the platform: component types, roles, records, engine and jobs."""

__version__ = "0.1.0"
