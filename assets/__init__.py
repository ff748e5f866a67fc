"""What the flights team makes: one folder a thing, named as its asset key."""
