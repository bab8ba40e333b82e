"""Audio files: what is written is read again, and damage is told of."""

from __future__ import annotations

import numpy as np
import pytest

from remotemedia import MediaFileError, ParameterError
from remotemedia.files import AUDIO_FORMATS, AudioReader, AudioWriter

LOSSLESS = (".wav", ".flac")


def tone(seconds, rate, channels):
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    return np.stack([wave, -wave])[:channels].astype(np.float32).squeeze()


@pytest.mark.parametrize("suffix", sorted(AUDIO_FORMATS))
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2)])
def test_what_is_written_is_read_again(tmp_path, suffix, rate, channels):
    path, audio = tmp_path / f"a{suffix}", tone(2.3, rate, channels)
    with AudioWriter(path, rate, channels) as writer:
        for start in range(0, audio.shape[-1], 7001):
            writer.write(audio[..., start : start + 7001])
    with AudioReader(path) as reader:
        assert reader.channels == channels
        blocks = list(reader.blocks())
        read = np.concatenate(blocks, axis=-1)
    assert all(block.dtype == np.float32 and block.flags.c_contiguous for block in blocks)
    assert all(block.shape[-1] == reader.rate for block in blocks[:-1])
    assert read.shape[-1] / reader.rate == pytest.approx(2.3, abs=0.03)
    assert np.sqrt(np.mean(read**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)
    if suffix in LOSSLESS:
        np.testing.assert_allclose(read, audio, atol=1 / 32768)


def test_what_is_too_loud_is_cut(tmp_path):
    path = tmp_path / "a.wav"
    with AudioWriter(path, 8000) as writer:
        writer.write(np.array([2.0, -2.0, 0.5], np.float32))
    with AudioReader(path) as reader:
        (block,) = reader.blocks()
    np.testing.assert_allclose(block, [1.0, -1.0, 0.5], atol=1e-4)


def test_a_file_that_fails_is_taken_away(tmp_path):
    path = tmp_path / "a.wav"

    def write():
        with AudioWriter(path, 8000) as writer:
            writer.write(np.zeros(100, np.float32))
            raise LookupError

    with pytest.raises(LookupError):
        write()
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "channels", "words"),
    [
        ("a.wave", 1, 'mean ".wav"'),
        ("a", 1, "Known: .*[.]wav"),
        ("a.mp3", 3, "at most 2 channels"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, name, channels, words):
    with pytest.raises(ParameterError, match=words):
        AudioWriter(tmp_path / name, 16000, channels)


def test_a_name_may_have_a_colon(tmp_path):
    path = tmp_path / "talk: 12:30.wav"
    with AudioWriter(path, 8000) as writer:
        writer.write(np.zeros(4000, np.float32))
    with AudioReader(path) as reader:
        assert reader.seconds == 0.5


def test_a_url_is_no_file():
    with pytest.raises(MediaFileError, match="No such file"):
        AudioReader("http://127.0.0.1/a.wav")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(MediaFileError, match="cannot be written"):
        AudioWriter(tmp_path / "no" / "a.wav", 16000)


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is empty"), (b"no audio" * 100, "is no media file")]
)
def test_what_is_no_media_is_told(tmp_path, content, words):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(MediaFileError, match=words):
        AudioReader(path)


def test_damage_in_the_middle_is_left_out(tmp_path):
    path = tmp_path / "a.mp3"
    with AudioWriter(path, 16000) as writer:
        writer.write(tone(5.0, 16000, 1))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    path.write_bytes(data)
    with AudioReader(path) as reader:
        seconds = sum(block.shape[-1] for block in reader.blocks()) / reader.rate
    assert 4.0 < seconds <= 5.1


def test_a_file_that_changes_its_format_keeps_that_of_its_beginning(tmp_path):
    path = tmp_path / "mixed.mp3"
    with path.open("wb") as mixed:
        for rate, channels in ((44100, 1), (22050, 2), (44100, 2), (44100, 1)):
            with AudioWriter(tmp_path / "part.mp3", rate, channels) as writer:
                writer.write(tone(1.0, rate, channels))
            mixed.write((tmp_path / "part.mp3").read_bytes())
    with AudioReader(path) as reader:
        read = np.concatenate(list(reader.blocks()), axis=-1)
    assert read.ndim == reader.channels
    assert read.shape[-1] / reader.rate == pytest.approx(4.0, abs=0.3)


def test_a_truncated_file_gives_what_it_has(tmp_path):
    path = tmp_path / "a.flac"
    with AudioWriter(path, 16000) as writer:
        writer.write(tone(3.0, 16000, 1))
    path.write_bytes(path.read_bytes()[:-3000])
    with AudioReader(path) as reader:
        assert 1.0 < sum(block.shape[-1] for block in reader.blocks()) / reader.rate < 3.0


def test_the_length_is_known_when_the_file_is_closed(tmp_path):
    path = tmp_path / "a.wav"
    with AudioWriter(path, 8000) as writer:
        writer.write(np.zeros(4000, np.float32))
    reader = AudioReader(path)
    reader.close()
    assert reader.seconds == 0.5
