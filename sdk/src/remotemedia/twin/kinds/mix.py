"""`mix`: the sum of several inputs, aligned by media time.

It gives as far as all inputs reach. One that has ended counts as silence, until it begins anew;
live so does one that is more than a second behind, and what it brings too late is lost.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from remotemedia.frames import Samples
from remotemedia.twin.chunks import JUMP_TOLERANCE_US, MICROS, Audio, Stamp, micros_of
from remotemedia.twin.kinds.base import Context, Make, State, audio_out
from remotemedia.twin.kinds.basic import GAIN_DB, gain_of
from remotemedia.twin.manifest import ResolvedNode
from remotemedia.twin.params import ParamError, Params

MIN_INPUTS = 2
MAX_INPUTS = 16
PATIENCE_S = 1
"""How far an input may be behind the first, live."""
MAX_SILENCE_S = (60, 1)
"""A longer silence of all inputs is left out, as a jump of media time: offline, and live."""
MAX_PIECE_S = 10
"""The longest piece that is given at once."""


def compile_mix(node: ResolvedNode) -> Make:
    """Check a node that sums its inputs."""
    params = Params(node.params)
    count = len(node.inputs)
    if not MIN_INPUTS <= count <= MAX_INPUTS:
        raise ParamError("inputs", f"must be {MIN_INPUTS} to {MAX_INPUTS}, are {count}")
    gains = [gain_of(each) for each in params.numbers("gains_db", count, *GAIN_DB)]
    params.finish()
    wanted = audio_out(node)
    for index, port in enumerate(node.inputs):
        if port.name != f"in-{index + 1}":
            text = f'no port "{port.name}": there is in-{index + 1}'
            raise ParamError(f"inputs[{index}].port", text)
        if port.format != wanted:
            raise ParamError(f"inputs[{index}].format", f"must be {wanted}, as the output")
    return lambda: _Mix(gains, wanted.rate, wanted.channels)


@dataclass
class _Input:
    """Audio of one input that was not mixed yet; positions are samples of the grid."""

    gain: np.float32
    end: int = 0
    end_us: int | None = None
    ended: bool = False
    pieces: deque[tuple[int, Samples]] = field(default_factory=deque)


class _Mix(State):
    def __init__(self, gains: list[np.float32], rate: int, channels: int) -> None:
        self._inputs = [_Input(gain) for gain in gains]
        self._rate = rate
        self._channels = channels
        self._origin_us: int | None = None
        self._given = 0
        self._last: Stamp | None = None

    def audio(self, port: int, audio: Audio, cx: Context) -> None:
        if self._origin_us is None:
            self._origin_us = audio.stamp.pts_us
        given, pts_us = self._inputs[port], audio.stamp.pts_us
        start = given.end
        if given.end_us is None or abs(pts_us - given.end_us) > JUMP_TOLERANCE_US:
            offset = (pts_us - self._origin_us) * self._rate
            # Offline, one in the past lies where the mix has got to, so that nothing is lost.
            least = given.end if cx.live else max(given.end, self._given)
            start = max((2 * offset + MICROS) // (2 * MICROS), least)
        given.end, given.end_us = start + len(audio), audio.end_us
        late = max(self._given - start, 0)
        if late < len(audio):
            given.pieces.append((start + late, audio.samples[:, late:] * given.gain))
        self._last = audio.stamp
        self._mix(cx)

    def end_input(self, port: int, cx: Context) -> None:
        self._inputs[port].ended = True
        self._mix(cx)

    def begin_input(self, port: int) -> None:
        # It lies where its media time says.
        self._inputs[port].ended, self._inputs[port].end_us = False, None

    def drain(self, cx: Context) -> None:
        self._mix(cx, every=True)
        self._origin_us, self._given, self._last = None, 0, None
        self._inputs = [_Input(each.gain, ended=each.ended) for each in self._inputs]

    def interrupt(self) -> int:
        dropped = sum(len(each.pieces) for each in self._inputs)
        for each in self._inputs:
            each.pieces.clear()
        return dropped

    def _mix(self, cx: Context, *, every: bool = False) -> None:
        """Give as far as all inputs reach that have not ended; as far as any, once all have."""
        until = self._until(cx.live, every)
        silence = MAX_SILENCE_S[cx.live] * self._rate
        while self._given < until:
            heads = [each.pieces[0][0] for each in self._inputs if each.pieces]
            start = min([*heads, until])
            if start - self._given > silence:
                self._given = start
                continue
            self._give(min(until, self._given + MAX_PIECE_S * self._rate), cx)

    def _until(self, live: bool, every: bool) -> int:
        """Say how far the mix can be given now; `every` waits for nobody."""
        open_ends = [each.end for each in self._inputs if not each.ended]
        if every or not open_ends:
            # An interrupt may have dropped what they brought: then there is less than they reached.
            pieces = (piece for each in self._inputs for piece in each.pieces)
            reaches: list[int] = [start + part.shape[1] for start, part in pieces]
            return max([self._given, *reaches])
        if not live:
            return min(open_ends)
        furthest = max(each.end for each in self._inputs)
        least = furthest - PATIENCE_S * self._rate
        return min(furthest, *(max(end, least) for end in open_ends))

    def _give(self, until: int, cx: Context) -> None:
        if self._origin_us is None or self._last is None:
            return
        total = np.zeros((self._channels, until - self._given), dtype=np.float32)
        for each in self._inputs:
            self._add(each, total, until)
        pts_us = self._origin_us + micros_of(self._rate, self._given)
        self._given = until
        cx.give(Audio(self._last.at(pts_us), self._rate, total))

    def _add(self, given: _Input, total: Samples, until: int) -> None:
        while given.pieces and given.pieces[0][0] < until:
            start, samples = given.pieces.popleft()
            fits = min(until - start, samples.shape[1])
            at = start - self._given
            total[:, at : at + fits] += samples[:, :fits]
            if fits < samples.shape[1]:
                given.pieces.appendleft((start + fits, samples[:, fits:]))
