"""What people look at: figures, films and the report of a run."""
