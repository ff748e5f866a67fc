"""Slack, which people are told on."""

# What the extra of this name installs; a profile without it is refused when definitions load.
SDK = ("dagster_slack", "slack_sdk")
