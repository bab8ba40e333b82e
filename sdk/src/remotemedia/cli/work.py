"""One input through a pipeline, and what is told of it on the way.

The same in this process and in one of several; see `remotemedia.cli.parallel`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from remotemedia.cli.show import Summary, describe
from remotemedia.errors import MediaFileError
from remotemedia.files import AudioWriter, is_audio
from remotemedia.running import runs
from remotemedia.running.driver import Execution, Options
from remotemedia.running.events import text_of, typed
from remotemedia.running.inputs import seconds_of

if TYPE_CHECKING:
    from logging import LogRecord

    from rich.text import Text
    from typing_extensions import Self

    from remotemedia.pipeline import Pipeline
    from remotemedia.running.backend import RunOutput
    from remotemedia.running.metrics import Metrics

EVENTS_SUFFIX = ".jsonl"
"""Files of this kind get the events, one a line; the others the audio."""
TICK_SECONDS = 0.1
"""How often it is told how far a run is."""


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        name: what people call it: the input's name.
        data: what `Pipeline.run` is given.
        outputs: files that it writes.
    """

    name: str
    data: object
    outputs: tuple[Path, ...]

    def discard(self) -> None:
        """Take away what it wrote."""
        for path in self.outputs:
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Telling:
    """What shall be told of a run.

    Attributes:
        as_json: messages as they are, for programs; else lines for people.
        quiet: no lines for people.
        named: messages say of which input they are.
        metrics: what each node took.
    """

    as_json: bool = False
    quiet: bool = False
    named: bool = False
    metrics: bool = False


@dataclass(frozen=True)
class Writing:
    """From now on its files are being written."""


@dataclass(frozen=True)
class At:
    """How far a run is, in seconds of media."""

    position: float
    total: float | None

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1; 0 where nobody knows how long it is."""
        return min(self.position / self.total, 1.0) if self.total else 0.0


@dataclass(frozen=True)
class Lines:
    """Lines to print: text for programs, styled text for people."""

    lines: Sequence[str | Text]


@dataclass(frozen=True)
class Done:
    """A run has ended well.

    Attributes:
        seconds: of media.
        took: seconds that passed.
    """

    summary: Summary
    seconds: float
    took: float
    metrics: Metrics | None


@dataclass(frozen=True)
class Failed:
    """A run has failed.

    Attributes:
        text: why.
        code: of the error.
        traceback: where, if that is a fault of ours.
    """

    text: str
    code: str | None = None
    traceback: str | None = None


Report = Writing | At | Lines | Done | Failed
Tell = Callable[["Report | LogRecord"], None]


def work(pipeline: Pipeline, job: Job, telling: Telling, tell: Tell) -> None:
    """Run a pipeline over one input.

    Args:
        pipeline: what to run.
        job: the input, and where results go.
        telling: what shall be told.
        tell: is told, also by a thread that says how far it is.

    Raises:
        RemoteMediaError: it failed; files that it began are gone.
    """
    began = time.perf_counter()
    listening = job.data is runs.NOTHING
    execution = runs.prepare(pipeline, job.data, Options(metrics=telling.metrics, eager=listening))
    outcome = runs.outcome_for(execution.plan)
    main = runs.main_audio(execution.plan)
    summary = Summary()
    tell(Writing())
    with ExitStack() as stack:
        events = [
            stack.enter_context(_Events(path))
            for path in job.outputs
            if path.suffix.lower() == EVENTS_SUFFIX
        ]
        audio = _Audio([path for path in job.outputs if is_audio(path)], stack)
        stack.enter_context(_ticking(execution, tell))
        for batch in stack.enter_context(closing(execution.outputs())):
            lines: list[str | Text] = []
            for output in batch:
                if output.kind == "audio":
                    if outcome.key(output.node, output.port) == main:
                        audio.write(output)
                    continue
                text = text_of(output)
                if text is not None:
                    for file in events:
                        file.write(text)
                line = _line(job, output, text, telling, summary)
                if line is not None:
                    lines.append(line)
            if lines:
                tell(Lines(lines))
        audio.check()
    took = time.perf_counter() - began
    tell(Done(summary, execution.position, took, execution.metrics))


def _line(
    job: Job, output: RunOutput, text: str | None, telling: Telling, summary: Summary
) -> str | Text | None:
    if telling.as_json:
        if text is None or not telling.named:
            return text
        return json.dumps({"file": job.name, **(output.message or {})})
    event = typed(output, text)
    summary.add(event)
    return None if telling.quiet else describe(event)


@contextmanager
def _ticking(execution: Execution, tell: Tell) -> Iterator[None]:
    """Tell from time to time how far a run is."""
    total = seconds_of(list(execution.inputs.values()))
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(TICK_SECONDS):
            tell(At(execution.position, total))

    thread = threading.Thread(target=tick, name="remotemedia-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Tell what keeps a file from being written."""
    try:
        yield
    except OSError as error:
        raise MediaFileError(f"{path} cannot be written: {error.strerror or error}.") from error


class _Events:
    """A file of events, which stays only where everything went well."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8")

    def write(self, text: str) -> None:
        """Write an event."""
        with _writing(self._path):
            self._file.write(text + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                with _writing(self._path):
                    self._file.close()
            except MediaFileError:
                self._path.unlink(missing_ok=True)
                raise
        else:
            with suppress(OSError):
                self._file.close()
            self._path.unlink(missing_ok=True)


class _Audio:
    """The audio files of one run, made when the first audio comes."""

    def __init__(self, paths: Sequence[Path], stack: ExitStack) -> None:
        self._paths = paths
        self._stack = stack
        self._writers: list[AudioWriter] = []

    def write(self, output: RunOutput) -> None:
        samples = output.samples
        if samples is None or not self._paths:
            return
        if not self._writers:
            channels = 1 if samples.ndim == 1 else samples.shape[0]
            for path in self._paths:
                with _writing(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                writer = AudioWriter(path, output.rate or 0, channels)
                self._writers.append(self._stack.enter_context(writer))
        for writer in self._writers:
            writer.write(samples)

    def check(self) -> None:
        """See that there was audio where audio is wanted."""
        if self._paths and not self._writers:
            raise MediaFileError(
                f"{self._paths[0]} was not written: the pipeline gave no audio.",
                hint=f"Its events go to a {EVENTS_SUFFIX} file.",
            )
