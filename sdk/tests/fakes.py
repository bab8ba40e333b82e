"""Stand-ins for the native module: real descriptors, scripted answers, no media."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass
class FakeItem:
    """One frame for a Python node."""

    token: int
    samples: NDArray[np.float32]
    node: str = "node"
    session: str = "s1"
    participant: str = "p1"
    stream: str = "audio"
    pipeline: str = "pipeline"
    entry: str = "entry"
    port: str = "in"
    epoch: int = 0
    seq: int = 0
    pts_us: int = 0
    rate: int = 16000
    channels: int = 1
    value: object = None


@dataclass
class FakeFailure:
    """A node's failure."""

    message: str
    traceback: str | None = None


@dataclass
class FakeOpaque:
    """An object for other Python nodes."""

    value: object


class FakeFault(Exception):  # noqa: N818 - the module's name for it
    """What the engine refuses."""

    def __init__(self, code, message, field=None, hint=None):
        super().__init__(f"{code} {message}")
        self.code, self.message, self.field, self.hint = code, message, field, hint


class WakeQueue:
    """A queue with a descriptor that is readable while something waits, as the engine's."""

    def __init__(self):
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._items = deque()
        self._lock = threading.Lock()

    def fileno(self):
        return self._reader.fileno()

    def put(self, *items):
        with self._lock:
            empty = not self._items
            self._items.extend(items)
        if empty:
            self._writer.send(b"\1")

    def drain(self, most):
        with contextlib.suppress(BlockingIOError):
            self._reader.recv(64)
        with self._lock:
            taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            more = bool(self._items)
        if more:
            self._writer.send(b"\1")
        return taken

    def close(self):
        self._reader.close()
        self._writer.close()


@dataclass
class FakeEngine:
    """An engine without media: offers are answered, lanes and notifications are scripted."""

    config: str = "{}"
    lane: WakeQueue = field(default_factory=WakeQueue)
    notifications: WakeQueue = field(default_factory=WakeQueue)
    pipelines: dict = field(default_factory=dict)
    requests: list = field(default_factory=list)
    closed_peers: list = field(default_factory=list)
    candidates: list = field(default_factory=list)
    observed: dict = field(default_factory=dict)
    running: dict = field(default_factory=dict)
    answer: object = None
    drained: bool = False
    hangs: bool = False
    closed: bool = False

    def __post_init__(self):
        self._done = {}
        self._parts = {}
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)
        self.peer_closed = threading.Event()

    # What the SDK calls.

    def add_pipeline(self, name, resolved_json):
        self.pipelines[name] = json.loads(resolved_json)

    def offer(self, request_json):
        request = json.loads(request_json)
        self.requests.append(request)
        if callable(self.answer):
            return self.answer(request)
        number = next(self._numbers)
        session = request.get("join") or f"s_{number}"
        self.running[session] = request.get("pipeline")
        self.notify("session_started", session, pipeline=request.get("pipeline"))
        return json.dumps(
            {
                "sdp": "v=0",
                "type": "answer",
                "pc_id": f"pc_{number}",
                "session_id": session,
                "participant": f"p_{number}",
            }
        )

    def add_candidates(self, pc_id, candidates):
        if not pc_id.startswith("pc_"):
            raise FakeFault("RM-2004", f'no peer "{pc_id}"')
        self.candidates.append((pc_id, candidates))

    def close_peer(self, pc_id):
        self.closed_peers.append(pc_id)
        self.peer_closed.set()

    def close_session(self, session_id, reason):
        self._known(session_id)
        del self.running[session_id]
        self.notify("session_ended", session_id, reason=reason)

    def sessions(self):
        return json.dumps([{"id": session} for session in self.running])

    def session(self, session_id):
        self._known(session_id)
        return json.dumps({"id": session_id})

    def observe(self, session_id, on):
        self._known(session_id)
        self.observed[session_id] = on

    def notification_fd(self):
        return self.notifications.fileno()

    def poll_notifications(self, most):
        return self.notifications.drain(most)

    def lane_fd(self):
        return self.lane.fileno()

    def poll_lane(self, most):
        return self.lane.drain(most)

    def complete_lane(self, done):
        with self._changed:
            for token, results, *more in done:
                assert token not in self._done, f"token {token} was completed twice"
                if more:
                    assert isinstance(results, list)
                    self._parts.setdefault(token, []).append(results)
                elif isinstance(results, list):
                    self._done[token] = [*itertools.chain(*self._parts.get(token, [])), *results]
                else:
                    self._done[token] = results
            self._changed.notify_all()

    def drain(self, timeout_ms):
        self.drained = True
        for session in list(self.running):
            self.close_session(session, "the server stops")
        return True

    def close(self):
        self.closed = True

    def counters(self):
        live = {"sessions": len(self.running), "peers": 0}
        return json.dumps({"live": live, "dropped": {"results_too_large": 3}})

    def live_objects(self):
        assert not self.hangs, "a reactor was asked"
        return json.dumps({"sessions": len(self.running), "peers": 0})

    # What tests call.

    def push(self, *items):
        self.lane.put(*items)

    def notify(self, kind, session, **rest):
        self.notifications.put(json.dumps({"kind": kind, "session": session, **rest}))

    def result(self, token, timeout=10):
        with self._changed:
            assert self._changed.wait_for(lambda: token in self._done, timeout), f"no {token}"
            return self._done[token]

    def parts(self, token, count, timeout=10):
        """Wait for so many parts of what becomes of a frame."""

        def came():
            return len(self._parts.get(token, [])) >= count

        with self._changed:
            assert self._changed.wait_for(came, timeout), f"{token}: {self._parts.get(token)}"
            return list(self._parts.get(token, []))

    def results(self, tokens, timeout=10):
        return [self.result(token, timeout) for token in tokens]

    def free(self):
        self.lane.close()
        self.notifications.close()

    @property
    def done(self):
        with self._changed:
            return dict(self._done)

    def _known(self, session_id):
        if session_id not in self.running:
            raise FakeFault("RM-2004", f'no session "{session_id}"')


class FakeRuntime:
    """The module."""

    __version__ = "0.0-fake"
    LaneFailure = FakeFailure
    LaneData = staticmethod(json.dumps)
    LaneOpaque = FakeOpaque
    RuntimeFault = FakeFault

    def __init__(self):
        self.engines = []
        self.refuse = None
        self.offline = ['{"v":1,"type":"vad"}']

    def Engine(self, config_json):  # noqa: N802
        if self.refuse is not None:
            raise self.refuse
        self.engines.append(FakeEngine(config_json))
        return self.engines[-1]

    def check_manifest(self, resolved_json):
        if self.refuse is not None:
            raise self.refuse

    def run_offline(self, resolved_json, samples, frame_ms=20):
        return self.offline


def frame(token, value=0.0, **rest):
    """Make a frame of 20 ms at 16 kHz."""
    return FakeItem(
        token, np.full(320, value, np.float32), seq=token, pts_us=token * 20_000, **rest
    )
