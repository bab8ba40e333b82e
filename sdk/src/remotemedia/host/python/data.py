"""Data that clients send beside audio, or in its place: the source that a message is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remotemedia.errors import INVALID_PARAMETER
from remotemedia.host.python.faults import INVALID_MESSAGE, fault
from remotemedia.twin.plan import Feed, Plan
from remotemedia.twin.values import Unfit, checked_copy

if TYPE_CHECKING:
    from pydantic import JsonValue


def find_source(plan: Plan, node: str) -> tuple[int, str]:
    """Find what takes data under a name; without one, the only source of data.

    Returns:
        The source's place among all, and the name.

    Raises:
        RuntimeFault: RM-1003 with the field ``node``, or ``type`` where nothing takes data.
    """
    sources = [index for index, source in enumerate(plan.sources) if source.format.takes_data]
    entries = _entries(plan, sources)
    if not entries:
        text = "this pipeline takes no data: it has no source for it"
        raise fault(INVALID_PARAMETER, text, "type")
    if not node and len(sources) == 1:
        node = plan.sources[sources[0]].id
    if node in entries:
        return entries[node], node
    known = {source.id for source in plan.sources} | {each.id for each in plan.nodes}
    what = "no data goes in there" if node in known else "no such node"
    text = f"{what if node else 'say which node'}: data goes into {', '.join(entries)}"
    raise fault(INVALID_PARAMETER, text, "node")


def checked(data: JsonValue) -> JsonValue:
    """Check what a client sent.

    Raises:
        RuntimeFault: RM-4001 with the field ``data``.
    """
    try:
        return checked_copy(data)
    except Unfit as wrong:
        raise fault(INVALID_MESSAGE, wrong.of("it"), "data") from None


def _entries(plan: Plan, sources: list[int]) -> dict[str, int]:
    """Give every name that data may be sent to, with its source.

    They are the sources' own, then those of nodes that have one source of data for themselves.
    """
    entries = {plan.sources[index].id: index for index in sources}
    takers = {index: _takers(plan, index) for index in sources}
    for index, nodes in takers.items():
        others = [name for other, names in takers.items() if other != index for name in names]
        if len(nodes) == 1 and nodes[0] not in others:
            entries.setdefault(nodes[0], index)
    return entries


def _takers(plan: Plan, source: int) -> list[str]:
    """Give the nodes that data of a source reaches, in the order in which they run."""
    fed = Feed(None, source)
    return [
        node.id
        for node in plan.nodes
        if any(
            feed == fed and format_.takes_data
            for feed, (_, format_) in zip(node.feeds, node.inputs, strict=True)
        )
    ]
