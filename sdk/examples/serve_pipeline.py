"""Serving from a program: signaling, the demo page and the pipeline, until Ctrl-C."""

import asyncio

from remotemedia import Pipeline
from remotemedia.nodes.audio import VADNode

pipeline = Pipeline("speech", VADNode())

if __name__ == "__main__":
    asyncio.run(pipeline.serve(port=8080))  # says where: http://127.0.0.1:8080/speech
