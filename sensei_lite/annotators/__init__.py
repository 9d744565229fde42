"""Who says which of two pictures is more interesting, and how they are asked. Notebook 05."""
