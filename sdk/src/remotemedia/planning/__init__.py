"""Planning: from a manifest to what runs.

`plan` decides everything that a manifest leaves open - types, formats of ports, the rate at which
audio comes in, converters, defaults - and gives a `Plan`: the resolved manifest, which is all that
the native runtime takes, and the Python nodes that belong to it.
"""

from remotemedia.planning.graph import Graph, Link, PlannedNode
from remotemedia.planning.planner import Plan, PythonEntry, plan, plan_graph
from remotemedia.planning.resolved import (
    Edge,
    Port,
    PortFormat,
    PortRef,
    Resolved,
    ResolvedNode,
    Source,
)

__all__ = [
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
    "plan",
    "plan_graph",
]
