"""`remotemedia call`: a file, a microphone or data to a pipeline, its results to the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from remotemedia.cli import exits
from remotemedia.cli.hearing import Hearers, check_output
from remotemedia.cli.inputs import Given, check, read_input
from remotemedia.cli.show import Summary, describe
from remotemedia.client.audio import AudioFile
from remotemedia.client.events import Bye, Event
from remotemedia.client.session import Session, connect
from remotemedia.client.signaling import Target, ask_what_it_takes
from remotemedia.client.track import RATE
from remotemedia.devices import Microphone
from remotemedia.errors import ConnectionLost, RemoteMediaError
from remotemedia.formats import AudioFormat
from remotemedia.running.events import AudioEvent
from remotemedia.running.inputs import Value

__all__ = ["CallOptions", "Printer", "Summary", "call", "describe"]


MICROPHONE = "mic"
"""What stands for the microphone where a file could stand."""


@dataclass(frozen=True)
class CallOptions:
    """What the command was told.

    Attributes:
        url: the pipeline's.
        audio: files or `MICROPHONE`, which is sent until Ctrl-C: a track each.
        as_json: print messages as they are.
        fast: send faster than real time.
        join: a session to enter.
        verify_tls: whether the server's certificate must be trusted.
        output: where audio that comes back is written; in a call by microphone it is played, too.
        inputs: data that is sent first: JSON, else text.
    """

    url: str
    audio: tuple[Path | str, ...] = ()
    as_json: bool = False
    fast: bool = False
    join: str | None = None
    verify_tls: bool = True
    output: Path | None = None
    inputs: tuple[str, ...] = ()


async def call(options: CallOptions, output: Console) -> None:
    """Send data, then the files or what is heard, and print what comes back.

    Raises:
        WrongUse: there is nothing to send, or the pipeline takes nothing of the kind.
        RemoteMediaError: it failed; see `remotemedia.client.connect`.
    """
    check_output(options.output, fast=options.fast)
    takes = await ask_what_it_takes(Target.parse(options.url), verify_tls=options.verify_tls)
    audio, data = bool(options.audio), bool(options.inputs)
    check(takes, audio=audio, data=data, joins=options.join is not None)
    inputs = [read_input(text, takes) for text in options.inputs]
    source = _All([_source(each) for each in options.audio])
    with _progress(output, hidden=options.as_json) as progress:
        task = progress.add_task("connecting", total=source.seconds)
        async with connect(
            options.url,
            join=options.join,
            fast=options.fast,
            listen_only=not options.audio,
            tracks=len(options.audio) or 1,
            verify_tls=options.verify_tls,
        ) as session:
            progress.update(task, description=source.doing)
            printer = Printer(options.as_json, output, session)
            heard = Hearers(options.output, session.audio_format, play=MICROPHONE in options.audio)
            sender = asyncio.create_task(
                _send(session, inputs, source, lambda sent: progress.update(task, completed=sent))
            )
            try:
                async for event in session:
                    if isinstance(event, AudioEvent):
                        heard.hear(event)
                    else:
                        printer.show(event)
                # The end of the events is no success if the file is not through.
                await sender
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
                await asyncio.to_thread(heard.close)
                printer.summary.heard_ms = heard.seconds * 1000
    printer.finish()


async def _send(
    session: Session, inputs: Sequence[Given], source: _All, told: Callable[[float], None]
) -> None:
    try:
        for given in inputs:
            await session.input(given.data, given.node)
        await source.send(session, told)
        await session.finish()
    except RemoteMediaError:
        await session.close()  # else the events would go on
        raise


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


class _Source(Protocol):
    """What is sent as a track."""

    @property
    def doing(self) -> str: ...
    @property
    def seconds(self) -> float | None: ...

    async def send(self, session: Session, track: int, told: Callable[[float], None]) -> None: ...


def _source(audio: Path | str) -> _Source:
    return _Heard() if isinstance(audio, str) else _File(audio)


class _All:
    """All tracks at once; perhaps there is none."""

    def __init__(self, sources: Sequence[_Source]) -> None:
        """Say of the longest how long it is, where all say."""
        self._sources = sources
        self.doing = sources[0].doing if sources else "waiting"
        known = [each.seconds for each in sources if each.seconds is not None]
        self.seconds = max(known) if known and len(known) == len(sources) else None

    async def send(self, session: Session, told: Callable[[float], None]) -> None:
        """Send them to their ends."""
        furthest = 0.0

        def tell(sent: float) -> None:
            nonlocal furthest
            furthest = max(furthest, sent)
            told(furthest)

        tracks = [each.send(session, number, tell) for number, each in enumerate(self._sources)]
        await asyncio.gather(*tracks)


class _File:
    doing = "sending"

    def __init__(self, path: Path) -> None:
        """Open the file once before anything is sent, so that a wrong name costs nothing."""
        self._path = path
        file = AudioFile(path)
        self.seconds = file.seconds
        file.close()

    async def send(self, session: Session, track: int, told: Callable[[float], None]) -> None:
        """Send it to its end."""
        await session.send_file(self._path, lambda sent, _: told(sent), track=track)


class _Heard:
    doing = "listening"
    seconds = None

    def __init__(self) -> None:
        self._microphone = Microphone(None, AudioFormat(RATE))

    async def send(self, session: Session, track: int, told: Callable[[float], None]) -> None:
        """Send what is heard, until Ctrl-C: that ends the sending, and what is left comes back."""
        loop = asyncio.get_running_loop()
        microphone = self._microphone
        sent = 0
        # Only the main thread has signals, and on Windows no loop has them.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(signal.SIGINT, microphone.close)
        try:
            pieces = microphone.pieces(None)
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                if not isinstance(piece, Value) and piece.size:
                    await session.send((piece, microphone.format.rate), track=track)
                    sent += int(piece.shape[-1])
                    told(sent / microphone.format.rate)
        finally:
            microphone.close()
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.remove_signal_handler(signal.SIGINT)


def _progress(output: Console, *, hidden: bool) -> Progress:
    # On a terminal lines and bar share a console, so that the bar stays below the lines.
    console = output if output.is_terminal else exits.errors
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.1f}"),
        _Length("s"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=hidden or not console.is_terminal,
    )


class _Length(TextColumn):
    """``of 9.5 s``, where the length is known."""

    def render(self, task: Task) -> Text:
        known = "" if task.total is None else f"of {task.total:.1f} "
        return Text(f"{known}{self.text_format}")
