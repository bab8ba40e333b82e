"""The command `remotemedia`."""

from remotemedia.cli.app import main

__all__ = ["main"]
