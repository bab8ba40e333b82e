"""Messages as types."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotemedia.client import (
    Bye,
    Coalesced,
    ErrorEvent,
    Level,
    Metrics,
    NodeResult,
    Ready,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    Unknown,
    Vad,
)
from remotemedia.client.events import parse

HEAD = {
    "v": 1,
    "node": "n",
    "session": "s",
    "participant": "p",
    "stream": "audio",
    "seq": 7,
    "pts_ms": 240.5,
    "rtp_ts": 11520,
    "latency_ms": 3.1,
}
COMMON = {name: value for name, value in HEAD.items() if name != "v"}


@pytest.mark.parametrize(
    ("type_", "data", "kind", "fields"),
    [
        ("vad", {"speech": True, "probability": 1}, Vad, {"speech": True, "probability": 1.0}),
        ("speech_started", {"probability": 0.9}, SpeechStarted, {"probability": 0.9}),
        (
            "speech_stopped",
            {"start_ms": 1.0, "duration_ms": 2.0},
            SpeechStopped,
            {"start_ms": 1.0, "duration_ms": 2.0},
        ),
        (
            "level",
            {"rms_dbfs": -20.0, "peak_dbfs": -3.0},
            Level,
            {"rms_dbfs": -20.0, "peak_dbfs": -3.0},
        ),
        ("node", {"loud": True}, NodeResult, {"data": {"loud": True}}),
        ("node", [1, None], NodeResult, {"data": [1, None]}),
        (
            "transcript",
            {"text": "hello", "final": True},
            Transcript,
            {"transcript": "hello", "final": True},
        ),
        ("metrics", {"jitter_ms": 1.0}, Metrics, {"data": {"jitter_ms": 1.0}}),
        (
            "error",
            {"code": "RM-5001", "message": "no", "traceback": "t"},
            ErrorEvent,
            {"code": "RM-5001", "message": "no", "traceback": "t", "hint": None},
        ),
        (
            "ready",
            {"pipeline": "mic", "joined": True},
            Ready,
            {"pipeline": "mic", "joined": True},
        ),
        ("coalesced", {"count": 2, "total": 9}, Coalesced, {"count": 2, "total": 9}),
        ("bye", {"reason": "end"}, Bye, {"reason": "end", "code": None}),
        ("of the future", {"x": 1}, Unknown, {"data": {"x": 1}}),
        ("vad", 3, Unknown, {"data": 3}),
        ("vad", {}, Vad, {"speech": False, "probability": 0.0}),
    ],
)
def test_each_type(type_, data, kind, fields):
    text = json.dumps({**HEAD, "type": type_, "data": data})
    event = parse(text)
    assert type(event) is kind
    assert event.text == text
    assert event.type == type_
    for name, value in {**COMMON, **fields}.items():
        assert getattr(event, name) == value


@pytest.mark.parametrize("text", ["", "3", "{}", '{"type": "pong", "id": 1}', "[" * 100_000])
def test_what_is_no_result(text):
    assert parse(text) is None


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES |= st.dictionaries(st.sampled_from(["speech", "text", "code", "count"]), VALUES)
TYPES = ["vad", "speech_stopped", "level", "node", "error", "ready", "bye", "coalesced", "x"]


@given(st.dictionaries(st.sampled_from([*HEAD, "data"]), VALUES), st.sampled_from(TYPES))
def test_no_message_breaks_the_reader(message, type_):
    assert parse(json.dumps({**message, "seq": message.get("seq"), "type": type_})) is not None
