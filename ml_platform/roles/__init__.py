"""What a service must be able to do: one small Protocol a file."""
