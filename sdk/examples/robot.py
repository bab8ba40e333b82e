"""A pipeline that answers with audio: your voice as a robot's. And a caller that writes it.

remotemedia serve sdk/examples/robot.py           # hear it on the page, with headphones
python sdk/examples/robot.py http://127.0.0.1:8080/robot speech.wav back.wav
"""

import asyncio
import sys

import numpy as np

import remotemedia
from remotemedia import AudioEvent, Pipeline, node
from remotemedia.files import AudioWriter
from remotemedia.nodes import AudioSink, AudioSource

HERTZ = 60


@node
async def robot(audio, session):
    """Multiply the voice by a hum: what was one tone becomes two."""
    seconds = session.pts_ms / 1000 + np.arange(audio.shape[-1]) / session.rate
    return audio * np.sin(2 * np.pi * HERTZ * seconds).astype(np.float32)


pipeline = Pipeline("robot", AudioSource(rate=48_000), robot, AudioSink())


async def main(url: str, path: str, output: str) -> None:
    """Send a file and write what comes back while it is sent."""
    async with remotemedia.connect(url) as session:
        if session.audio_format is None:
            raise SystemExit("this pipeline sends no audio")
        rate, channels = session.audio_format.rate, session.audio_format.channels

        async def send() -> None:
            await session.send_file(path)
            await session.finish()

        sending = asyncio.create_task(send())
        with AudioWriter(output, rate, channels) as file:
            async for event in session:
                if isinstance(event, AudioEvent):
                    file.write(event.samples)
        await sending


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
