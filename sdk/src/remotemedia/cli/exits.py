"""Exit codes, and errors as people read them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import typer
from rich.console import Console
from rich.text import Text

from remotemedia.errors import (
    ConnectionLost,
    ManifestError,
    MediaFileError,
    NodeError,
    NotInThisVersion,
    ParameterError,
    RemoteMediaError,
    RuntimeMissing,
    ServerRefused,
    ServerUnreachable,
)

OK = 0
FAILED = 1
USAGE = 2
INVALID = 3
UNREADABLE = 4
UNREACHABLE = 5
REFUSED = 6
LOST = 7
NO_RUNTIME = 8
NODE_FAILED = 9
SOME_FAILED = 10
INTERRUPTED = 130

EXIT_CODES = {
    OK: "done",
    FAILED: "failed in a way that is not in this list",
    USAGE: "wrong use of the command, or a command of a later version",
    INVALID: "a pipeline, its manifest or the configuration is not valid",
    UNREADABLE: "an audio file cannot be read, or a microphone not be used",
    UNREACHABLE: "the server does not answer",
    REFUSED: "the server refused",
    LOST: "the connection broke, or the server ended the session with an error",
    NO_RUNTIME: "the native runtime is missing",
    NODE_FAILED: "a node failed for good",
    SOME_FAILED: "some of several inputs failed; the others are done",
    INTERRUPTED: "interrupted by Ctrl-C",
}
"""What the exit codes mean."""


class WrongUse(ParameterError):  # noqa: N818 - what happened
    """The command line itself is wrong."""


class SomeFailed(RemoteMediaError):  # noqa: N818 - what happened
    """Some of several inputs failed; each was told of."""

    code = ""


_BY_ERROR: tuple[tuple[type[RemoteMediaError], int], ...] = (
    (NotInThisVersion, USAGE),
    (WrongUse, USAGE),
    (ManifestError, INVALID),
    (MediaFileError, UNREADABLE),
    (ServerUnreachable, UNREACHABLE),
    (ServerRefused, REFUSED),
    (ConnectionLost, LOST),
    (RuntimeMissing, NO_RUNTIME),
    (NodeError, NODE_FAILED),
    (SomeFailed, SOME_FAILED),
)

errors = Console(stderr=True)
"""Where errors and progress go, so that standard output has the results alone."""


@contextlib.contextmanager
def as_exit_code() -> Iterator[None]:
    """Turn errors into words on standard error and an exit code."""
    try:
        yield
    except RemoteMediaError as error:
        show(error)
        raise typer.Exit(exit_code(error)) from error
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read us has gone, as `head` does. What is still buffered must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILED) from None


def exit_code(error: RemoteMediaError) -> int:
    """Give the exit code of an error."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), FAILED)


def show(error: RemoteMediaError) -> None:
    """Print an error: what is wrong, where, and what to do."""
    if isinstance(error, ManifestError) and len(error.problems) > 1:
        source = f"{error.source}: " if error.source else ""
        print_error(f"{source}{len(error.problems)} problems:", error.code)
        for problem in error.problems:
            errors.print(Text(f"  {problem}"), soft_wrap=True)
        return
    print_error(str(error), error.code)


def print_error(text: str, code: str | None = None) -> None:
    """Print one error."""
    line = Text("error: ", style="bold red")
    line.append(text, style="not bold default")
    if code:
        line.append(f" [{code}]", style="dim not bold default")
    errors.print(line, soft_wrap=True)
