"""The services that play the roles: one folder a vendor, one file a role."""
