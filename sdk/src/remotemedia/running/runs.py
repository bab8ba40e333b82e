"""`Pipeline.run` and `Pipeline.stream`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from remotemedia.errors import ParameterError
from remotemedia.nodes.files import FileWriterNode
from remotemedia.running.choice import choose
from remotemedia.running.driver import Execution, Options
from remotemedia.running.inputs import FileInput, Input, inputs_of
from remotemedia.running.result import Outcome, Result

if TYPE_CHECKING:
    from remotemedia.pipeline import Pipeline
    from remotemedia.planning import Plan, PortFormat
    from remotemedia.running.metrics import Metrics

T = TypeVar("T")
NOTHING = object()
"""Stands for input that was not given."""
WAITING_BATCHES = 4
"""How many batches of outputs a stream may be ahead of its reader; then the run waits."""


def run(
    pipeline: Pipeline, data: object, options: Options, done: Callable[[Metrics], None]
) -> Result:
    """Run a pipeline; see `Pipeline.run`."""
    if not in_loop():
        return Result(_collect(prepare(pipeline, data, options), done))

    from remotemedia.running.awaiting import on_thread

    async def start() -> Outcome:
        holder: list[Execution] = []

        def work() -> Outcome:
            return _collect(prepare(pipeline, data, options, holder), done)

        return await on_thread(work, holder)

    return Result(start=start)


def prepare(
    pipeline: Pipeline,
    data: object,
    options: Options,
    holder: list[Execution] | None = None,
) -> Execution:
    """Plan for the data that there is, and choose the runtime.

    Args:
        pipeline: what to run.
        data: as `Pipeline.run` takes it.
        options: how.
        holder: gets the run before it can be needed.
    """
    plan = pipeline.plan()
    sources = {source.id: source.format for source in plan.resolved.sources}
    files = {name: path for name, path in plan.files.items() if name in sources}
    open_ = {name: taken for name, taken in sources.items() if name not in files}
    inputs: dict[str, Input] = {}
    if data is not NOTHING:
        inputs.update(inputs_of(data, open_))
    elif open_:
        inputs.update(_microphones(plan, open_))
    listening = data is NOTHING and bool(open_)
    try:
        if files:
            inputs.update(inputs_of(files, {name: sources[name] for name in files}))
        wanted = {
            name: each.format
            for name, each in inputs.items()
            if each.format is not None and each.format != sources[name].audio
        }
        if wanted or listening:
            plan = pipeline.plan(sources=wanted, devices=listening)
        _check_apart(plan, inputs)
        ordered = {source.id: inputs[source.id] for source in plan.resolved.sources}
        execution = Execution(plan, choose(plan), ordered, options)
    except BaseException:
        for each in inputs.values():
            each.close()
        raise
    if holder is not None:
        holder.append(execution)
    return execution


def _check_apart(plan: Plan, inputs: Mapping[str, Input]) -> None:
    """Refuse to write the files that are read.

    Raises:
        ParameterError: one of them would be.
    """
    read = {each.path.resolve() for each in inputs.values() if isinstance(each, FileInput)}
    for name, entry in plan.python.items() if read else ():
        if isinstance(entry.node, FileWriterNode):
            path = (entry.node.base or Path()) / entry.node.path
            if path.resolve() in read:
                raise ParameterError(f'"{name}" would write over {path}, which is read.')


def _microphones(plan: Plan, sources: Mapping[str, PortFormat]) -> dict[str, Input]:
    """Listen where nothing was given: to the microphones that the pipeline has.

    Raises:
        ParameterError: something of it is no microphone.
        RemoteMediaError: there is none.
    """
    from remotemedia.nodes.endpoints import AudioSource

    nodes = {name: plan.nodes.get(name) for name in sources}
    found: dict[str, Input] = {}
    for name, node in nodes.items():
        audio = sources[name].audio
        if not isinstance(node, AudioSource) or audio is None:
            raise ParameterError(
                "nothing was given to run on.",
                hint="Give an array, (array, rate) or a file's path, "
                "or begin with AudioSource(), the microphone.",
            )
        from remotemedia.devices import Microphone

        found[name] = Microphone(node.device, audio)
    return found


def outcome_for(plan: Plan) -> Outcome:
    """Make an empty outcome that knows the outputs of a plan."""
    fed = {(edge.source.node, edge.source.port) for edge in plan.resolved.edges}
    first = {node.id: node.outputs[0].port for node in plan.resolved.nodes if node.outputs}
    outcome = Outcome(first_ports=first)
    ends = [
        outcome.key(node.id, port.port)
        for node in plan.resolved.nodes
        for port in node.outputs
        if (node.id, port.port) not in fed
    ]
    # Where there are sinks their audio is the run's, whatever comes before them.
    outcome.sinks = tuple(sorted(ends, key=lambda name: name not in plan.sinks))
    return outcome


def main_audio(plan: Plan) -> str | None:
    """Name the output whose audio is the run's, as far as the plan alone can tell."""
    outcome = outcome_for(plan)
    ports = {
        outcome.key(node.id, port.port): port.format.type
        for node in plan.resolved.nodes
        for port in node.outputs
    }
    for wanted in ("audio", "any"):
        for name in outcome.sinks:
            if ports[name] == wanted:
                return name
    return None


def in_loop() -> bool:
    """Say whether an event loop runs on this thread."""
    # Without asyncio there is none, and importing it takes its time.
    if "asyncio" not in sys.modules:
        return False
    from asyncio import get_running_loop

    try:
        get_running_loop()
    except RuntimeError:
        return False
    return True


def _collect(execution: Execution, done: Callable[[Metrics], None]) -> Outcome:
    outcome = outcome_for(execution.plan)
    try:
        for batch in execution.outputs():
            outcome.add(batch)
    finally:
        if execution.metrics is not None:
            done(execution.metrics)
    return outcome
