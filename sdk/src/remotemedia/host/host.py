"""`EngineHost`: pipelines, the engine, Python nodes and events put together."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from remotemedia_signaling import (
    Answer,
    AudioFormat,
    HostError,
    IceCandidate,
    Offer,
    PipelineInfo,
    PipelinePort,
    SessionEvent,
)

from remotemedia._suggest import did_you_mean
from remotemedia.errors import (
    INTERNAL,
    UNKNOWN_PIPELINE,
    ManifestError,
    ParameterError,
    RemoteMediaError,
)
from remotemedia.host.choosing import plans_for, serving_runtime
from remotemedia.host.events import EventHub
from remotemedia.lanes import Lanes
from remotemedia.nodes.audio import VADNode
from remotemedia.pipeline import Pipeline
from remotemedia.running import choice

if TYPE_CHECKING:
    from pydantic import JsonValue

    from remotemedia._native import Engine, NativeRuntime, RuntimeFault
    from remotemedia.planning import Plan, PortFormat

T = TypeVar("T")

ENGINE_THREADS = 8
"""Calls to the engine that may wait at once; further ones wait for a thread."""
POLL_NOTIFICATIONS = 256
"""Notifications taken at once; the rest waits for the loop's next turn."""
BYE_MS = 1_000
"""How long peers are given at shutdown to take what is left and the ``bye``."""

_log = logging.getLogger("remotemedia.host")


class EngineHost:
    """Serves pipelines over the native engine; it is signaling's `PipelineHost`.

    ::

        host = await EngineHost.start([pipeline])
        try:
            await run_server(host, config, on_shutdown=host.drain)
        finally:
            await host.close()
    """

    def __init__(self, runtime: NativeRuntime, engine: Engine, plans: Sequence[Plan]) -> None:
        """Put the parts together. Use `start`."""
        self._runtime = runtime
        self._engine = engine
        self._plans = {plan.name: plan for plan in plans}
        self._infos: list[PipelineInfo] = []
        self._lanes = Lanes(
            engine, runtime.LaneFailure, data=runtime.LaneData, opaque=runtime.LaneOpaque
        )
        self._threads = ThreadPoolExecutor(ENGINE_THREADS, "remotemedia-engine")
        self._hub = EventHub(self._observe)
        self._counts = dict.fromkeys(("started", "ended"), 0)
        self._fd = -1
        self._closed = False
        self._probe = (
            Pipeline("probe", VADNode(engine="energy")).plan(native=True).resolved.to_json()
        )

    @classmethod
    async def start(
        cls,
        pipelines: Sequence[Pipeline],
        settings: Mapping[str, object] | None = None,
        runtime: NativeRuntime | None = None,
    ) -> EngineHost:
        """Plan the pipelines, start the engine and listen to it.

        Args:
            pipelines: what is served, under their names.
            settings: the engine's: see `remotemedia_signaling.ServerConfig.engine_settings`.
            runtime: the native module, or what stands in for it; None chooses.

        Raises:
            RuntimeMissing: a node must run natively and there is no native module, or it needs a
                package where there is none.
            ManifestError: a pipeline cannot run.
            RemoteMediaError: the engine cannot start; the text says why.
        """
        native = runtime or serving_runtime()
        plans = plan_all(pipelines, native=plans_for(native))
        try:
            engine = await asyncio.to_thread(native.Engine, json.dumps(dict(settings or {})))
        except native.RuntimeFault as fault:
            raise _as_error(fault) from fault
        host = cls(native, engine, plans)
        try:
            for pipeline, plan in zip(pipelines, plans, strict=True):
                host._add(pipeline, plan)
        except BaseException as error:
            await asyncio.to_thread(engine.close)
            host._threads.shutdown(wait=False)
            if isinstance(error, native.RuntimeFault):
                raise _as_error(error) from error
            raise
        host._listen()
        return host

    def _add(self, pipeline: Pipeline, plan: Plan) -> None:
        self._engine.add_pipeline(plan.name, plan.resolved.to_json())
        self._lanes.add(plan)
        self._infos.append(describe(pipeline, plan))

    def _listen(self) -> None:
        self._lanes.start()
        self._fd = self._engine.notification_fd()
        asyncio.get_running_loop().add_reader(self._fd, self._notified)

    async def drain(self) -> None:
        """Admit nobody and tell every peer ``bye``; events still flow."""
        await self._call(self._engine.drain, BYE_MS)

    async def close(self) -> None:
        """Stop everything; nothing is left running. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(HostError):
            await self.drain()
        asyncio.get_running_loop().remove_reader(self._fd)
        self._notified()
        await self._hub.close()
        await asyncio.to_thread(self._lanes.stop)
        await asyncio.to_thread(self._engine.close)
        await asyncio.to_thread(self._threads.shutdown)

    async def offer(self, offer: Offer) -> Answer:
        """Create, join, renegotiate or replace a connection."""
        request: dict[str, object] = {"sdp": offer.sdp}
        if offer.join is None and offer.pc_id is None:
            request["pipeline"] = find_pipeline(offer.pipeline, self._plans)
        elif offer.pipeline is not None:
            request["pipeline"] = offer.pipeline
        rest = {"pc_id": offer.pc_id, "join": offer.join, "restart_pc": offer.restart_pc}
        request.update({key: value for key, value in rest.items() if value})
        loop = asyncio.get_running_loop()
        call = loop.run_in_executor(self._threads, self._engine.offer, json.dumps(request))
        try:
            answer = json.loads(await asyncio.shield(call))
        except asyncio.CancelledError:
            if offer.pc_id is None or offer.restart_pc:
                call.add_done_callback(self._undo)
            raise
        except self._runtime.RuntimeFault as fault:
            raise _as_host_error(fault) from fault
        if "m=application" not in offer.sdp:
            # No channel can carry the results: they wait for a reader of the events.
            with contextlib.suppress(HostError):
                await self._hub.keep(answer["session_id"])
        return Answer(
            answer["sdp"], answer["pc_id"], answer["session_id"], answer.get("participant")
        )

    async def add_candidates(self, pc_id: str, candidates: Sequence[IceCandidate]) -> None:
        """Add trickled candidates; an empty one is the end of them."""
        await self._call(
            self._engine.add_candidates, pc_id, [each.candidate for each in candidates]
        )

    async def close_peer(self, pc_id: str) -> None:
        """End one connection, and its session with the last one."""
        await self._call(self._engine.close_peer, pc_id)

    async def close_session(self, session_id: str) -> None:
        """End a session with all its connections."""
        await self._call(self._engine.close_session, session_id, "ended by request")

    async def session(self, session_id: str) -> Mapping[str, JsonValue]:
        """State and figures of a session."""
        stats: dict[str, JsonValue] = json.loads(await self._call(self._engine.session, session_id))
        return stats

    async def sessions(self) -> Sequence[Mapping[str, JsonValue]]:
        """State and figures of all sessions."""
        stats: list[dict[str, JsonValue]] = json.loads(await self._call(self._engine.sessions))
        return stats

    def pipelines(self) -> Sequence[PipelineInfo]:
        """Say what is served."""
        return list(self._infos)

    def events(self, session_id: str, after_seq: int | None) -> AsyncIterator[SessionEvent]:
        """Results of a session as they come, those kept after `after_seq` first."""
        return self._hub.read(session_id, after_seq)

    async def check_ready(self) -> None:
        """Push a frame through a small pipeline, and see that reactors and lanes answer."""
        await self._call(self._engine.live_objects)
        await self._lanes.ping()
        frame = np.zeros(320, np.float32)
        results = await self._call(self._runtime.run_offline, self._probe, frame)
        if not results:
            raise HostError(INTERNAL, "a frame went in and nothing came out.")

    def counters(self) -> Mapping[str, float]:
        """Figures for metrics, as of each reactor's last turn: nothing is waited for."""
        figures = {
            f"remotemedia_sessions_{name}_total": float(count)
            for name, count in self._counts.items()
        }
        figures["remotemedia_events_dropped_total"] = float(self._hub.dropped)
        figures["remotemedia_observed_sessions"] = float(self._hub.observed)
        figures.update(self._lanes.counters())
        figures.update(choice.counters())
        with contextlib.suppress(self._runtime.RuntimeFault):
            told = json.loads(self._engine.counters())
            for name, count in told["live"].items():
                figures[f"remotemedia_live_{name}"] = float(count)
            for cause, count in told["dropped"].items():
                figures[f'remotemedia_dropped_total{{cause="{cause}"}}'] = float(count)
        return figures

    def _undo(self, call: asyncio.Future[str]) -> None:
        """End a connection whose offer was given up on."""
        if call.cancelled() or call.exception() is not None or self._closed:
            return
        pc_id = json.loads(call.result())["pc_id"]
        self._threads.submit(self._close_quietly, pc_id)

    def _close_quietly(self, pc_id: str) -> None:
        with contextlib.suppress(self._runtime.RuntimeFault):
            self._engine.close_peer(pc_id)

    async def _observe(self, session: str, on: bool) -> None:
        await self._call(self._engine.observe, session, on)

    async def _call(self, function: Callable[..., T], *args: object) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, function, *args)
        except self._runtime.RuntimeFault as fault:
            raise _as_host_error(fault) from fault

    def _notified(self) -> None:
        # What is left keeps the descriptor readable.
        for text in self._engine.poll_notifications(POLL_NOTIFICATIONS):
            told = json.loads(text)
            session = told["session"]
            if told["kind"] == "event":
                self._hub.put(session, SessionEvent(told["seq"], told["message"]))
            elif told["kind"] == "session_started":
                self._counts["started"] += 1
            elif told["kind"] == "interrupted":
                self._lanes.interrupt(session, told["epoch"])
            elif told["kind"] == "session_ended":
                self._counts["ended"] += 1
                self._lanes.end_session(session)
                self._hub.end(session)
                _log.info("session %s ended: %s", session, told.get("reason"))


def find_pipeline(name: str | None, known: Collection[str]) -> str:
    """Give the name of the pipeline that an offer asks for; the only one needs no name.

    Raises:
        HostError: it is not served; the hint says what is.
    """
    if name is None and len(known) == 1:
        return next(iter(known))
    if name is None:
        raise HostError(
            UNKNOWN_PIPELINE,
            "this server has several pipelines: say which.",
            field="pipeline",
            hint="Known: " + ", ".join(sorted(known)) + ".",
        )
    if name not in known:
        raise HostError(
            UNKNOWN_PIPELINE,
            f'there is no pipeline "{name[:64]}".',
            field="pipeline",
            hint=did_you_mean(name, known),
        )
    return name


def plan_all(pipelines: Sequence[Pipeline], *, native: bool | None = True) -> list[Plan]:
    """Plan pipelines that are served together.

    Args:
        pipelines: what is served, under their names.
        native: see `Pipeline.plan`.

    Raises:
        ManifestError: one cannot run; the error says which.
        ParameterError: there is none, or two have the same name.
        NotInThisVersion: one does what only runs do.
        MediaFileError: a file that one reads cannot be read.
    """
    check_names(pipelines)
    return [pipeline.plan(native=native, served=True) for pipeline in pipelines]


def check_names(pipelines: Sequence[Pipeline]) -> None:
    """Refuse to serve nothing, or two pipelines of one name.

    Raises:
        ParameterError: so it is.
    """
    if not pipelines:
        raise ParameterError("there is no pipeline to serve.")
    names = [pipeline.name for pipeline in pipelines]
    for name in names:
        if names.count(name) > 1:
            raise ParameterError(
                f'two pipelines are called "{name}".', hint="Give one another metadata.name."
            )


def describe(pipeline: Pipeline, plan: Plan) -> PipelineInfo:
    """Say what a pipeline is, for clients."""
    try:
        manifest = pipeline.serialize()
    except ManifestError:
        manifest = {}  # a node of it has no name outside this process
    return PipelineInfo(
        name=plan.name,
        ports=(
            *(_port(source.id, "in", source.format) for source in plan.resolved.sources),
            PipelinePort("results", "out", "results"),
            *(
                _port(node.id, "out", node.outputs[0].format)
                for node in plan.resolved.nodes
                if node.id in plan.sinks
            ),
        ),
        manifest=manifest,
        resolved=plan.resolved.to_dict(),
        description=pipeline.description,
    )


def _port(name: str, direction: Literal["in", "out"], given: PortFormat) -> PipelinePort:
    audio = given.audio
    if audio is None:
        return PipelinePort(name, direction, "data")
    kind = "any" if given.type == "any" else "audio"
    return PipelinePort(name, direction, kind, AudioFormat(audio.rate, audio.channels))


def _as_host_error(fault: RuntimeFault) -> HostError:
    return HostError(fault.code, fault.message, field=fault.field, hint=fault.hint)


def _as_error(fault: RuntimeFault) -> RemoteMediaError:
    return RemoteMediaError(fault.message, code=fault.code, field=fault.field, hint=fault.hint)
