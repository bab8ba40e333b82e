"""What `remotemedia run` shows: lines, a bar for each input, what became of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from remotemedia.cli import exits
from remotemedia.cli.work import At, Done, Failed, Job, Lines

if TYPE_CHECKING:
    from typing_extensions import Self

    from remotemedia.cli.work import Report, Telling
    from remotemedia.running.metrics import Metrics


class Display:
    """Shows what is told of jobs.

    Attributes:
        failed: how many failed.
    """

    def __init__(self, output: Console, telling: Telling, count: int) -> None:
        """Show so many jobs on a console."""
        self.failed = 0
        self._output = output
        self._telling = telling
        self._many = count > 1
        # On a terminal lines and bars share a console, so that the bars stay below the lines.
        console = output if output.is_terminal else exits.errors
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=(telling.as_json and output.is_terminal) or not console.is_terminal,
        )
        self._overall = self._progress.add_task(
            "all inputs", total=count, speed="", visible=self._many
        )
        self._began = time.perf_counter()
        self._bars: dict[int, tuple[TaskID, float]] = {}
        self._under_way: dict[int, At] = {}
        self._ended = 0
        self._heard = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, job: Job, report: Report) -> None:
        """Show what is told of a job. A failed one of several is told of at once."""
        if isinstance(report, Lines):
            self._print(job, report)
        elif isinstance(report, At):
            self._move(job, report)
        elif isinstance(report, Done):
            self._remove(job, report.seconds)
            self._finished(job, report)
        elif isinstance(report, Failed):
            self._remove(job, 0.0)
            self.failed += 1
            named = report.text.startswith(job.name)
            exits.print_error(report.text if named else f"{job.name}: {report.text}", report.code)
            if report.traceback is not None:
                exits.errors.print(Text(report.traceback, style="dim"), soft_wrap=True)

    def _print(self, job: Job, report: Lines) -> None:
        prefix = Text(f"{job.name}  " if self._many else "", style="magenta")
        for line in report.lines:
            if isinstance(line, str):
                self._output.file.write(line + "\n")
            else:
                self._output.print(prefix + line, soft_wrap=True)
        self._output.file.flush()

    def _move(self, job: Job, report: At) -> None:
        now = time.perf_counter()
        if id(job) not in self._bars:
            task = self._progress.add_task(job.name, total=report.total, speed="")
            self._bars[id(job)] = (task, now)
        task, began = self._bars[id(job)]
        self._under_way[id(job)] = report
        position = report.position
        self._progress.update(task, completed=position, speed=_speed(position, now - began))
        self._move_overall()

    def _remove(self, job: Job, seconds: float) -> None:
        bar = self._bars.pop(id(job), None)
        if bar is not None:
            self._progress.remove_task(bar[0])
        self._under_way.pop(id(job), None)
        self._heard += seconds
        self._ended += 1
        self._move_overall()

    def _move_overall(self) -> None:
        going = self._under_way.values()
        heard = self._heard + sum(each.position for each in going)
        self._progress.update(
            self._overall,
            completed=self._ended + sum(each.share for each in going),
            speed=_speed(heard, time.perf_counter() - self._began),
        )

    def _finished(self, job: Job, done: Done) -> None:
        if not self._telling.as_json:
            summary = done.summary
            parts = [str(summary)] if summary.segments or summary.errors else []
            if done.seconds and done.took:
                speed = done.seconds / done.took
                parts.append(
                    f"{done.seconds:.1f} s of audio in {done.took:.2f} s, "
                    f"{speed:,.0f} times real time"
                )
            parts += [str(path) for path in job.outputs]
            text = Text(f"{job.name}: " if self._many else "") + Text("; ".join(parts) or "done")
            self._output.print(text, soft_wrap=True)
        if done.metrics is not None:
            console = exits.errors if self._telling.as_json else self._output
            console.print(metrics_table(done.metrics, job.name))


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


def _speed(position: float, passed: float) -> str:
    return f"{position / passed:,.0f}x real time" if passed > 0 and position > 0 else ""
