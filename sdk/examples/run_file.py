"""A file run through a pipeline on this machine: the result at once, or events as they come.

python sdk/examples/run_file.py speech.wav
"""

import asyncio
import sys

from remotemedia import Node, Pipeline
from remotemedia.client.events import SpeechStopped
from remotemedia.frames import Samples
from remotemedia.nodes.audio import VADNode


class Loudness(Node):
    """Measure all of a stream: `flush` is called when the input has ended."""

    def __init__(self) -> None:
        """Start at silence."""
        super().__init__()
        self.peak = 0.0

    def process(self, audio: Samples) -> None:
        """Look at one frame."""
        self.peak = max(self.peak, float(abs(audio).max()))

    def flush(self) -> dict[str, float]:
        """Give what was found."""
        return {"peak": round(self.peak, 3)}


pipeline = Pipeline("talk", enable_metrics=True)
pipeline.add_node("vad", VADNode(emit="events"))
pipeline.add_node("loudness", Loudness())


async def follow(path: str) -> None:
    """Print events as they come."""
    async for event in pipeline.stream(path):
        if isinstance(event, SpeechStopped):
            print(f"speech from {event.start_ms:.0f} to {event.pts_ms:.0f} ms")


if __name__ == "__main__":
    result = pipeline.run(sys.argv[1])
    print(f"{len(result.events)} events; loudness: {result.outputs['loudness'][0]}")
    print(f"{pipeline.get_metrics()['total_duration_us'] / 1000:.0f} ms")
    asyncio.run(follow(sys.argv[1]))
