"""What only the course needs: checks of exercises, widgets, trained agents, editions of the notebooks."""
