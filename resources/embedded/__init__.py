"""The services that need no account: everything on this machine."""
