"""Thousands of clients connect, speak and leave; memory and live objects stay where they were.

    python -m tests.soak [--rounds 30] [--streams 100]

Exits with 1 when sessions are left, or when the server's memory still grows in the second half.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.bench import harness
from tests.bench.harness import LoadGenerator
from tests.soak.growth import growth_a_connect
from tests.support import opus
from tests.support.server import Server

SPEAK_S = 1.0
ALLOWED_KIB_A_CONNECT = 0.25
"""What the allocator's noise may look like: a page now and then. A table that kept only the id of
each session would take 0.3."""
GONE_TIMEOUT_S = 60.0


def wait_until_gone(server: Server) -> int:
    """Wait until no session is left; returns how many are if they stay."""
    give_up = time.monotonic() + GONE_TIMEOUT_S
    while (left := len(server.sessions())) and time.monotonic() < give_up:
        time.sleep(0.2)
    return left


def main() -> int:
    """Run the rounds and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--streams", type=int, default=100)
    arguments = parser.parse_args()
    resident_kib: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        loadgen = LoadGenerator(
            harness.build_loadgen(), harness.write_packets(folder / "speech.opus", opus.WIDEBAND)
        )
        with harness.our_server(folder / "server.log") as server:
            target = harness.Target(server.url, server.process.pid)
            process = psutil.Process(server.process.pid)
            for turn in range(arguments.rounds):
                load = loadgen.run(target, "mic-vad", arguments.streams, SPEAK_S)
                left = wait_until_gone(server)
                connects, kib = (turn + 1) * arguments.streams, process.memory_info().rss / 1024
                resident_kib.append((connects, kib))
                print(
                    f"{connects:5d} connects, {load.connected} at once, "
                    f"{kib:.0f} KiB resident, {left} sessions left",
                    flush=True,
                )
                if left:
                    return 1
    growth = growth_a_connect(resident_kib)
    print(f"growth in the second half: {growth:.2f} KiB a connect")
    return int(growth > ALLOWED_KIB_A_CONNECT)


if __name__ == "__main__":
    sys.exit(main())
