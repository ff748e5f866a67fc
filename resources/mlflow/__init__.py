"""What every registry that is MLflow shares."""
