"""The plot of a bench run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

from tests.bench.harness import Load


def draw(results: Mapping[tuple[str, str, str], Sequence[Load]], path: Path) -> None:
    """CPU and latency over the number of streams, one line a server, VAD and kind of packets."""
    figure, (cpu, latency) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for (server, vad, packets), loads in results.items():
        if not loads:
            continue
        label = f"{server}, {vad}, {packets}"
        style = "o-" if server == "ours" else "s--"
        streams = [load.streams for load in loads]
        cpu.plot(streams, [load.cpu_ms_per_stream_second for load in loads], style, label=label)
        latency.plot(streams, [load.latency_p50_ms for load in loads], style, label=f"{label}, p50")
    for axes, title in (
        (cpu, "server CPU, ms per stream-second"),
        (latency, "packet sent to result received, ms"),
    ):
        axes.set_title(title)
        axes.set_xlabel("streams")
        axes.set_yscale("log")
        axes.grid(visible=True, which="both", alpha=0.25)
        axes.legend(fontsize="small")
    figure.savefig(path)
    plt.close(figure)
