"""The reader as annotator: a panel with two pictures in a notebook, and the command that opens such a notebook."""
