"""The fire drill: faults that are injected into a scratch platform, and the guard that has to fire for each."""
