"""Nodes of one's own: a function, a class with state, a generator.

Serve it with `remotemedia serve sdk/examples/own_nodes.py` and open the page.
"""

from collections.abc import Iterator

import numpy as np

from remotemedia import AudioFrame, Node, NodeSession, Pipeline, node
from remotemedia.frames import Samples
from remotemedia.nodes import AudioSource

LIMIT = 0.99


@node
async def clipping(audio: Samples) -> dict[str, int] | None:
    """Say when samples are at the limit. What returns None says nothing."""
    count = int(np.count_nonzero(np.abs(audio) > LIMIT))
    return {"clipped": count} if count else None


class Loudest(Node):
    """Remember the loudest frame. Each speaker of each session has an instance of their own."""

    def __init__(self, step_db: float = 3.0) -> None:
        """Take what the manifest may set.

        Args:
            step_db: how much louder it must get to be worth a word.
        """
        super().__init__()
        self.step_db = step_db
        self.loudest = -60.0

    def process(self, audio: Samples, session: NodeSession) -> dict[str, float] | None:
        """Return a result when there is a new loudest frame. A `def` may block: it has a thread."""
        level = float(10 * np.log10(np.mean(np.square(audio)) + 1e-12))
        if level < self.loudest + self.step_db:
            return None
        self.loudest = level
        return {"dbfs": round(level, 1), "at_ms": session.pts_ms}


@node
def crossings(frame: AudioFrame) -> Iterator[dict[str, float]]:
    """Yield one result a second. Annotated with AudioFrame, a node gets the frame's time too."""
    if frame.seq % 50 == 0:
        signs = np.signbit(frame.samples)
        rate = float(np.count_nonzero(signs[1:] != signs[:-1])) * 1000 / frame.duration_ms
        yield {"crossings_per_second": rate}


pipeline = Pipeline("own-nodes")
pipeline.add_node("mic", AudioSource())
pipeline.add_node("clipping", clipping)
pipeline.add_node("loudest", Loudest(step_db=2.0))
pipeline.add_node("crossings", crossings)
for name in ("clipping", "loudest", "crossings"):
    pipeline.connect("mic", name)  # each gets the audio; what they return is a result of theirs
