"""The command `remotemedia`."""


def main() -> None:
    """Run the command line."""
    # Processes that run files import this package too, and need none of it.
    from remotemedia.cli.app import app

    app()
