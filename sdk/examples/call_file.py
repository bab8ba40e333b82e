"""A file sent to a served pipeline, and its results as types.

python sdk/examples/call_file.py http://127.0.0.1:8080/mic-vad speech.wav
"""

import asyncio
import sys

import remotemedia
from remotemedia.client import NodeResult, SpeechStopped


async def main(url: str, path: str) -> None:
    """Send the file and print where speech is."""
    async with remotemedia.connect(url, fast=True) as session:
        await session.send_file(path)
        await session.finish()
        async for event in session:
            if isinstance(event, SpeechStopped):
                print(f"speech from {event.start_ms:.0f} to {event.pts_ms:.0f} ms")
            elif isinstance(event, NodeResult):
                print(f"{event.node} at {event.pts_ms:.0f} ms: {event.data}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
