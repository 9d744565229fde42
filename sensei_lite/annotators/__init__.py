"""Who says which of two images is more interesting, which pairs to ask about, and where the answers are kept."""
