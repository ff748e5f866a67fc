"""Databricks, one file a role that it plays."""

# What the extra of this name installs; a profile without it is refused when definitions load.
SDK = ("boto3", "dagster_databricks", "databricks.sdk", "pyspark")
