"""Pokemon Red from the user's own cartridge."""
