"""Which output feeds which input, checked, and the order in which nodes run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from remotemedia._suggest import did_you_mean
from remotemedia.base import IN_PORT, OUT_PORT
from remotemedia.errors import (
    GRAPH_CYCLE,
    INVALID_MANIFEST,
    INVALID_PARAMETER,
    PORT_MISMATCH,
    ManifestError,
    Problem,
)
from remotemedia.nodes.routing import MixNode
from remotemedia.planning.graph import Link, PlannedNode
from remotemedia.planning.steps import Step

MIN_MIXED = 2


@dataclass(frozen=True)
class Feed:
    """What feeds an input."""

    source: str
    port: str
    field: str
    """Where the connection came from, for errors."""


Feeds = Mapping[str, Mapping[str, Feed]]
"""What feeds the inputs of each node, by node and port. Nodes that nothing feeds have none."""


def check_ids(nodes: Sequence[PlannedNode], links: Sequence[Link]) -> None:
    """Refuse ids that are used twice, and links from or to nowhere.

    Raises:
        ManifestError: with the path of each field that is wrong.
    """
    problems: list[Problem] = []
    ids: set[str] = set()
    for node in nodes:
        if node.id in ids:
            problems.append(
                Problem(INVALID_MANIFEST, f"{node.field}.id", f'"{node.id}" is used twice.')
            )
        ids.add(node.id)
    problems.extend(
        Problem(
            INVALID_MANIFEST,
            f"{link.field}.{end}",
            f'there is no node "{name}".',
            did_you_mean(name, ids),
        )
        for link in links
        for end, name in (("from", link.source), ("to", link.target))
        if name not in ids
    )
    if problems:
        raise ManifestError.of(problems)


def wire(steps: Mapping[str, Step], links: Sequence[Link]) -> Feeds:
    """Find the port at both ends of every link. The inputs of mixers are cut to those in use.

    Raises:
        ManifestError: a port is not there, is not said, is fed twice, or is not fed although
            others of its node are.
    """
    problems: list[Problem] = []
    feeds: dict[str, dict[str, Feed]] = {name: {} for name in steps}
    seen: set[tuple[str, str | None, str, str | None]] = set()
    for link in links:
        ends = (link.source, link.source_port, link.target, link.target_port)
        if ends in seen:
            problems.append(
                Problem(INVALID_MANIFEST, link.field, "this connection is listed twice.")
            )
            continue
        seen.add(ends)
        source, target = steps[link.source], steps[link.target]
        given = _port(source.outputs, link.source_port, OUT_PORT, source.id, f"{link.field}.from")
        taken: str | Problem = (
            _next_input(target, link, links, feeds[target.id])
            if target.grows and link.target_port in (None, IN_PORT)
            else _port(target.inputs, link.target_port, IN_PORT, target.id, f"{link.field}.to")
        )
        found = [each for each in (given, taken) if isinstance(each, Problem)]
        problems.extend(found)
        if isinstance(given, Problem) or isinstance(taken, Problem):
            continue
        other = feeds[target.id].setdefault(taken, Feed(source.id, given, link.field))
        if other.field != link.field:
            name = target.id if len(target.inputs) == 1 else f"{target.id}.{taken}"
            problems.append(
                Problem(
                    PORT_MISMATCH,
                    f"{link.field}.to",
                    f'"{name}" is fed by "{other.source}" already.',
                    "Put a MixNode between, which adds several streams to one.",
                )
            )
    if not problems:
        problems = [each for step in steps.values() for each in _gaps(step, feeds[step.id])]
    if problems:
        raise ManifestError.of(problems)
    return feeds


def order(steps: Mapping[str, Step], feeds: Feeds) -> list[Step]:
    """Give the nodes so that each follows what feeds it.

    Among those that could come next the first in the list comes first.

    Raises:
        ManifestError: they go round in a circle.
    """
    done: set[str] = set()
    ordered: list[Step] = []
    waiting = list(steps.values())
    while waiting:
        ready = next(
            (step for step in waiting if all(f.source in done for f in feeds[step.id].values())),
            None,
        )
        if ready is None:
            raise _cycle(waiting[0].id, feeds, done)
        waiting.remove(ready)
        done.add(ready.id)
        ordered.append(ready)
    return ordered


def _port(
    ports: tuple[str, ...], said: str | None, usual: str, node: str, field: str
) -> str | Problem:
    way = "input" if usual == IN_PORT else "output"
    if not ports:
        hint = "It is where audio comes in." if usual == IN_PORT else "It is where audio goes out."
        return Problem(PORT_MISMATCH, field, f'"{node}" has no {way}.', hint)
    if said is None:
        if len(ports) == 1 or usual in ports:
            return usual if usual in ports else ports[0]
        return Problem(
            PORT_MISMATCH,
            field,
            f'"{node}" has several {way}s: say which.',
            "There are " + ", ".join(f"{node}.{port}" for port in ports) + ".",
        )
    if said not in ports:
        return Problem(
            PORT_MISMATCH,
            field,
            f'"{node}" has no port "{said}" for {way}.',
            f"There is {ports[0]}." if len(ports) == 1 else did_you_mean(said, ports),
        )
    return said


def _next_input(
    step: Step, link: Link, links: Sequence[Link], taken: Mapping[str, Feed]
) -> str | Problem:
    said = {each.target_port for each in links if each.target == step.id}
    free = next((port for port in step.inputs if port not in taken and port not in said), None)
    return free or Problem(
        PORT_MISMATCH,
        f"{link.field}.to",
        f'"{step.id}" has more than {len(step.inputs)} inputs.',
        "Mix some of them by a MixNode of their own.",
    )


def _gaps(step: Step, fed: Mapping[str, Feed]) -> list[Problem]:
    if step.grows:
        if len(fed) < MIN_MIXED:
            count = "nothing feeds it" if not fed else "one node feeds it"
            return [
                Problem(
                    PORT_MISMATCH,
                    step.where,
                    f'"{step.id}" mixes at least {MIN_MIXED} streams, but {count}.',
                    f'Connect others to it: connect("other", "{step.id}").',
                )
            ]
        step.inputs = step.inputs[: 1 + max(step.inputs.index(port) for port in fed)]
        gains = step.node.gains_db if isinstance(step.node, MixNode) else None
        if gains is not None and len(gains) != len(step.inputs):
            field = f"{step.where}.params.gains_db"
            text = f"there are {len(gains)} gains for {len(step.inputs)} inputs."
            return [Problem(INVALID_PARAMETER, field, text)]
    elif len(step.inputs) == 1:
        return []
    return [
        Problem(PORT_MISMATCH, step.where, f'nothing feeds "{step.id}.{port}".', _feed(step, port))
        for port in step.inputs
        if port not in fed
    ]


def _feed(step: Step, port: str) -> str:
    return f'Write connect("other", "{step.id}.{port}").'


def _cycle(start: str, feeds: Feeds, done: set[str]) -> ManifestError:
    path: list[str] = [start]
    fields: dict[str, str] = {}
    while path.count(path[-1]) == 1:
        feed = next(each for each in feeds[path[-1]].values() if each.source not in done)
        fields[path[-1]] = feed.field
        path.append(feed.source)
    loop = path[path.index(path[-1]) :][::-1]
    return ManifestError(
        "the connections go round in a circle: " + " -> ".join(loop) + ".",
        code=GRAPH_CYCLE,
        field=fields[loop[1]],
        hint="Take one of them out.",
    )
