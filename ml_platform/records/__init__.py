"""What travels between components, engine and services: frozen, without behaviour."""
