"""The twin's kinds for audio."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotemedia.errors import RuntimeMissing
from remotemedia.twin import RuntimeFault
from remotemedia.twin.kinds.resample import schedule_of
from remotemedia.twin.silero import session

from .graphs import (
    DATA,
    ENERGY,
    VAD,
    audio,
    chain,
    data,
    events,
    graph,
    heard,
    node,
    noise,
    run,
    start,
    tone,
)

MONO, STEREO = audio(), audio(16_000, 2)


def through(kind: str, params: dict[str, Any], samples: Any, *formats: dict[str, Any]) -> Any:
    given_format, wanted = formats if formats else (MONO, MONO)
    return run(chain(given_format, node(kind, params, given_format, wanted)), samples)


def test_frames_pass_through_as_they_are() -> None:
    samples = noise(1000)
    outputs = through("pass_through", {}, samples)
    assert [(o.pts_us, o.rate, o.samples is not None and o.samples.shape) for o in outputs] == [
        (0, 16_000, (320,)),
        (20_000, 16_000, (320,)),
        (40_000, 16_000, (320,)),
        (60_000, 16_000, (40,)),
    ]
    assert np.array_equal(heard(outputs), samples)


def test_a_frame_that_is_pushed_belongs_to_the_run() -> None:
    samples = noise(16_000)
    made = start(chain(MONO, node("buffer", {"duration_ms": 500, "overlap_ms": 0}, MONO, MONO)))
    given_samples = samples.copy()
    made.push_audio("input", given_samples)
    given_samples[:] = 0.0
    made.end()
    assert np.array_equal(heard(made.poll()), samples)


def test_gain_is_in_decibels() -> None:
    samples = noise(320)
    made = heard(through("gain", {"gain_db": -6.0206}, samples))
    assert np.allclose(made, samples * 0.5, atol=1e-6)


def test_channels_are_averaged_or_copied() -> None:
    samples = noise(640, channels=2)
    mono = heard(through("format", {}, samples, STEREO, MONO))
    assert np.allclose(mono, samples.mean(axis=0), atol=1e-6)
    copied = heard(through("format", {}, samples[0].copy(), MONO, audio(16_000, 3)))
    assert np.array_equal(copied, np.stack([samples[0]] * 3))


def test_a_split_gives_each_channel_its_port() -> None:
    samples = noise(640, channels=2)
    split = node("split", {}, STEREO, [MONO, MONO], outs=["left", "right"])
    outputs = run(chain(STEREO, split), samples)
    assert np.array_equal(heard(outputs, "left"), samples[0])
    assert np.array_equal(heard(outputs, "right"), samples[1])


def mixed(*gains: float) -> dict[str, Any]:
    names = [f"s{i}" for i in range(len(gains))]
    mix = node("mix", {"gains_db": list(gains)}, [MONO] * len(gains), MONO)
    edges = [f"$source.{name} > mix.in-{i + 1}" for i, name in enumerate(names)]
    return graph(dict.fromkeys(names, MONO), [mix], *edges)


def test_a_mix_sums_what_all_inputs_have() -> None:
    a, b = noise(960, 1), noise(640, 2)
    made = start(mixed(0.0, -20.0))
    made.push_audio("s0", a)
    assert made.poll() == []
    made.push_audio("s1", b[:320])
    first = made.poll()
    assert [o.pts_us for o in first] == [0]
    made.push_audio("s1", b[320:])
    made.end("s1")
    rest = made.poll()
    expected = a.copy()
    expected[:640] += b * np.float32(0.1)
    assert np.allclose(heard([*first, *rest]), expected, atol=1e-6)


def test_a_mix_puts_audio_where_its_time_is() -> None:
    made = start(mixed(0.0, 0.0))
    made.push_audio("s0", np.ones(1600, np.float32))
    made.push_audio("s1", np.ones(320, np.float32), pts_us=50_000)
    made.end()
    total = heard(made.poll())
    assert np.flatnonzero(total == 2.0).tolist() == list(range(800, 1120))
    assert len(total) == 1600


def test_a_long_silence_of_all_inputs_is_a_jump() -> None:
    made = start(mixed(0.0, 0.0))
    for pts_us in (0, 30_000_000, 200_000_000):
        made.push_audio("s0", noise(320), pts_us=pts_us)
        made.push_audio("s1", noise(320), pts_us=pts_us)
    made.end()
    spans = [(o.pts_us, len(o.samples) // 16) for o in made.poll() if o.samples is not None]
    assert spans[0] == (0, 20)
    assert sum(length for pts_us, length in spans if pts_us < 200_000_000) == 30_020
    assert max(length for _, length in spans) == 10_000
    assert spans[-1] == (200_000_000, 20)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_buffer_gives_pieces_of_one_length_and_the_rest(channels: int) -> None:
    format_ = audio(16_000, channels)
    samples = noise(2000, channels=channels)
    params = {"duration_ms": 50, "overlap_ms": 10}
    outputs = through("buffer", params, samples, format_, format_)
    starts = [0, 640, 1280]
    assert [o.pts_us for o in outputs] == [at * 125 // 2 for at in starts]
    for output, at in zip(outputs, starts, strict=True):
        assert output.samples is not None
        assert np.array_equal(np.atleast_2d(output.samples), samples[:, at : at + 800])


def test_a_buffer_does_not_give_its_overlap_twice() -> None:
    outputs = through("buffer", {"duration_ms": 50, "overlap_ms": 25}, noise(1200))
    assert [o.pts_us for o in outputs] == [0, 25_000]


def test_a_jump_ends_a_piece() -> None:
    made = start(chain(MONO, node("buffer", {"duration_ms": 100, "overlap_ms": 0}, MONO, MONO)))
    made.push_audio("input", noise(800))
    made.push_audio("input", noise(1600), pts_us=5_000_000)
    made.end()
    got = [(o.pts_us, o.samples is not None and len(o.samples)) for o in made.poll()]
    assert got == [(0, 800), (5_000_000, 1600)]


def test_loudness_is_told_by_interval_and_for_the_rest() -> None:
    manifest = chain(MONO, node("level", {"interval_ms": 50}, MONO))
    levels = events(run(manifest, tone(0.12)), "level")
    assert [each["pts_ms"] for each in levels] == [0.0, 50.0, 100.0]
    assert levels[0]["data"]["rms_dbfs"] == pytest.approx(-9.03, abs=0.05)
    assert levels[0]["data"]["peak_dbfs"] == pytest.approx(-6.02, abs=0.05)


def test_silence_and_what_is_not_finite_are_the_floor() -> None:
    samples = np.array([np.nan, np.inf, -np.inf, 0.0] * 80, np.float32)
    manifest = chain(MONO, node("level", {"interval_ms": 20}, MONO))
    assert data(run(manifest, samples), "level") == [{"rms_dbfs": -120.0, "peak_dbfs": -120.0}]


def test_energy_finds_a_tone_between_silences() -> None:
    silence = np.zeros(8000, np.float32)
    samples = np.concatenate([silence, tone(1.0), silence])
    outputs = run(chain(MONO, node("vad", ENERGY, MONO)), samples)
    kinds = [each["type"] for each in events(outputs) if each["type"] != "vad"]
    assert kinds == ["speech_started", "speech_stopped"]
    started, stopped = events(outputs, "speech_started")[0], events(outputs, "speech_stopped")[0]
    assert (started["pts_ms"], stopped["pts_ms"]) == (470.0, 1530.0)
    assert stopped["data"] == {"start_ms": 470.0, "duration_ms": 1060.0}
    assert len(events(outputs, "vad")) == 100


def test_events_alone_leave_the_windows_out() -> None:
    manifest = chain(MONO, node("vad", {**ENERGY, "emit": "events"}, MONO))
    assert [each["type"] for each in events(run(manifest, tone(1.0)))] == [
        "speech_started",
        "speech_stopped",
    ]


def test_a_gap_goes_on_and_a_jump_begins_anew() -> None:
    def stopped(pts_us: int) -> int:
        made = start(chain(MONO, node("vad", {**ENERGY, "emit": "events"}, MONO)))
        made.push_audio("input", tone(1.0))
        made.push_audio("input", tone(1.0), pts_us=pts_us)
        made.end()
        return len(events(made.poll(), "speech_stopped"))

    assert stopped(1_060_000) == 1
    assert stopped(9_000_000) == 2


@pytest.mark.parametrize(
    ("pts_us", "windows", "fresh_ms"), [(1_060_000, 65, 992.0), (9_000_000, 63, 9000.0)]
)
def test_silero_counts_a_gap_as_silence_and_begins_anew_after_a_jump(
    pts_us: int, windows: int, fresh_ms: float
) -> None:
    made = start(chain(MONO, node("vad", VAD, MONO)))
    made.push_audio("input", noise(16_000))
    made.push_audio("input", noise(16_000), pts_us=pts_us)
    made.end()
    found = events(made.poll(), "vad")
    assert len(found) == windows
    assert found[31]["pts_ms"] == fresh_ms


@pytest.mark.parametrize("rates", [(48_000, 16_000), (16_000, 48_000), (44_100, 16_000)])
@pytest.mark.parametrize("quality", ["low", "medium", "high"])
def test_resampling_keeps_time_and_length(rates: tuple[int, int], quality: str) -> None:
    given_rate, wanted_rate = rates
    samples = tone(1.0, given_rate)
    formats = audio(given_rate), audio(wanted_rate)
    outputs = through("resample", {"quality": quality}, samples, *formats)
    made, expected = heard(outputs), tone(1.0, wanted_rate)
    assert made.shape == expected.shape
    inner = slice(wanted_rate // 10, -wanted_rate // 10)
    assert np.abs(made - expected)[inner].max() < 1e-4
    end_us = 0
    for output in outputs:
        assert output.samples is not None
        assert abs(output.pts_us - end_us) <= 1
        end_us = output.pts_us + len(output.samples) * 1_000_000 // wanted_rate


def test_media_time_counts_samples_where_a_frame_is_no_whole_number_of_microseconds() -> None:
    low, wide = audio(11_025), {**VAD, "emit": "all"}
    made = start(
        chain(low, node("resample", {"quality": "low"}, low, MONO), node("vad", wide, MONO))
    )
    made.push_audio("input", noise(60 * 11_025))
    made.end()
    times = [each["pts_ms"] for each in events(made.poll(), "vad")]
    assert times == [index * 32.0 for index in range(1_875)]


def test_channels_are_resampled_apart() -> None:
    samples = noise(9_600, channels=2)
    both = heard(through("resample", {"quality": "high"}, samples, audio(48_000, 2), STEREO))
    for index in range(2):
        one = through("resample", {"quality": "high"}, samples[index].copy(), audio(48_000), MONO)
        assert np.array_equal(heard(one), both[index])


def test_a_jump_ends_the_stream_of_a_resampler() -> None:
    formats = audio(48_000), MONO
    made = start(chain(formats[0], node("resample", {"quality": "high"}, *formats)))
    made.push_audio("input", noise(4_800))
    made.push_audio("input", noise(4_800), pts_us=7_000_000)
    made.end()
    outputs = made.poll()
    before = [o for o in outputs if o.pts_us < 7_000_000]
    assert len(heard(before)) == 1_600
    assert len(heard(outputs)) == 3_200
    assert min(o.pts_us for o in outputs if o not in before) == 7_000_000


@given(
    rates=st.tuples(st.integers(4_000, 96_000), st.integers(4_000, 96_000)),
    taken=st.integers(0, 100_000),
)
def test_a_schedule_never_runs_ahead(rates: tuple[int, int], taken: int) -> None:
    schedule = schedule_of(*rates, "high")
    given_now, given_then = schedule.after(taken), schedule.after(taken + 1)
    assert 0 <= given_now <= given_then
    assert given_now * rates[0] <= (taken + 1) * rates[1]


@pytest.mark.parametrize("module", ["soxr", "onnxruntime"])
def test_a_missing_package_is_named_with_the_extra(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    nodes = {
        "soxr": node("resample", {"quality": "low"}, MONO, audio(48_000)),
        "onnxruntime": node("vad", VAD, MONO),
    }
    with pytest.raises(RuntimeMissing, match=rf"{module}.*remotemedia\[python\]"):
        start(chain(MONO, nodes[module]))


@pytest.mark.parametrize(
    ("samples", "text"),
    [
        (np.zeros(10), "float32"),
        (np.zeros((1, 1, 10), np.float32), r"\(n,\)"),
        (np.zeros((2, 10), np.float32), "shape"),
        (np.zeros(20, np.float32)[::2], "contiguous"),
    ],
)
def test_audio_in_another_form_is_refused(samples: Any, text: str) -> None:
    made = start(chain(MONO, node("level", {"interval_ms": 50}, MONO)))
    with pytest.raises(RuntimeFault, match=text):
        made.push_audio("input", samples)


def test_wrong_sources_and_frames_are_refused() -> None:
    manifest = chain(MONO, node("level", {"interval_ms": 50}, MONO))
    made = start(manifest)
    with pytest.raises(RuntimeFault, match="no source"):
        made.push_audio("mic", noise(10))
    with pytest.raises(RuntimeFault, match="negative"):
        made.push_audio("input", noise(10), pts_us=-1)
    with pytest.raises(RuntimeFault, match="no values"):
        made.push_data("input", 1)
    with pytest.raises(RuntimeFault, match="frame_ms"):
        start(manifest, frame_ms=0)
    made.end()
    made.end()
    with pytest.raises(RuntimeFault, match="has ended"):
        made.push_audio("input", noise(10))
    values = start(chain(DATA, node("text", {"operation": "strip"}, DATA)))
    with pytest.raises(RuntimeFault, match="no audio"):
        values.push_audio("input", noise(10))


@pytest.mark.parametrize(
    ("quality", "kept_hz", "stopped_hz", "db"),
    [("low", 6_000, 10_000, 60.0), ("medium", 6_600, 9_400, 80.0), ("high", 7_000, 9_000, 100.0)],
)
def test_each_quality_keeps_what_it_promises(
    quality: str, kept_hz: int, stopped_hz: int, db: float
) -> None:
    def power_db(hz: int, expected: Any) -> float:
        samples = tone(1.0, 48_000, hz) * 2
        made = heard(through("resample", {"quality": quality}, samples, audio(48_000), MONO))
        difference = (made - expected)[1_000:-1_000].astype(np.float64)
        return float(10 * np.log10(np.mean(difference**2) / 0.5))

    assert power_db(kept_hz, tone(1.0, 16_000, kept_hz) * 2) < -db
    assert power_db(stopped_hz, 0.0) < -db
