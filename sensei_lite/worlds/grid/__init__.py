"""Grid worlds with keys, doors and chests, as pure functions."""
