"""How patient the parent is with a worker."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Times in seconds, and counts.

    Attributes:
        start: a new process may take so long until it has imported the node.
        initialize: a stream's first frame may take so long; it waits for ``initialize``.
        frame: any other frame may take so long, and a generator so long from one result to the
            next; then the worker counts as hanging.
        frozen: a worker may go without a sign of life for so long while it has frames. A node
            that keeps the interpreter to itself is the usual cause.
        deaths: a worker that died so often within `window`, or cannot load its node, rests for
            `rest`; meanwhile its frames fail at once.
        backoff: pause before the second restart; it doubles up to `longest_backoff`.
        close: streams may take so long to clean up when the worker is closed.
    """

    start: float = 120.0
    initialize: float = 120.0
    frame: float = 30.0
    frozen: float = 10.0
    deaths: int = 5
    window: float = 60.0
    rest: float = 30.0
    backoff: float = 0.1
    longest_backoff: float = 2.0
    close: float = 3.0
    tick: float = 0.25
