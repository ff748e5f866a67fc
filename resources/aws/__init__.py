"""Amazon Web Services, one file a role that it plays."""
