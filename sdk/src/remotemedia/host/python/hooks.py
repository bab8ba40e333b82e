"""What aiortc keeps to itself and a server needs: every use of its private parts is here.

Each degrades to less, not to an error, should another version of aiortc have it no more.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from aioice import Connection
from aiortc import RTCDtlsTransport, RTCPeerConnection, RTCRtpReceiver
from aiortc.jitterbuffer import JitterBuffer

from remotemedia.host.python.paths import Paths

MAX_ARRIVALS = 512
"""Packets of which the time of arrival is remembered; the oldest goes."""
WAITING_PACKETS = 4
"""So many packets of a track wait for one that is missing; then it is lost. A power of two."""
_MASK = 0xFFFF_FFFF

Clock = Callable[[], int]


class Arrivals:
    """When the packets of a track came; without it results are dated by their decoding."""

    def __init__(self, receiver: RTCRtpReceiver, clock: Clock) -> None:
        """Listen to a receiver, before its first packet; `clock` gives microseconds."""
        self._origin: int | None = None
        self._at: OrderedDict[int, int] = OrderedDict()
        self._clock = clock
        self.packets = 0
        """Packets that came."""
        inner = getattr(receiver, "_handle_rtp_packet", None)
        if inner is None:
            return

        async def handle(packet: Any, *args: Any, **rest: Any) -> None:
            self._take(packet.timestamp)
            await inner(packet, *args, **rest)

        receiver._handle_rtp_packet = handle  # type: ignore[method-assign]

    def rtp_timestamp(self, pts: int) -> int:
        """Give the RTP timestamp of a frame: aiortc counts from the first packet of a track."""
        return (pts + (self._origin or 0)) & _MASK

    def of(self, rtp_timestamp: int) -> int | None:
        """Say when the packet with this timestamp came, if that is known."""
        return self._at.get(rtp_timestamp)

    def _take(self, timestamp: int) -> None:
        self.packets += 1
        if self._origin is None:
            self._origin = timestamp
        self._at.setdefault(timestamp, self._clock())
        if len(self._at) > MAX_ARRIVALS:
            self._at.popitem(last=False)


def hold_less(receiver: RTCRtpReceiver) -> None:
    """Let a receiver hand packets on as soon as the next has come.

    By itself aiortc holds four back, for the sake of a loudspeaker that must not run dry; here
    nobody plays. A packet that is missing is waited for until `WAITING_PACKETS` stand behind it.
    """
    name = "_RTCRtpReceiver__jitter_buffer"
    if hasattr(receiver, name):
        setattr(receiver, name, JitterBuffer(capacity=WAITING_PACKETS, prefetch=0))


def transport_of(peer: RTCPeerConnection) -> RTCDtlsTransport | None:
    """Give the one transport of a connection whose sections are bundled."""
    for transceiver in peer.getTransceivers():
        return transceiver.receiver.transport
    return None if peer.sctp is None else peer.sctp.transport


def take_paths(peer: RTCPeerConnection, bind: str | None, loopback: bool) -> Paths | None:
    """Let a connection listen at these addresses of the machine, and change its path later.

    Args:
        peer: the connection, once it knows the offer and before its candidates are made.
        bind: the only address; None for all.
        loopback: whether 127.0.0.1 is among all: aiortc leaves it out.
    """
    ice = getattr(transport_of(peer), "transport", None)
    connection = getattr(ice, "_connection", None)
    if ice is None or not isinstance(connection, Connection):
        return None

    def prepare(connection: Connection) -> None:
        inner = getattr(connection, "get_component_candidates", None)
        if inner is None:
            return

        async def gather(component: int, addresses: Sequence[str], **rest: Any) -> Any:
            chosen = list(addresses) if bind is None else [bind]
            if bind is None and loopback and "127.0.0.1" not in chosen:
                chosen.append("127.0.0.1")
            return await inner(component=component, addresses=chosen, **rest)

        setattr(connection, "get_component_candidates", gather)  # noqa: B010 - it is typed otherwise

    paths = Paths(connection, prepare)
    if not hasattr(ice, "_recv") or not hasattr(ice, "iceGatherer"):
        return None
    ice._connection = ice.iceGatherer._connection = paths
    ice._recv, ice._send = paths.recv, paths.send
    return paths


def fingerprint_matches(peer: RTCPeerConnection, wanted: Sequence[str]) -> bool:
    """Whether the other side's certificate, once it has shown one, is as its description says."""
    from cryptography.hazmat.primitives import hashes

    transport = transport_of(peer)
    with contextlib.suppress(Exception):
        certificate = transport._ssl.get_peer_certificate(as_cryptography=True)  # type: ignore[union-attr]
        if certificate is not None:
            shown = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
            return shown in wanted
    return True


def unsent(peer: RTCPeerConnection) -> int:
    """Count the pieces of messages that the other side has not acknowledged."""
    sctp = peer.sctp
    return sum(len(getattr(sctp, name, ())) for name in ("_outbound_queue", "_sent_queue"))


def is_address(text: str) -> bool:
    """Whether a text is an IP address."""
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(text)
        return True
    return False
