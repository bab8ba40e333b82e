"""Files as sources of pipelines that are served."""

from __future__ import annotations

import numpy as np
import pytest

from remotemedia import AudioFrame, ManifestError, MediaFileError, Pipeline
from remotemedia.files import AudioWriter
from remotemedia.nodes import AudioSource, FileReaderNode, GainNode, MixNode, VADNode
from remotemedia.nodes.session_files import SessionFile

RATE = 8000


@pytest.fixture
def ramp(tmp_path):
    """Write a second whose samples say where they are: from 0 to 0.8."""
    path = tmp_path / "ramp.wav"
    with AudioWriter(path, RATE) as writer:
        writer.write(ramp_of(0, RATE))
    return path


def ramp_of(start, stop):
    return np.arange(start, stop, dtype=np.float32) / 10_000


def played(node, frames):
    """Give what it gives for frames of (media time, length) in milliseconds, at 16 kHz."""
    return [
        node.process(AudioFrame(np.zeros(16 * length, np.float32), 16000, pts_ms=float(pts)))
        for pts, length in frames
    ]


@pytest.fixture
def file(ramp):
    made = SessionFile(path=str(ramp), rate=RATE, channels=1)
    yield made
    made.cleanup()


def close(samples, start):
    return np.allclose(samples, ramp_of(start, start + len(samples)), atol=1e-4)


def test_it_is_as_long_as_what_is_heard(file):
    pieces = played(file, [(40, 20), (60, 10), (70, 60), (130, 20)])
    assert [len(each) for each in pieces] == [160, 80, 480, 160]
    assert close(np.concatenate(pieces), 0)


def test_after_its_end_it_is_silent(file):
    pieces = played(file, [(at, 400) for at in range(0, 2000, 400)])
    joined = np.concatenate(pieces)
    assert close(joined[:RATE], 0)
    assert joined.shape == (2 * RATE,)
    assert not joined[RATE:].any()


def test_what_was_lost_is_left_out(file):
    first, second, third = played(file, [(0, 20), (100, 20), (120, 20)])
    assert len(first) == len(second) == len(third) == 160
    assert close(second, 800)
    assert close(third, 960)


def test_a_pause_is_waited_for(file):
    _, second, third = played(file, [(0, 20), (5000, 20), (5020, 20)])
    assert close(second, 160)
    assert close(third, 320)


def test_what_comes_again_gives_nothing(file):
    _, second, third = played(file, [(0, 20), (0, 20), (20, 20)])
    assert second is None
    assert close(third, 160)


def test_no_sample_is_lost_to_rounding(ramp):
    file = SessionFile(path=str(ramp), rate=11025, channels=1)
    pieces = played(file, [(at, 10) for at in range(0, 1000, 10)])
    file.cleanup()
    assert sum(map(len, pieces)) == 11025
    assert {len(each) for each in pieces} == {110, 111}


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_channels_are_averaged_and_copied(tmp_path, channels):
    path = tmp_path / "stereo.wav"
    with AudioWriter(path, RATE, 2) as writer:
        writer.write(np.stack([np.full(RATE, 0.5, np.float32), np.zeros(RATE, np.float32)]))
    file = SessionFile(path=str(path), rate=RATE, channels=channels)
    (piece,) = played(file, [(0, 20)])
    file.cleanup()
    planar = piece.reshape(channels, -1)
    expected = [0.5, 0.0] if channels == 2 else [0.25] * channels
    assert np.allclose(planar, np.array(expected)[:, None], atol=1e-4)


def test_a_file_that_has_gone(file, ramp):
    ramp.unlink()
    with pytest.raises(MediaFileError, match="No such file"):
        played(file, [(0, 20)])


def test_each_stream_has_its_own(file):
    other = file.fresh()
    played(file, [(0, 20), (20, 20)])
    (first,) = played(other, [(0, 20)])
    other.cleanup()
    assert close(first, 0)


def background(ramp):
    made = Pipeline("p").add_node("mic", AudioSource()).add_node("music", AudioSource(path=ramp))
    made.add_node("both", MixNode()).add_node("vad", VADNode())
    return made.connect("mic", "both").connect("music", "both").connect("both", "vad")


def test_the_incoming_audio_is_its_clock(ramp):
    plan = background(ramp).plan(served=True)
    assert [source.id for source in plan.resolved.sources] == ["mic"]
    assert not plan.files
    assert list(plan.python) == ["music"]
    fed = {(edge.source.node, edge.target.node) for edge in plan.resolved.edges}
    assert ("$source", "music") in fed
    offline = background(ramp).plan()
    assert list(offline.files) == ["music"]


def test_a_source_gives_what_it_says(ramp):
    made = Pipeline("p", FileReaderNode(path=ramp, rate=24000, channels=2), GainNode())
    node = made.plan(served=True).python["file-reader-1"].node
    assert (node.output_rate, node.output_channels) == (24000, 2)
    file = node.fresh()
    (piece,) = played(file, [(0, 20)])
    file.cleanup()
    assert piece.shape == (2, 480)


def test_paths_are_seen_from_the_manifest(ramp):
    path = ramp.parent / "p.yaml"
    path.write_text(
        "nodes:\n  - {id: a, node_type: FileReader, params: {path: ramp.wav}}\n"
        "  - {id: b, node_type: Gain}\n"
    )
    found = Pipeline.from_file(path).plan(served=True).python["a"].node
    assert found.path == str(ramp)


def test_a_file_cannot_be_fed(ramp):
    made = Pipeline("p", GainNode(), FileReaderNode(path=ramp), VADNode())
    with pytest.raises(ManifestError) as offline:
        made.plan()
    with pytest.raises(ManifestError) as served:
        made.plan(served=True)
    assert str(served.value) == str(offline.value)
