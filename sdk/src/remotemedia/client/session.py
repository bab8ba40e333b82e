"""A session as a Python peer has it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import numpy as np
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from remotemedia.client.audio import Audio, AudioFile, Converter
from remotemedia.client.events import Bye, Event, Json, Ready, parse
from remotemedia.client.hearing import Hearing, welcome_stereo
from remotemedia.client.inbox import Inbox
from remotemedia.client.loopback import use_loopback_where_nothing_else_is
from remotemedia.client.signaling import Target, send_offer
from remotemedia.client.track import FAST, RATE, AudioTrack
from remotemedia.errors import ConnectionLost, ParameterError, RemoteMediaError
from remotemedia.formats import SPEECH_RATE, AudioFormat

CONNECT_SECONDS = 20.0
"""How long the connection may take to come about."""
REPLY_SECONDS = 10.0
"""How long the server may take to answer a control message."""
TAIL_SECONDS = 0.3
"""Silence sent after the last audio, so that what the last word needs has arrived when the server
is asked to finish."""
QUIET_SECONDS = 0.25
"""After the server has finished: once nothing came for so long, Python nodes have answered too."""
MAX_QUIET_SECONDS = 3.0
"""How long that is waited for, at most."""
QUIET_DATA_SECONDS = 1.0
"""The same where data was sent: what is made of it may take its time."""
QUIET_AUDIO_SECONDS = 1.0
"""Where the pipeline sends audio: once nothing audible came for so long, it has said everything."""
MAX_TAIL_SECONDS = 30.0
"""How long that, or results of data, are waited for, unless `Session.finish` is told otherwise."""
MAX_TRACKS = 16
"""Tracks that a session may send: as many as a pipeline may have sources."""
LIVE_LIFETIME_MS = 250
"""How long a result on the channel `live` is sent again before it is given up."""


Input = None | bool | int | float | str | Sequence["Input"] | Mapping[str, "Input"]
"""Data that may be sent: JSON as Python has it."""


class Session:
    """A session with a pipeline: send audio or data, iterate over events.

    Audio that the pipeline sends back comes as `AudioEvent`, in order with the other events.
    Iteration ends after `finish`, when every result has come, or when the server says goodbye; it
    raises `ConnectionLost` when the connection breaks. Made by `connect`.

    Attributes:
        rate: rate of arrays that come without one, in hertz.
    """

    def __init__(
        self,
        target: Target,
        *,
        rate: int = SPEECH_RATE,
        speed: float = 1.0,
        tracks: int = 1,
        hear: bool = True,
    ) -> None:
        """Prepare. Use `connect`; `tracks` is 0 for who only listens."""
        self.rate = rate
        self._hear = hear
        self._hearing: Hearing | None = None
        self._returned: MediaStreamTrack | None = None
        self._target = target
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._tracks = [AudioTrack(speed) for _ in range(tracks)]
        self._silent = "this participant only listens."
        self._gave_audio: set[int] = set()
        self._gave_data = False
        self._converters = [Converter() for _ in range(tracks)]
        self._inbox = Inbox()
        self._open = asyncio.Event()
        self._ids = itertools.count(1)
        self._replies: dict[int, asyncio.Future[dict[str, Json]]] = {}
        self._results: RTCDataChannel | None = None
        self._id = ""
        self._participant = ""
        self._pc_id = ""
        self._closing = False
        self._heard = 0.0

    @property
    def id(self) -> str:
        """The session's id, with which others may join."""
        return self._id

    @property
    def participant(self) -> str:
        """Who we are in the session's results."""
        return self._participant

    @property
    def dropped(self) -> int:
        """Events that were not read in time and are lost."""
        return self._inbox.dropped

    @property
    def dropped_audio_seconds(self) -> float:
        """Audio that came back, was not read in time and is lost."""
        return self._inbox.dropped_audio_seconds

    @property
    def audio_format(self) -> AudioFormat | None:
        """The format in which audio comes back; None where the pipeline sends none."""
        return self._hearing.format if self._hearing else None

    @property
    def sent_seconds(self) -> float:
        """How much audio has gone out, in seconds, by the track with the most."""
        return max((track.sent for track in self._tracks), default=0) / RATE

    async def send(self, audio: Audio, *, track: int = 0) -> None:
        """Send audio; waits while more than a second of it is still to go.

        Args:
            audio: float samples ``(n,)`` or ``(channels, n)`` from -1.0 to 1.0 at `rate`, or
                ``(array, rate)``, or an `AudioFrame`. Channels are averaged.
            track: which of the session's tracks carries it: see `connect`.

        Raises:
            ParameterError: it is no audio, or there is no such track.
            ConnectionLost: the connection has broken.
        """
        with self._sending(track) as sending:
            await sending.put(self._converters[track].convert(audio, self.rate))

    async def send_file(
        self,
        path: str | Path,
        progress: Callable[[float, float | None], None] | None = None,
        *,
        track: int = 0,
    ) -> None:
        """Send a file of any kind that PyAV reads.

        Args:
            path: the file.
            progress: called with the seconds sent, and the file's length where it is known.
            track: which of the session's tracks carries it: see `connect`.

        Raises:
            MediaFileError: it cannot be read or holds no audio.
            ParameterError: there is no such track.
            ConnectionLost: the connection has broken.
        """
        file = await asyncio.to_thread(AudioFile, Path(path))
        try:
            blocks = file.blocks()
            with self._sending(track) as sending:
                began = sending.sent
                while (block := await asyncio.to_thread(next, blocks, None)) is not None:
                    await sending.put(block)
                    if progress is not None:
                        progress((sending.sent - began) / RATE, file.seconds)
        finally:
            file.close()

    async def input(self, data: Input, node: str | None = None) -> str:
        """Send data to the pipeline, where it takes any.

        Args:
            data: one JSON value, at most 60 KiB: text, a number, a list, a dict.
            node: who shall have it; it may be left out where there is one alone.

        Returns:
            Who took it. What native nodes make of it is among the events by then.

        Raises:
            ParameterError: it is not JSON.
            RemoteMediaError: the server refused; the error has its code and words.
            ConnectionLost: the connection has broken.
        """
        try:
            json.dumps(data, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ParameterError(f"the data is not JSON: {error}.", field="data") from None
        self._gave_data = True
        where: dict[str, Json] = {} if node is None else {"node": node}
        answer = await self.control("input", data=cast("Json", data), **where)
        return str(answer.get("node", ""))

    async def finish(self, *, tail: float = MAX_TAIL_SECONDS) -> None:
        """Say that no more comes from here. Events go on until every result has come, then end.

        Where the pipeline sends audio back, they go on until it has been silent for a second, as
        what it still has to say takes its time; where data was sent, until no result has come for
        a second. Who only listens hears others, and does not wait.

        Args:
            tail: for how long that is waited for, at most, in seconds.

        Raises:
            ConnectionLost: the connection has broken.
        """
        await asyncio.gather(*map(self._finish_track, sorted(self._gave_audio)))
        with contextlib.suppress(RemoteMediaError, asyncio.TimeoutError):
            await self.control("flush")
        quiet, most = QUIET_SECONDS, MAX_QUIET_SECONDS
        if self._gave_data:
            quiet, most = max(quiet, QUIET_DATA_SECONDS), tail
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._until_quiet(quiet), most)
        # Who sends nothing hears the others, who may go on for long.
        if self._hearing is not None and (self._gave_audio or self._gave_data):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._hearing.silence(QUIET_AUDIO_SECONDS), tail)
        self._inbox.end()

    async def control(self, kind: str, **fields: Json) -> dict[str, Json]:
        """Send a control message, such as ``configure``, and give the server's answer.

        Raises:
            RemoteMediaError: the server refused; the error has its code and words.
            ConnectionLost: the connection has broken.
        """
        if self._results is None or self._results.readyState != "open":
            raise ConnectionLost("the connection is closed.")
        number = next(self._ids)
        reply: asyncio.Future[dict[str, Json]] = asyncio.get_running_loop().create_future()
        self._replies[number] = reply
        try:
            self._results.send(json.dumps({"type": kind, "id": number, **fields}))
            answer = await asyncio.wait_for(reply, REPLY_SECONDS)
        finally:
            del self._replies[number]
        error = answer.get("data")
        if answer.get("type") == "error" and isinstance(error, dict):
            raise RemoteMediaError(
                str(error.get("message", "refused")),
                code=str(error.get("code", "")) or None,
                field=_optional(error.get("field")),
                hint=_optional(error.get("hint")),
            )
        return answer

    def __aiter__(self) -> AsyncIterator[Event]:
        """Give the events as they come. Several iterations share them."""
        return self._events()

    async def _events(self) -> AsyncIterator[Event]:
        while (event := await self._inbox.get()) is not None:
            yield event

    async def open(self, *, join: str | None = None, verify_tls: bool = True) -> None:
        """Connect. Called by `connect`."""
        peer = self._peer
        peer.add_listener("connectionstatechange", self._on_state)
        peer.add_listener("track", self._on_track)
        # Whether audio is taken and comes back is the answer's to say.
        ours: list[RTCRtpTransceiver] = []
        for track in self._tracks:
            both = "sendrecv" if self._hear and not ours else "sendonly"
            ours.append(peer.addTransceiver(track, direction=both))
        if self._hear and not ours:
            peer.addTransceiver("audio", direction="recvonly")
        results = peer.createDataChannel("results")
        results.add_listener("open", self._open.set)
        live = peer.createDataChannel("live", ordered=False, maxPacketLifeTime=LIVE_LIFETIME_MS)
        for channel in (results, live):
            channel.add_listener("message", self._on_message)
        results.add_listener("close", self._on_close)
        self._results = results
        use_loopback_where_nothing_else_is()
        await peer.setLocalDescription(await peer.createOffer())
        sdp = peer.localDescription.sdp
        if self._hear:
            sdp = welcome_stereo(sdp)
        answer = await send_offer(self._target, sdp, join=join, verify_tls=verify_tls)
        self._id, self._pc_id = answer.session_id, answer.pc_id
        self._participant = answer.participant or ""
        await peer.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
        taken = [each.currentDirection in {"sendonly", "sendrecv"} for each in ours]
        self._tracks = [
            track for track, is_taken in zip(self._tracks, taken, strict=True) if is_taken
        ]
        if ours and not self._tracks:
            self._silent = "the pipeline takes no audio: use `input`."
        if self._returned is not None:
            put = self._inbox.put_audio
            self._hearing = Hearing(self._returned, answer.sdp, self._id, put)
        try:
            await asyncio.wait_for(self._opened(), CONNECT_SECONDS)
        except asyncio.TimeoutError:
            raise ConnectionLost(
                f"no connection came about within {CONNECT_SECONDS:g} s.",
                hint="Is UDP to the server let through? Its media ports are in its configuration.",
                code="RM-3001",
            ) from None

    async def close(self) -> None:
        """Leave the session."""
        self._closing = True
        self._inbox.end()
        self._stop_sending()
        if self._hearing is not None:
            await self._hearing.stop()
        await self._peer.close()

    async def _until_quiet(self, seconds: float) -> None:
        """Wait until nothing has come for so long about what we sent."""
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        while not self._inbox.ended and (left := self._heard + seconds - loop.time()) > 0:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._inbox.changed(), left)

    async def _opened(self) -> None:
        ended = asyncio.ensure_future(self._ended())
        opened = asyncio.ensure_future(self._open.wait())
        try:
            await asyncio.wait({ended, opened}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                await self._inbox.get()
                raise ConnectionLost("the connection was closed before it was open.")
        finally:
            ended.cancel()
            opened.cancel()

    async def _ended(self) -> None:
        while not self._inbox.ended:
            await self._inbox.changed()

    async def _finish_track(self, track: int) -> None:
        with self._sending(track) as sending:
            await sending.put(self._converters[track].flush())
            await sending.put(np.zeros(int(RATE * TAIL_SECONDS), np.int16))
            await sending.drain()

    @contextlib.contextmanager
    def _sending(self, track: int) -> Iterator[AudioTrack]:
        if not self._tracks:
            raise ConnectionLost(self._silent, code="RM-2005")
        if not 0 <= track < len(self._tracks):
            raise ParameterError(
                f"there is no track {track}: the session sends {len(self._tracks)}.",
                field="track",
                hint="Say connect(url, tracks=...) how many there shall be.",
            )
        self._gave_audio.add(track)
        try:
            yield self._tracks[track]
        except MediaStreamError:
            raise ConnectionLost("the connection is closed.") from None

    def _on_message(self, message: str | bytes) -> None:
        if not isinstance(message, str):
            return
        event = parse(message)
        if event is None:
            self._on_reply(message)
            return
        if isinstance(event, Ready) and not self._participant:
            self._participant = event.participant
        if event.stream and event.participant == self._participant:
            self._heard = asyncio.get_running_loop().time()
        self._inbox.put(event)
        if isinstance(event, Bye):
            self._inbox.end()
            self._stop_sending()

    def _on_reply(self, text: str) -> None:
        with contextlib.suppress(ValueError, RecursionError):
            message = json.loads(text)
            number = message.get("id") if isinstance(message, dict) else None
            reply = self._replies.get(number) if isinstance(number, int) else None
            if reply is not None and not reply.done():
                reply.set_result(message)

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._returned = track

    def _on_close(self) -> None:
        self._lost("the server closed the connection.")

    def _on_state(self) -> None:
        if self._peer.connectionState in {"failed", "closed"}:
            self._lost("the connection to the server broke.")

    def _lost(self, message: str) -> None:
        self._inbox.end(None if self._closing else ConnectionLost(message))
        self._stop_sending()

    def _stop_sending(self) -> None:
        for track in self._tracks:
            track.stop()


@asynccontextmanager
async def connect(
    url: str,
    *,
    join: str | None = None,
    rate: int = SPEECH_RATE,
    fast: bool = False,
    listen_only: bool = False,
    tracks: int = 1,
    hear: bool = True,
    verify_tls: bool = True,
) -> AsyncIterator[Session]:
    """Open a session with a pipeline, or join one.

    ::

        async with remotemedia.connect("http://127.0.0.1:8080/mic-vad") as session:
            await session.send(audio)
            await session.finish()
            async for event in session:
                print(event)

    Where the pipeline has an `AudioSink`, audio comes back: read the events while you send. Where
    it takes data, send that with ``await session.input({"text": "hi"})``. Where it has several
    sources of audio, each is a track: ``connect(url, tracks=2)`` and ``session.send(audio,
    track=1)``, in the order in which the pipeline names its sources.

    Args:
        url: where the pipeline is served, ``http://host:port/name``; without a name it is the
            server's only one.
        join: the session to join, instead of opening one.
        rate: rate of arrays that come without one, in hertz.
        fast: send faster than real time (20 times); results are about media time and stay the
            same, but Python nodes may not keep up.
        listen_only: send no audio, to hear of a session that is joined, or to send data alone.
        tracks: how many tracks are sent, 1 to 16.
        hear: take the audio that the pipeline sends back; False leaves it out.
        verify_tls: whether the server's certificate must be trusted.

    Raises:
        ParameterError: there are too many tracks.
        ServerUnreachable: nobody answers at the URL.
        ServerRefused: the server says no; the error has its code and words.
        ConnectionLost: no connection came about.
    """
    speed = FAST if fast else 1.0
    if not 1 <= tracks <= MAX_TRACKS:
        raise ParameterError(
            f"{tracks} tracks cannot be sent: 1 to {MAX_TRACKS} can.", field="tracks"
        )
    tracks = 0 if listen_only else tracks
    session = Session(Target.parse(url), rate=rate, speed=speed, tracks=tracks, hear=hear)
    try:
        await session.open(join=join, verify_tls=verify_tls)
        yield session
    finally:
        await session.close()


def _optional(value: Json) -> str | None:
    return value if isinstance(value, str) else None
