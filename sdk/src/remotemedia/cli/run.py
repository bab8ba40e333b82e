"""`remotemedia run`: files through a pipeline, results to files or the terminal."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from remotemedia.cli import exits
from remotemedia.cli.show import Summary, describe
from remotemedia.errors import MediaFileError, ParameterError, RemoteMediaError
from remotemedia.files import AUDIO_FORMATS, AudioWriter, is_audio
from remotemedia.running import runs
from remotemedia.running.driver import Execution, Options
from remotemedia.running.events import text_of, typed
from remotemedia.running.inputs import seconds_of
from remotemedia.running.working import Cancelled

if TYPE_CHECKING:
    from remotemedia.pipeline import Pipeline
    from remotemedia.running.backend import RunOutput
    from remotemedia.running.metrics import Metrics

EVENTS_SUFFIX = ".jsonl"
"""Files of this kind get the events, one a line; the others the audio."""
TICK_SECONDS = 0.1
"""How often the bars move."""


@dataclass(frozen=True)
class RunOptions:
    """What the command was told."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    jobs: int = 1
    as_json: bool = False
    metrics: bool = False


@dataclass
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
    summary: Summary = field(default_factory=Summary)
    seconds: float = 0.0
    took: float = 0.0
    execution: list[Execution] = field(default_factory=list)


def run(pipeline: Pipeline, options: RunOptions, output: Console) -> None:
    """Run everything; a file that fails does not stop the others.

    Raises:
        RemoteMediaError: the only file failed, or something is wrong with all of them.
        exits.SomeFailed: some of several files failed; each was told of.
    """
    jobs = jobs_of(pipeline, options)
    many = len(jobs) > 1
    failed: list[RemoteMediaError] = []
    lock = threading.Lock()
    with _progress(output, hidden=options.as_json and output.is_terminal) as progress:
        printer = _Printer(options, output, lock, many=many)
        overall = progress.add_task("all", total=None, speed="", visible=False)
        bars = _Bars(progress, overall, len(jobs) if many else 0)
        pool = ThreadPoolExecutor(min(options.jobs or os.cpu_count() or 1, len(jobs)))
        waiting: dict[Future[None], Job] = {}
        try:
            for job in jobs:
                waiting[pool.submit(_work, pipeline, job, options, printer)] = job
            while waiting:
                done, _ = wait(waiting, TICK_SECONDS, FIRST_COMPLETED)
                bars.show(waiting.values())
                for future in done:
                    job = waiting.pop(future)
                    bars.done(job)
                    error = future.exception()
                    if error is None:
                        printer.finished(job)
                    elif isinstance(error, RemoteMediaError):
                        failed.append(error)
                        if many:
                            with lock:
                                exits.print_error(f"{job.name}: {error}", error.code)
                    else:
                        raise error
        finally:
            for future, job in waiting.items():
                future.cancel()
                for execution in job.execution:
                    execution.cancel()
            pool.shutdown(cancel_futures=True)
    if failed and not many:
        raise failed[0]
    if failed:
        raise exits.SomeFailed(f"{len(failed)} of {len(jobs)} inputs failed.")


def jobs_of(pipeline: Pipeline, options: RunOptions) -> list[Job]:
    """Find out what is to be run, and where its results go.

    Raises:
        ParameterError: an input is missing, or outputs would meet.
    """
    sources = {source.id: source.format for source in pipeline.plan().resolved.sources}
    named = [each.partition("=") for each in options.inputs]
    if len(sources) > 1 and named and all(name in sources for name, _, _ in named):
        data = {name: _data(value, sources[name].type) for name, _, value in named}
        return [Job(", ".join(options.inputs), data, _single(options.outputs))]
    if not options.inputs:
        return [Job(pipeline.name, runs.NOTHING, _single(options.outputs))]
    kind = next((each.type for each in sources.values()), "audio")
    if len(options.inputs) == 1 and not any(_is_pattern(each) for each in options.outputs):
        (given,) = options.inputs
        outputs = _single(options.outputs)
        _check_apart([Path(given)], outputs)
        return [Job(Path(given).name, _data(given, kind), outputs)]
    jobs = [
        Job(given, _data(given, kind), tuple(_place(each, given) for each in options.outputs))
        for given in options.inputs
    ]
    _check_apart(map(Path, options.inputs), [path for job in jobs for path in job.outputs])
    return jobs


def _data(given: str, kind: str) -> object:
    if kind == "audio" or Path(given).exists():
        return Path(given)
    try:
        value: object = json.loads(given)
    except ValueError:
        return given
    return value


def _is_pattern(output: str) -> bool:
    return "{stem}" in output or output.endswith(("/", os.sep)) or Path(output).is_dir()


def _single(outputs: Sequence[str]) -> tuple[Path, ...]:
    for each in outputs:
        _check_kind(Path(each))
    return tuple(map(Path, outputs))


def _place(output: str, given: str) -> Path:
    stem = Path(given).stem
    if "{stem}" in output:
        path = Path(output.replace("{stem}", stem))
    elif _is_pattern(output):
        path = Path(output) / f"{stem}{EVENTS_SUFFIX}"
    else:
        raise ParameterError(
            f"the results of several inputs cannot all go to {output}.",
            field="-o",
            hint="Name a folder, or a pattern such as out/{stem}.flac.",
        )
    _check_kind(path)
    return path


def _check_kind(path: Path) -> None:
    if path.suffix.lower() != EVENTS_SUFFIX and not is_audio(path):
        raise ParameterError(
            f"{path} is no kind of file that can be written.",
            field="-o",
            hint=f"Events go to {EVENTS_SUFFIX}, audio to {', '.join(AUDIO_FORMATS)}.",
        )


def _check_apart(inputs: Iterator[Path] | Sequence[Path], outputs: Sequence[Path]) -> None:
    seen = {path.absolute() for path in inputs}
    for path in outputs:
        if path.absolute() in seen:
            raise ParameterError(f"{path} would be written twice, or over an input.", field="-o")
        seen.add(path.absolute())


def _work(pipeline: Pipeline, job: Job, options: RunOptions, printer: _Printer) -> None:
    began = time.perf_counter()
    told = Options(metrics=options.metrics)
    execution = runs.prepare(pipeline, job.data, told, job.execution)
    outcome = runs.outcome_for(execution.plan)
    main = runs.main_audio(execution.plan)
    try:
        with ExitStack() as stack:
            events = [
                stack.enter_context(_lines(path))
                for path in job.outputs
                if path.suffix.lower() == EVENTS_SUFFIX
            ]
            audio = _Audio([path for path in job.outputs if is_audio(path)], stack)
            for batch in execution.outputs():
                for output in batch:
                    if output.kind == "audio":
                        if outcome.key(output.node, output.port) == main:
                            audio.write(output)
                        continue
                    text = text_of(output)
                    if text is not None:
                        for file in events:
                            file.write(text + "\n")
                    printer.show(job, output, text)
            audio.check()
    except Cancelled:
        return
    job.seconds, job.took = execution.position, time.perf_counter() - began
    if execution.metrics is not None:
        printer.metrics(job, execution.metrics)


@contextmanager
def _lines(path: Path) -> Iterator[IO[str]]:
    """Open a text file that stays only where everything went well."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise MediaFileError(f"{path} cannot be written: {error.strerror or error}.") from error
    try:
        with file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


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


class _Printer:
    """Shows what came out, from any thread."""

    def __init__(
        self, options: RunOptions, output: Console, lock: threading.Lock, *, many: bool
    ) -> None:
        self._json = options.as_json
        self._quiet = bool(options.outputs) and not options.as_json
        self._many = many
        self._output = output
        self._lock = lock

    def show(self, job: Job, output: RunOutput, text: str | None) -> None:
        """Show one output."""
        if self._json:
            if text is not None:
                if self._many:
                    text = json.dumps({"file": job.name, **(output.message or {})})
                with self._lock:
                    self._output.file.write(text + "\n")
                    self._output.file.flush()
            return
        event = typed(output, text)
        job.summary.add(event)
        line = None if self._quiet else describe(event)
        if line is not None:
            with self._lock:
                prefix = Text(f"{job.name}  " if self._many else "", style="magenta")
                self._output.print(prefix + line, soft_wrap=True)

    def finished(self, job: Job) -> None:
        """Show what became of an input."""
        if self._json:
            return
        parts = [str(job.summary)] if job.summary.segments or job.summary.errors else []
        if job.seconds and job.took:
            speed = job.seconds / job.took
            parts.append(
                f"{job.seconds:.1f} s of audio in {job.took:.2f} s, {speed:,.0f} times real time"
            )
        parts += [str(path) for path in job.outputs]
        text = Text(f"{job.name}: " if self._many else "") + Text("; ".join(parts) or "done")
        with self._lock:
            self._output.print(text, soft_wrap=True)

    def metrics(self, job: Job, metrics: Metrics) -> None:
        """Show what a run took, on standard error where standard output has JSON."""
        with self._lock:
            console = exits.errors if self._json else self._output
            console.print(metrics_table(metrics, job.name))


def metrics_table(metrics: Metrics, name: str) -> Table:
    """Show what a run took."""
    table = Table(
        "node",
        "runs",
        *("frames", "failed", "total ms", "p50 us", "p95 us", "p99 us"),
        title=f"{name}: {metrics['total_duration_us'] / 1e3:.1f} ms, "
        f"{metrics['peak_memory_bytes'] / 2**20:.1f} MiB more at the peak, "
        f"{metrics['metrics_overhead_us'] / 1e3:.2f} ms for measuring",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for column in table.columns[2:]:
        column.justify = "right"
    for node in metrics["node_metrics"].values():
        table.add_row(
            Text(node["node_id"]),
            "in Python instead" if node["fallbacks"] else node["runtime"],
            str(node["success_count"] + node["error_count"]),
            str(node["error_count"]),
            f"{node['execution_time_us'] / 1e3:.1f}",
            *(f"{value:.1f}" for value in (node["p50_us"], node["p95_us"], node["p99_us"])),
        )
    return table


class _Bars:
    """A bar for each file that is under way, and one for all of several."""

    def __init__(self, progress: Progress, overall: TaskID, total: int) -> None:
        self._progress = progress
        self._overall = overall
        self._began = time.perf_counter()
        self._bars: dict[int, tuple[TaskID, float]] = {}
        self._heard = 0.0
        if total:
            progress.update(overall, total=total, description="all inputs", visible=True)

    def show(self, jobs: Collection[Job]) -> None:
        """Move the bars."""
        under_way = 0.0
        for job in list(jobs):
            if not job.execution:
                continue
            execution = job.execution[0]
            position, now = execution.position, time.perf_counter()
            if id(job) not in self._bars:
                total = seconds_of(list(execution.inputs.values()))
                task = self._progress.add_task(job.name, total=total, speed="")
                self._bars[id(job)] = (task, now)
            task, began = self._bars[id(job)]
            under_way += position
            self._progress.update(task, completed=position, speed=_speed(position, now - began))
        passed = time.perf_counter() - self._began
        self._progress.update(self._overall, speed=_speed(self._heard + under_way, passed))

    def done(self, job: Job) -> None:
        """Take a bar away."""
        bar = self._bars.pop(id(job), None)
        if bar is not None:
            self._progress.remove_task(bar[0])
        self._heard += job.seconds
        self._progress.advance(self._overall)


def _speed(position: float, passed: float) -> str:
    return f"{position / passed:,.0f}x real time" if passed > 0 and position > 0 else ""


def _progress(output: Console, *, hidden: bool) -> Progress:
    # On a terminal lines and bars share a console, so that the bars stay below the lines.
    console = output if output.is_terminal else exits.errors
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=hidden or not console.is_terminal,
    )
