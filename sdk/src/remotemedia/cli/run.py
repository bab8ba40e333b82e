"""`remotemedia run`: files through a pipeline, results to files or the terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from logging import LogRecord
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from remotemedia.cli import exits
from remotemedia.cli.parallel import run_all
from remotemedia.cli.progress import Display
from remotemedia.cli.work import EVENTS_SUFFIX, Failed, Job, Telling, work
from remotemedia.errors import RemoteMediaError
from remotemedia.files import AUDIO_FORMATS, is_audio
from remotemedia.nodes.endpoints import AudioSource
from remotemedia.nodes.files import FileWriterNode
from remotemedia.running import runs

if TYPE_CHECKING:
    from remotemedia.cli.work import Report
    from remotemedia.pipeline import Pipeline


@dataclass(frozen=True)
class RunOptions:
    """What the command was told.

    Attributes:
        jobs: how many inputs are worked on at once; 0 is one a core.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    jobs: int = 0
    as_json: bool = False
    metrics: bool = False


def run(pipeline: Pipeline, named: str, options: RunOptions, output: Console) -> None:
    """Run everything; a file that fails does not stop the others.

    Several at once are each in a process of their own: decoding, and nodes in Python, would hold
    threads up; and one that is killed takes no other with it.

    Args:
        pipeline: what to run.
        named: how the command line names it.
        options: on what, and how.
        output: where results are shown.

    Raises:
        RemoteMediaError: the only file failed, or something is wrong with all of them.
        exits.SomeFailed: some of several files failed; each was told of.
    """
    jobs = jobs_of(pipeline, options)
    many = len(jobs) > 1
    telling = Telling(
        as_json=options.as_json,
        quiet=bool(options.outputs),
        named=many,
        metrics=options.metrics,
    )
    count = min(options.jobs or cores(), len(jobs))
    with Display(output, telling, len(jobs)) as display:
        if count > 1:
            run_all(named, jobs, count, telling, display.show)
        else:
            for job in jobs:
                _run_here(pipeline, job, telling, display, many=many)
    if display.failed:
        raise exits.SomeFailed(f"{display.failed} of {len(jobs)} inputs failed.")


def _run_here(
    pipeline: Pipeline, job: Job, telling: Telling, display: Display, *, many: bool
) -> None:
    def tell(report: Report | LogRecord) -> None:
        if not isinstance(report, LogRecord):
            display.show(job, report)

    try:
        work(pipeline, job, telling, tell)
    except RemoteMediaError as error:
        if not many:
            raise
        tell(Failed(str(error), error.code))


def cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def jobs_of(pipeline: Pipeline, options: RunOptions) -> list[Job]:
    """Find out what is to be run, and where its results go.

    Raises:
        exits.WrongUse: an input is missing, or outputs would meet.
    """
    plan = pipeline.plan()
    sources = {
        source.id: source.format for source in plan.resolved.sources if source.id not in plan.files
    }
    if options.inputs and not sources:
        raise exits.WrongUse(
            f"nothing can be given to {plan.name}: its nodes name the files that they read.",
            hint="Leave the inputs out.",
        )
    named = [each.partition("=") for each in options.inputs]
    if len(sources) > 1 and named and all(name in sources for name, _, _ in named):
        data = {name: _data(value, sources[name].type) for name, _, value in named}
        return [Job(", ".join(options.inputs), data, _single(options.outputs))]
    if not options.inputs:
        if not all(isinstance(plan.nodes.get(name), AudioSource) for name in sources):
            raise exits.WrongUse(
                "nothing was given to run on.",
                hint="Name the files: remotemedia run PIPELINE talk.mp3",
            )
        return [Job(pipeline.name, runs.NOTHING, _single(options.outputs))]
    kind = next((each.type for each in sources.values()), "audio")
    if len(options.inputs) == 1 and not any(_is_pattern(each) for each in options.outputs):
        (given,) = options.inputs
        outputs = _single(options.outputs)
        _check_apart([Path(given)], outputs)
        return [Job(Path(given).name, _data(given, kind), outputs)]
    for name, entry in plan.python.items():
        if isinstance(entry.node, FileWriterNode):
            raise exits.WrongUse(
                f'"{name}" would write the results of all inputs to {entry.node.path}.',
                hint="Leave it out, and say -o 'out/{stem}.flac'.",
            )
    jobs = [
        Job(str(data), data, tuple(_place(each, given) for each in options.outputs))
        for given, data in ((each, _data(each, kind)) for each in options.inputs)
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
        raise exits.WrongUse(
            f"the results of several inputs cannot all go to {output}.",
            field="-o",
            hint="Name a folder, or a pattern such as out/{stem}.flac.",
        )
    _check_kind(path)
    return path


def _check_kind(path: Path) -> None:
    if path.suffix.lower() != EVENTS_SUFFIX and not is_audio(path):
        raise exits.WrongUse(
            f"{path} is no kind of file that can be written.",
            field="-o",
            hint=f"Events go to {EVENTS_SUFFIX}, audio to {', '.join(AUDIO_FORMATS)}.",
        )


def _check_apart(inputs: Iterable[Path], outputs: Sequence[Path]) -> None:
    seen = {path.absolute() for path in inputs}
    for path in outputs:
        if path.absolute() in seen:
            raise exits.WrongUse(f"{path} would be written twice, or over an input.", field="-o")
        seen.add(path.absolute())
