"""``sensei-lite`` and ``python -m sensei_lite`` begin here."""

from sensei_lite.training.machine import restart_with_large_pages


def main() -> None:
    """Run the command line."""
    restart_with_large_pages()
    from sensei_lite.cli import main as run

    run()


if __name__ == "__main__":
    main()
