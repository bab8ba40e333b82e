"""Planning: from a manifest to what runs.

`plan_graph` decides everything that a manifest leaves open - types, ports and their formats, the
rate at which audio comes in, converters, defaults, where nodes run - and gives a `Plan`: the
resolved manifest, which is all that a runtime takes, and the Python nodes that belong to it.
Its parts are `steps` (what each node wants), `wiring` (which output feeds which input), `building`
(formats and converters), `runtimes`, and `sessions` (files in pipelines that are served).
"""

from remotemedia.planning.graph import Graph, Link, PlannedNode
from remotemedia.planning.planner import Plan, plan_graph
from remotemedia.planning.resolved import (
    Edge,
    Port,
    PortFormat,
    PortRef,
    Resolved,
    ResolvedNode,
    Source,
)
from remotemedia.planning.runtimes import Choice
from remotemedia.planning.steps import PythonEntry

__all__ = [
    "Choice",
    "Edge",
    "Graph",
    "Link",
    "Plan",
    "PlannedNode",
    "Port",
    "PortFormat",
    "PortRef",
    "PythonEntry",
    "Resolved",
    "ResolvedNode",
    "Source",
    "plan_graph",
]
