"""Writes the JSON Schema of the server's configuration: `python -m remotemedia_signaling.schema`.

Prints it, or writes it to the path that is given.
"""

from __future__ import annotations

import sys
from pathlib import Path

from remotemedia_signaling.config import server_schema


def main(arguments: list[str]) -> None:
    """Run the command."""
    schema = server_schema()
    if arguments:
        Path(arguments[0]).write_text(schema, encoding="utf-8")
    else:
        sys.stdout.write(schema)


if __name__ == "__main__":
    main(sys.argv[1:])
