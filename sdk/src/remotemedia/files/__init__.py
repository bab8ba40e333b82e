"""Audio files of any kind that PyAV knows, read and written as they go: memory stays constant."""

from remotemedia.files.reader import AudioReader
from remotemedia.files.writer import AUDIO_FORMATS, AudioWriter, is_audio

__all__ = ["AUDIO_FORMATS", "AudioReader", "AudioWriter", "is_audio"]
