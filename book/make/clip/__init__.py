"""How the two small CLIPs were taught and measured."""
