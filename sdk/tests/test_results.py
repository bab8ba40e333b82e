"""What nodes may return, and what the native runtime gets of it."""

from __future__ import annotations

import datetime
import json

import numpy as np
import pytest

from remotemedia import AudioFormat, AudioFrame, NodeError
from remotemedia.lanes.results import MAX_RESULTS, results_of

MONO = AudioFormat(16000)
STEREO = AudioFormat(16000, 2)


def convert(value, output=MONO):
    return results_of(value, output)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, []),
        ([], []),
        ([None, None], []),
        ({"a": 1}, [{"a": 1}]),
        ("text", ["text"]),
        (0.5, [0.5]),
        (True, [True]),
        (np.float32(0.5), [0.5]),
        (np.bool_(True), [True]),
        (np.array(3), [3]),
        (
            {"a": np.float64(0.25), "b": np.arange(3), "c": (1, 2)},
            [{"a": 0.25, "b": [0, 1, 2], "c": [1, 2]}],
        ),
        ([{"a": 1}, None, "b"], [{"a": 1}, "b"]),
        (({"a": 1}, {"b": 2}), [{"a": 1}, {"b": 2}]),
        ({}, [{}]),
    ],
)
def test_values_become_json(value, expected):
    assert [json.loads(each) for each in convert(value)] == expected


@pytest.mark.parametrize(
    ("value", "output", "shape"),
    [
        (np.ones(160, np.float64), MONO, (160,)),
        (np.ones((1, 160), np.float32), MONO, (1, 160)),
        (np.ones((2, 160), np.float32), STEREO, (2, 160)),
        ((np.ones(160, np.float32), 16000), MONO, (160,)),
        (AudioFrame(np.ones(160, np.float32), 16000), MONO, (160,)),
        (np.ones(320, np.float32)[::2], MONO, (160,)),
    ],
)
def test_arrays_are_audio(value, output, shape):
    (audio,) = convert(value, output)
    assert audio.dtype == np.float32
    assert audio.shape == shape
    assert audio.flags.c_contiguous


def test_empty_audio_is_nothing():
    assert convert(np.zeros(0, np.float32)) == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": {"b": float("nan")}}, ['the result["a"]["b"] is nan', "return None"]),
        ({"a": [1, np.float32("inf")]}, ['the result["a"][1] is inf']),
        ({"when": datetime.date(2020, 1, 1)}, ['the result["when"] is a date', "not JSON"]),
        ({"a": {1: 2, (3, 4): 5}}, ['the result["a"] has the key 1', "must be text"]),
        (b"bytes", ["the result is a bytes"]),
        (object(), ["the result is a object"]),
        ("x" * 70_000, ["70002 bytes long", "61440"]),
        ([[1, 2]], ["list of lists"]),
        ([1] * (MAX_RESULTS + 1), ["at most 256 results"]),
        (np.ones(160, np.int16), ["int16", "Divide"]),
        (np.ones((2, 160), np.float32), ["(2, 160)", "mono"]),
        (np.ones((1, 2, 3), np.float32), ["(1, 2, 3)"]),
        ((np.ones(160, np.float32), 48000), ["48000 Hz", "16000 Hz", "output_rate"]),
        (AudioFrame(np.ones(160, np.float32), 8000), ["8000 Hz"]),
        (np.full(3, np.nan, np.float32), ["NaN"]),
    ],
)
def test_what_cannot_be_sent_is_said_in_words(value, words):
    with pytest.raises(NodeError) as caught:
        convert(value)
    for word in words:
        assert word in str(caught.value)


def test_recursion_is_refused():
    loop: dict[str, object] = {}
    loop["self"] = loop
    with pytest.raises(NodeError, match="nested too deeply"):
        convert(loop)
