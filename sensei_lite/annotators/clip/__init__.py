"""CLIP as an annotator, and the two small CLIPs that come with the package."""
