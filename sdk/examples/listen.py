"""Joining a session that runs, to hear what comes out of it.

python sdk/examples/listen.py http://127.0.0.1:8080/mic-vad SESSION
"""

import asyncio
import sys

import remotemedia
from remotemedia.client import Bye, SpeechStarted


async def main(url: str, session_id: str) -> None:
    """Print who starts to speak, until the session ends."""
    async with remotemedia.connect(url, join=session_id, listen_only=True) as session:
        async for event in session:
            if isinstance(event, SpeechStarted):
                print(f"{event.participant} speaks at {event.pts_ms:.0f} ms", flush=True)
            elif isinstance(event, Bye):
                print(f"the session ends: {event.reason}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
