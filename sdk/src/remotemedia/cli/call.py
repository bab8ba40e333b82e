"""`remotemedia call`: a file to a pipeline, its results to the terminal."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from remotemedia.cli import exits
from remotemedia.cli.show import Summary, describe
from remotemedia.client.audio import AudioFile
from remotemedia.client.events import Bye, Event
from remotemedia.client.session import Session, connect
from remotemedia.errors import ConnectionLost

__all__ = ["CallOptions", "Printer", "Summary", "call", "describe"]


@dataclass(frozen=True)
class CallOptions:
    """What the command was told."""

    url: str
    file: Path
    as_json: bool = False
    fast: bool = False
    join: str | None = None
    verify_tls: bool = True


async def call(options: CallOptions, output: Console) -> None:
    """Send the file and print what comes back.

    Raises:
        RemoteMediaError: it failed; see `remotemedia.client.connect`.
    """
    length = _probe(options.file)
    with _progress(output, hidden=options.as_json) as progress:
        task = progress.add_task("connecting", total=length)
        async with connect(
            options.url, join=options.join, fast=options.fast, verify_tls=options.verify_tls
        ) as session:
            progress.update(task, description="sending")
            printer = Printer(options.as_json, output, session)
            sender = asyncio.create_task(_send(session, options.file, progress, task))
            try:
                async for event in session:
                    printer.show(event)
                # The end of the events is no success if the file is not through.
                await sender
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
    printer.finish()


class Printer:
    """Shows events: as JSON lines, or the ones that people care for."""

    def __init__(self, as_json: bool, output: Console, session: Session) -> None:
        """Print to `output`."""
        self.summary = Summary()
        self._json = as_json
        self._output = output
        self._session = session

    def show(self, event: Event) -> None:
        """Show one event.

        Raises:
            ConnectionLost: it is a goodbye with an error.
        """
        self.summary.add(event)
        if self._json:
            self._output.file.write(event.text + "\n")
            self._output.file.flush()
        else:
            line = describe(event)
            if line is not None:
                self._output.print(self._whose(event) + line, soft_wrap=True)
        if isinstance(event, Bye) and event.code is not None:
            raise ConnectionLost(f"the server ended the session: {event.reason}", code=event.code)

    def finish(self) -> None:
        """Show the summary."""
        if not self._json:
            self._output.print(Text(str(self.summary)), soft_wrap=True)

    def _whose(self, event: Event) -> Text:
        other = event.participant and event.participant != self._session.participant
        return Text(f"{event.participant}  " if other else "", style="magenta")


async def _send(session: Session, file: Path, progress: Progress, task: TaskID) -> None:
    await session.send_file(file, lambda sent, _: progress.update(task, completed=sent))
    await session.finish()


def _probe(path: Path) -> float | None:
    """Open the file once before anything is sent, so that a wrong name costs nothing."""
    file = AudioFile(path)
    try:
        return file.seconds
    finally:
        file.close()


def _progress(output: Console, *, hidden: bool) -> Progress:
    # On a terminal lines and bar share a console, so that the bar stays below the lines.
    console = output if output.is_terminal else exits.errors
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.1f} of {task.total:.1f} s"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=hidden or not console.is_terminal,
    )
