"""From probabilities per window to the start and end of speech."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SegmentParams:
    """When speech starts and ends; spans in microseconds."""

    threshold: float
    negative_threshold: float
    min_speech_us: int
    min_silence_us: int
    speech_pad_us: int


@dataclass(frozen=True)
class Started:
    """Speech has lasted long enough; `at_us` is its onset less the padding."""

    at_us: int
    probability: float


@dataclass(frozen=True)
class Stopped:
    """Silence has lasted long enough, or the stream ended; `at_us` is the end and the padding."""

    at_us: int
    started_at_us: int


SpeechEvent = Started | Stopped


@dataclass
class _Run:
    """Speech that has not ended."""

    onset_us: int
    started_at_us: int | None = None
    silent_from_us: int | None = None


class Segmenter:
    """Finds speech in the windows of one stream; a time that no window covers is silence."""

    def __init__(self, params: SegmentParams) -> None:
        self._params = params
        self._active = False
        self._run: _Run | None = None
        self._heard_until_us = 0
        self._stopped_at_us = 0

    def set_params(self, params: SegmentParams) -> None:
        """Go on with other parameters, from the next window on."""
        self._params = params

    def push(
        self, start_us: int, end_us: int, probability: float
    ) -> tuple[bool, SpeechEvent | None]:
        """Take the next window; gives whether it is speech, and the event that falls due."""
        event: SpeechEvent | None = None
        if start_us > self._heard_until_us:
            event = self._silence(self._heard_until_us, start_us)
        self._heard_until_us = max(self._heard_until_us, end_us)
        params = self._params
        self._active = probability >= (
            params.negative_threshold if self._active else params.threshold
        )
        if self._active:
            started = self._speech(start_us, end_us, probability, event is None)
            event = event or started
        else:
            event = event or self._silence(start_us, end_us)
        return self._active, event

    def flush(self, end_us: int) -> SpeechEvent | None:
        """End the stream: speech that was reported is stopped there, or where silence began."""
        self._active = False
        run, self._run = self._run, None
        if run is None:
            return None
        now_us = max(end_us, self._heard_until_us)
        end = now_us if run.silent_from_us is None else run.silent_from_us
        return self._stop(run, end, now_us)

    def _speech(
        self, start_us: int, end_us: int, probability: float, may_start: bool
    ) -> SpeechEvent | None:
        if self._run is None:
            self._run = _Run(start_us)
        run = self._run
        run.silent_from_us = None
        long_enough = end_us - run.onset_us >= self._params.min_speech_us
        if run.started_at_us is not None or not long_enough or not may_start:
            return None
        padded = max(run.onset_us - self._params.speech_pad_us, 0)
        run.started_at_us = max(padded, self._stopped_at_us)
        return Started(run.started_at_us, probability)

    def _silence(self, start_us: int, end_us: int) -> SpeechEvent | None:
        run = self._run
        if run is None:
            return None
        if run.silent_from_us is None:
            run.silent_from_us = start_us
        if max(end_us - run.silent_from_us, 0) < self._params.min_silence_us:
            return None
        self._run = None
        self._active = False
        return self._stop(run, run.silent_from_us, end_us)

    def _stop(self, run: _Run, speech_end_us: int, now_us: int) -> SpeechEvent | None:
        if run.started_at_us is None:
            return None
        self._stopped_at_us = min(speech_end_us + self._params.speech_pad_us, now_us)
        return Stopped(self._stopped_at_us, run.started_at_us)
