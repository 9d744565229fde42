"""``python -m sensei_lite`` is the same as ``sensei-lite``."""

from sensei_lite.cli import main

main()
