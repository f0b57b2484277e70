"""The process's entry."""


def main() -> None:
    """Run the command line."""
    raise SystemExit(2)
