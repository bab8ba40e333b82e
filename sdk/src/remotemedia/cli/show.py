"""Events as people read them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from statistics import median

from rich.text import Text

from remotemedia.client.events import (
    Bye,
    ErrorEvent,
    Event,
    NodeResult,
    SpeechStopped,
    Transcript,
)


@dataclass
class Summary:
    """What came back."""

    segments: int = 0
    speech_ms: float = 0.0
    results: int = 0
    errors: int = 0
    heard_ms: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Count an event."""
        if isinstance(event, SpeechStopped):
            self.segments += 1
            self.speech_ms += event.duration_ms
        elif isinstance(event, NodeResult):
            self.results += 1
        elif isinstance(event, ErrorEvent):
            self.errors += 1
        if event.latency_ms > 0:
            self.latencies.append(event.latency_ms)

    def __str__(self) -> str:
        if self.results and not self.segments:
            parts = [_counted(self.results, "result")]
        else:
            speech = f"{self.speech_ms / 1000:.2f} s of speech"
            parts = [f"{_counted(self.segments, 'segment')}, {speech}"]
        if self.heard_ms:
            parts.append(f"{self.heard_ms / 1000:.2f} s of audio came back")
        if self.latencies:
            parts.append(f"server latency {median(self.latencies):.1f} ms")
        if self.errors:
            parts.append(f"{self.errors} errors")
        return "; ".join(parts)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def describe(event: Event) -> Text | None:
    """Give a line for an event; None for those that only programs want."""
    if isinstance(event, SpeechStopped):
        text = Text(f"{event.start_ms / 1000:8.2f} - {event.pts_ms / 1000:.2f} s")
        return text.append(f"  speech, {event.duration_ms / 1000:.2f} s", style="green")
    if isinstance(event, NodeResult):
        text = Text(f"{event.pts_ms / 1000:8.2f} s  {event.node}: ")
        return text.append(json.dumps(event.data, ensure_ascii=False), style="cyan")
    if isinstance(event, Transcript):
        return Text(f"{event.pts_ms / 1000:8.2f} s  {event.transcript}")
    if isinstance(event, ErrorEvent):
        where = f"{event.node}: " if event.node else ""
        text = Text(f"{event.pts_ms / 1000:8.2f} s  {where}{event.message}", style="yellow")
        return text.append(f" [{event.code}]", style="dim")
    if isinstance(event, Bye) and event.code is None:  # else it becomes the command's error
        return Text(f"the server says goodbye: {event.reason}", style="dim")
    return None
