"""Build the online book, check it, and make what its live pages show."""
