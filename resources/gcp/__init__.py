"""Google Cloud, one file a role that it plays."""
