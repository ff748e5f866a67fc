"""The programs that any service runs: one contract, whoever runs it."""
