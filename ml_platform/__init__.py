"""The language of the platform: component types, roles, records, engine and jobs."""
