"""`vad`: speech probability per window, and where speech starts and stops. Hands its audio on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remotemedia.frames import Samples
from remotemedia.twin import messages
from remotemedia.twin.chunks import Audio, Continuity, Stamp, is_jump, samples_in
from remotemedia.twin.kinds.base import Context, Make, Passing, State, audio_in, same_out
from remotemedia.twin.kinds.level import FLOOR_DBFS, rms_dbfs
from remotemedia.twin.manifest import ResolvedNode
from remotemedia.twin.params import ParamError, Params
from remotemedia.twin.segment import Segmenter, SegmentParams, SpeechEvent, Started
from remotemedia.twin.silero import WINDOW, Silero, session

MAX_GAP_US = 100_000
"""A jump forward up to this is a gap, across which speech may go on; others begin anew."""
RAMP_DB = 20.0
"""Width of the ramp from certain silence to certain speech."""
_SILERO = (16_000, 1)


@dataclass(frozen=True)
class _Settings:
    segment: SegmentParams
    all_windows: bool
    threshold_db: float


def compile_vad(node: ResolvedNode) -> Make:
    """Check a node that finds speech."""
    params = Params(node.params)
    energy = params.choice("engine", {"energy": True, "silero": False})
    segment = SegmentParams(
        threshold=params.number("threshold", 0.0, 1.0),
        negative_threshold=params.number("negative_threshold", 0.0, 1.0),
        min_speech_us=params.integer("min_speech_ms", 0, 60_000) * 1_000,
        min_silence_us=params.integer("min_silence_ms", 0, 60_000) * 1_000,
        speech_pad_us=params.integer("speech_pad_ms", 0, 5_000) * 1_000,
    )
    all_windows = params.choice("emit", {"all": True, "events": False})
    threshold_db = params.number("threshold_db", -110.0, 0.0) if energy else 0.0
    params.finish()
    if segment.negative_threshold > segment.threshold:
        text = f"must not lie above threshold, which is {segment.threshold:g}"
        raise ParamError("negative_threshold", text)
    same_out(node)
    given = audio_in(node)
    settings = _Settings(segment, all_windows, threshold_db)
    if energy:
        if given.channels != 1:
            raise ParamError("inputs[0].format", f"the energy engine takes 1 ch, not {given}")
        return lambda: _Energy(settings)
    if (given.rate, given.channels) != _SILERO:
        text = f"the silero engine takes 16000 Hz, 1 ch, not {given}"
        raise ParamError("inputs[0].format", text)
    session()
    return lambda: _Silero(settings)


class _Speech(Passing):
    """What both engines do with a probability."""

    def __init__(self, settings: _Settings) -> None:
        self._settings = settings
        self._segmenter = Segmenter(settings.segment)
        self._heard_us = 0
        self._continuity = Continuity()
        self._last: Stamp | None = None

    def window(self, stamp: Stamp, end_us: int, probability: float, cx: Context) -> None:
        """Take a probability; the stamp is the start of its window."""
        speech, event = self._segmenter.push(stamp.pts_us, end_us, probability)
        self._heard_us = end_us
        if self._settings.all_windows:
            data = {"speech": speech, "probability": messages.probability(probability)}
            cx.event("vad", stamp, dict(data))
        self._report(stamp, event, cx)

    def flush(self, stamp: Stamp, cx: Context) -> None:
        """End a segment that is open."""
        self._report(stamp, self._segmenter.flush(self._heard_us), cx)

    def finish(self, cx: Context) -> None:
        if self._last is not None:
            self.flush(self._last, cx)
        self._last = None
        self._continuity.reset()

    def adopt(self, fresh: State) -> None:
        if isinstance(fresh, _Speech):
            self._settings = fresh._settings
            self._segmenter.set_params(self._settings.segment)

    @staticmethod
    def _report(stamp: Stamp, event: SpeechEvent | None, cx: Context) -> None:
        if event is None:
            return
        at = stamp.at(event.at_us)
        if isinstance(event, Started):
            data = {"probability": messages.probability(event.probability)}
            cx.event("speech_started", at, dict(data))
        else:
            length_us = max(event.at_us - event.started_at_us, 0)
            data = {
                "start_ms": messages.millis(event.started_at_us),
                "duration_ms": messages.millis(length_us),
            }
            cx.event("speech_stopped", at, dict(data))


class _Energy(_Speech):
    """Speech by loudness alone: one window a frame."""

    def audio(self, port: int, audio: Audio, cx: Context) -> None:
        by = self._continuity.step(audio)
        if is_jump(by) and not _is_gap(by):
            self.flush(audio.stamp, cx)
        level = rms_dbfs(audio.samples)
        above = (level - self._settings.threshold_db) / RAMP_DB + 0.5
        probability = min(max(above, 0.0), 1.0) if level > FLOOR_DBFS else 0.0
        end_us = self._continuity.at(len(audio))
        self.window(audio.stamp, end_us, float(np.float32(probability)), cx)
        self._last = audio.stamp


class _Silero(_Speech):
    """Speech by the Silero model: windows of 32 ms."""

    def __init__(self, settings: _Settings) -> None:
        super().__init__(settings)
        self._model = Silero()
        self._buffer = np.zeros(WINDOW, dtype=np.float32)
        self._filled = 0
        self._fresh = False
        self._end = 0

    def audio(self, port: int, audio: Audio, cx: Context) -> None:
        by = self._continuity.step(audio)
        if by is not None and is_jump(by):
            if _is_gap(by):
                # The model keeps its place in time: the gap counts as silence.
                missing = samples_in(audio.rate, by)
                silence = np.zeros(missing, dtype=np.float32)
                self._feed(audio.stamp, silence, 0, cx)
            else:
                self._filled = 0
                self._fresh = True
        self._end = len(audio)
        self._feed(audio.stamp, audio.samples[0], self._end, cx)
        self._last = audio.stamp.at(self._continuity.at(self._end))

    def drain(self, cx: Context) -> None:
        if self._last is not None and self._filled:
            self._buffer[self._filled :] = 0.0
            self._queue(self._last, self._end, self._filled, cx)

    def finish(self, cx: Context) -> None:
        super().finish(cx)
        self._filled = 0
        self._fresh = True

    def _feed(self, stamp: Stamp, samples: Samples, end: int, cx: Context) -> None:
        """Fill windows; `end` is where the samples end, counted from the last piece's first."""
        at = 0
        while at < len(samples):
            take = min(len(samples) - at, WINDOW - self._filled)
            self._buffer[self._filled : self._filled + take] = samples[at : at + take]
            self._filled += take
            at += take
            if self._filled == WINDOW:
                self._queue(stamp, end - (len(samples) - at), WINDOW, cx)

    def _queue(self, stamp: Stamp, end: int, length: int, cx: Context) -> None:
        window, start = self._buffer.copy(), stamp.at(self._continuity.at(end - length))
        end_us = self._continuity.at(end)
        fresh, self._fresh, self._filled = self._fresh, False, 0

        def judge() -> None:
            if fresh:
                self._model.reset()
                self.flush(start, cx)
            self.window(start, end_us, self._model.probability(window), cx)

        cx.later(judge)


def _is_gap(by: int | None) -> bool:
    return by is not None and 0 < by <= MAX_GAP_US
