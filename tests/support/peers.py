"""Peers on other people's stacks, each a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support import opus
from tests.support.server import ROOT

TESTS = Path(__file__).resolve().parents[1]
PEER_TIMEOUT_S = 120

Message = dict[str, Any]


def call_with_aiortc(url: str, *arguments: str | Path) -> list[Message]:
    """Stream files with `remotemedia call`, which is aiortc, and return the result messages."""
    done = subprocess.run(
        [sys.executable, "-m", "remotemedia", "call", url, *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        timeout=PEER_TIMEOUT_S,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def call_with_libdatachannel(
    url: str, pipeline: str, packets: Sequence[bytes], folder: Path, **options: object
) -> list[Message]:
    """Stream Opus packets with libdatachannel and return the result messages."""
    file = opus.write_packets(folder / "packets.json", list(packets))
    given: Mapping[str, object] = {
        "url": url,
        "pipeline": pipeline,
        "packets": str(file),
        **options,
    }
    node = shutil.which("node")
    assert node is not None, "node is needed for libdatachannel"
    done = subprocess.run(
        [node, str(TESTS / "support" / "libdatachannel.mjs"), json.dumps(given)],
        capture_output=True,
        text=True,
        timeout=PEER_TIMEOUT_S,
        check=False,
        cwd=TESTS,
    )
    assert done.returncode == 0, done.stderr
    messages: list[Message] = json.loads(done.stdout)["messages"]
    return messages
