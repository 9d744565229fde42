"""What makes the book, outside the package: benchmarks, the teaching of the small CLIPs, and the site."""
