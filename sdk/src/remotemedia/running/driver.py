"""One run: pieces into a runtime, frames to Python nodes and back, outputs out."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING

from remotemedia.errors import NODE_FAILED, ManifestError, NodeError, RemoteMediaError
from remotemedia.running.inputs import Input, Value
from remotemedia.running.memory import Peak
from remotemedia.running.metrics import Metrics, measured
from remotemedia.running.working import Recipe, Workers

if TYPE_CHECKING:
    from remotemedia.base import Node
    from remotemedia.planning import Plan
    from remotemedia.running.backend import Fault, Run, RunOutput
    from remotemedia.running.choice import Choice

WORK_ITEMS = 256
"""Frames taken at once."""
BATCH_VALUES = 64
"""Values pushed before the results of the first are looked for."""


@dataclass(frozen=True)
class Options:
    """How a run goes.

    Attributes:
        metrics: measure.
        eager: look for results after each piece, however short, as a stream wants it.
        frame_ms: how long the frames are into which audio is cut.
    """

    metrics: bool = False
    eager: bool = False
    frame_ms: int = 20


class Execution:
    """A run of a plan. Iterate over `outputs` on one thread; `cancel` may come from any.

    What happens depends on the inputs alone: frames are handed to Python nodes in waves, everything
    that is there at once, and their results are taken in the order of the frames. A stream with
    generators takes what each yields as it comes: then only the results of each node keep their
    order.
    """

    def __init__(
        self, plan: Plan, choice: Choice, inputs: Mapping[str, Input], options: Options
    ) -> None:
        """Prepare a run; nothing is started."""
        self.plan = plan
        self.choice = choice
        self.position = 0.0
        self.inputs = inputs
        self._options = options
        recipes = recipes_of(plan)
        self._workers = Workers(
            plan.name,
            recipes,
            choice.backend,
            measure=options.metrics,
            flowing=options.eager and any(_yields(each.node) for each in recipes.values()),
        )
        self._metrics: Metrics | None = None

    @property
    def metrics(self) -> Metrics | None:
        """What was measured, once the run has ended."""
        return self._metrics

    def cancel(self) -> None:
        """End the run where it is. May be called from any thread."""
        self._workers.cancel()

    def outputs(self) -> Generator[Sequence[RunOutput], None, None]:
        """Run, and give what comes out.

        Raises:
            NodeError: a node cannot begin, or failed too often in a row.
            ParameterError: what is pushed is no audio.
            MediaFileError: a file cannot be read.
            Cancelled: `cancel` was called.
        """
        began = perf_counter_ns()
        peak = Peak() if self._options.metrics else None
        if peak is not None:
            peak.start()
        run: Run | None = None
        ended = False
        try:
            run = self._run()
            for due in self._push(run):
                if due:
                    yield from self._pump(run)
            run.end()
            yield from self._pump(run)
            ended = True
        except self.choice.backend.RuntimeFault as fault:
            raise self._error(fault) from self._cause(fault)
        finally:
            if not ended:
                self._workers.cancel()
                if run is not None:
                    run.interrupt()
            self._workers.close()
            for each in self.inputs.values():
                each.close()
            if peak is not None and run is not None:
                self._metrics = measured(
                    self.plan, self.choice, run.metrics(), self._workers.metrics, began, peak
                )

    def _run(self) -> Run:
        resolved = self.plan.resolved.to_json()
        make = self.choice.backend.Run
        return make(resolved, metrics=self._options.metrics, frame_ms=self._options.frame_ms)

    def _push(self, run: Run) -> Iterator[bool]:
        """Push piece by piece, the sources in turn; True is the time to look for results."""
        formats = {source.id: source.format for source in self.plan.resolved.sources}
        going = {name: each.pieces(formats[name].audio) for name, each in self.inputs.items()}
        waiting = 0.0
        while going:
            for name in list(going):
                piece = next(going[name], None)
                if piece is None:
                    del going[name]
                    if going:
                        run.end(name)
                elif isinstance(piece, Value):
                    run.push_data(name, piece.value)
                    waiting += 1.0 / BATCH_VALUES
                else:
                    audio = formats[name].audio
                    seconds = piece.shape[-1] / audio.rate if audio is not None else 0.0
                    self.position += seconds / len(self.inputs)
                    waiting += seconds
                    run.push_audio(name, piece)
            due = self._options.eager or waiting >= 1.0 - 1e-9
            waiting = 0.0 if due else waiting
            yield due

    def _pump(self, run: Run) -> Iterator[Sequence[RunOutput]]:
        """Work until nothing is left to do without further input."""
        while True:
            self._workers.check()
            items = list(itertools.chain.from_iterable(iter(lambda: run.take_work(WORK_ITEMS), [])))
            if items and self._workers.flowing:
                self._workers.start(items)
            elif items:
                run.complete(self._workers.work(items))
            came = run.poll()
            if came:
                yield came
            wait = run.retry_in_us()
            seconds = None if wait is None else wait / 1e6
            if self._workers.busy:
                run.complete(self._workers.take(seconds))
            elif items or came:
                continue
            elif seconds is None:
                break
            else:
                self._workers.wait(seconds)

    def _cause(self, fault: Fault) -> BaseException:
        node = self._failed_node(fault)
        return self._workers.failures.get(node, fault) if node is not None else fault

    def _failed_node(self, fault: Fault) -> str | None:
        if any(each.id == fault.field for each in self.plan.resolved.nodes):
            return fault.field
        return next(reversed(self._workers.failures), None)

    def _error(self, fault: Fault) -> RemoteMediaError:
        if fault.code != NODE_FAILED:
            return ManifestError(fault.message, code=fault.code, field=fault.field, hint=fault.hint)
        from remotemedia.lanes.failures import describe, trace

        node = self._failed_node(fault)
        cause = self._cause(fault)
        text = fault.message if cause is fault else f"{node}: {describe(cause)}"
        made = NodeError(text, hint=fault.hint)
        made.node = node
        made.traceback = None if cause is fault else trace(cause)
        return made


def _yields(node: Node) -> bool:
    from remotemedia.lanes.calling import Calling

    return Calling.of(node).generator


def recipes_of(plan: Plan) -> dict[str, Recipe]:
    """Give what instances of a plan's Python nodes are made of."""
    fed: dict[str, set[str]] = {}
    for edge in plan.resolved.edges:
        fed.setdefault(edge.source.node, set()).add(edge.source.port)
    outputs = {
        node.id: {port.port: port.format.audio for port in node.outputs}
        for node in plan.resolved.nodes
    }
    return {
        name: Recipe(
            entry.node,
            outputs[name],
            frozenset(fed.get(name, ())),
            entry.isolation == "process",
        )
        for name, entry in plan.python.items()
    }
