"""`GET /ws`: the calls of the HTTP side over one socket, as JSON-RPC 2.0 or plain messages.

Messages of one socket are answered in their order: candidates follow the offer that they belong
to. A socket that closes ends no session: media does not depend on signaling.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, hdrs, web
from pydantic import JsonValue

from remotemedia_signaling.errors import ApiError, ErrorCode
from remotemedia_signaling.http import write_json
from remotemedia_signaling.messages import TrickleBody, parse_json, validate
from remotemedia_signaling.routes import answer_json
from remotemedia_signaling.rpc import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    MAX_BATCH,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    SERVER_ERROR,
    AnnounceParams,
    CandidateParams,
    CloseParams,
    OfferParams,
    Operation,
    Request,
    RpcId,
    UnknownMethodError,
    parse_request,
    rpc_error,
    rpc_id,
    rpc_result,
)
from remotemedia_signaling.service import SERVICE, Service, logger

LINGER_S: Final = 1.0
"""How long the rest of a message that is too large is read and thrown away, so that the reason
for the closing arrives before the connection is reset."""
_LINGER_STEP_S: Final = 0.02

_SUCCESS: Final[JsonValue] = {"status": "success"}
_BAD_PARAMS: Final = frozenset({ErrorCode.INVALID_MESSAGE, ErrorCode.TOO_MANY_CANDIDATES})


def add_routes(app: web.Application) -> None:
    """Add the socket."""
    app.router.add_get("/ws", get_websocket, allow_head=False)


async def get_websocket(request: web.Request) -> web.StreamResponse:
    """Serve one socket until either side closes it."""
    service = request.app[SERVICE]
    service.refuse_while_draining()
    if request.headers.get(hdrs.UPGRADE, "").lower() != "websocket":
        raise ApiError(
            ErrorCode.BAD_REQUEST,
            "this path speaks WebSocket",
            status=426,
            headers={hdrs.UPGRADE: "websocket"},
        )
    limit = service.config.limits.message_bytes
    socket = Socket(
        max_msg_size=limit + 1,  # the library refuses from that size on
        heartbeat=service.config.timeouts.heartbeat_s,
        timeout=service.config.timeouts.shutdown_s,
        compress=False,
    )
    socket.limit = limit
    with service.websocket(socket):
        await socket.prepare(request)
        connection = Connection(service)
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                break
            data = message.data if message.type is WSMsgType.TEXT else b""
            reply = await connection.handle(data)
            if reply is not None:
                await socket.send_bytes_as_text(write_json(reply))
    return socket


class Socket(web.WebSocketResponse):
    """A WebSocket that says why before it closes over a message that is too large."""

    limit: int = 0

    async def send_bytes_as_text(self, data: bytes) -> None:
        """Send JSON bytes as a text message."""
        await self.send_frame(data, WSMsgType.TEXT)

    async def close(
        self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True
    ) -> bool:
        """Close; see the class."""
        if code == WSCloseCode.MESSAGE_TOO_BIG and not self.closed:
            error = ApiError(ErrorCode.TOO_LARGE, f"the message is larger than {self.limit} bytes")
            message = str(error).encode()
            try:
                await self.send_bytes_as_text(write_json(_plain_error(None, error)))
                payload = struct.pack("!H", code) + message
                await self.send_frame(payload, WSMsgType.CLOSE)
                await self._linger()
            except ConnectionError:
                pass  # it is gone already
        return await super().close(code=code, message=message, drain=drain)

    async def _linger(self) -> None:
        transport = None if self._req is None else self._req.transport
        for _ in range(int(LINGER_S / _LINGER_STEP_S)):
            if transport is None or transport.is_closing():
                return
            await asyncio.sleep(_LINGER_STEP_S)


class Connection:
    """One client's conversation."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._pc_id: str | None = None
        self._speaks_rpc = False
        self._operations: dict[Operation, Callable[[JsonValue], Awaitable[JsonValue]]] = {
            "announce": self._announce,
            "offer": self._offer,
            "answer": self._answer,
            "candidate": self._candidate,
            "close": self._close,
            "list": self._list,
            "error": self._error,
        }

    async def handle(self, data: str | bytes) -> JsonValue:
        """Answer a message; none where no reply is due."""
        try:
            if isinstance(data, bytes):
                raise ApiError(ErrorCode.INVALID_MESSAGE, "expected a text message")
            value = parse_json(data)
        except ApiError as error:
            if self._speaks_rpc or (isinstance(data, str) and '"jsonrpc"' in data):
                return rpc_error(None, PARSE_ERROR, error)
            return _plain_error(None, error)
        if not isinstance(value, list):
            return await self._reply(value)
        if not 1 <= len(value) <= MAX_BATCH:
            wrong = f"expected a batch of 1 to {MAX_BATCH} requests"
            return rpc_error(None, INVALID_REQUEST, ApiError(ErrorCode.INVALID_MESSAGE, wrong))
        self._speaks_rpc = True
        replies = [await self._reply(each) for each in value]
        return [reply for reply in replies if reply is not None] or None

    async def _reply(self, value: JsonValue) -> JsonValue:
        if isinstance(value, dict):
            self._speaks_rpc = "jsonrpc" in value
        try:
            request = parse_request(value)
        except UnknownMethodError as error:
            is_notification = isinstance(value, dict) and "id" not in value
            return None if is_notification else rpc_error(rpc_id(value), METHOD_NOT_FOUND, error)
        except ApiError as error:
            if self._speaks_rpc:
                return rpc_error(rpc_id(value), INVALID_REQUEST, error)
            return _plain_error(rpc_id(value), error)
        try:
            result = await self._operations[request.operation](request.params)
        except ApiError as error:
            return self._failed(request, error)
        except Exception:  # noqa: BLE001 (logged; the client must get an answer)
            logger.exception("%s over a WebSocket failed", request.operation)
            return self._failed(request, ApiError.internal())
        return self._succeeded(request, result)

    def _failed(self, request: Request, error: ApiError) -> JsonValue:
        if not request.is_rpc:
            return _plain_error(request.id, error)
        if not request.has_id:
            return None
        number = INVALID_PARAMS if error.code in _BAD_PARAMS else SERVER_ERROR
        return rpc_error(request.id, number, error)

    def _succeeded(self, request: Request, result: JsonValue) -> JsonValue:
        if request.is_rpc:
            return rpc_result(request.id, result) if request.has_id else None
        if not isinstance(result, dict) or result is _SUCCESS:
            return None
        return {**result, "id": request.id} if request.has_id else result

    async def _announce(self, params: JsonValue) -> JsonValue:
        announced = validate(AnnounceParams, params)
        if announced.pipelines is not None:
            raise ApiError.not_in_this_version("announcing pipelines")
        names: list[JsonValue] = [info.name for info in self._service.host.pipelines()]
        return {"peer_id": announced.peer_id, "peers": [], "pipelines": names}

    async def _offer(self, params: JsonValue) -> JsonValue:
        answer = await self._service.offer(validate(OfferParams, params).to_offer())
        self._pc_id = answer.pc_id
        return answer_json(answer)

    async def _answer(self, _params: JsonValue) -> JsonValue:
        raise ApiError.not_in_this_version("offers made by the server, and so answers to them")

    async def _candidate(self, params: JsonValue) -> JsonValue:
        body = validate(CandidateParams, params)
        pc_id = self._target(body.pc_id)
        await self._service.trickle(TrickleBody(pc_id=pc_id, candidates=body.candidates))
        return _SUCCESS

    async def _close(self, params: JsonValue) -> JsonValue:
        pc_id = self._target(validate(CloseParams, params).pc_id)
        await self._service.ask(self._service.host.close_peer(pc_id))
        if pc_id == self._pc_id:
            self._pc_id = None
        return {"type": "close", "pc_id": pc_id}

    async def _list(self, _params: JsonValue) -> JsonValue:
        return {"peers": []}

    async def _error(self, params: JsonValue) -> JsonValue:
        logger.info("a client reports an error: %.500r", params)
        return None

    def _target(self, pc_id: str | None) -> str:
        target = pc_id or self._pc_id
        if target is None:
            raise ApiError(
                ErrorCode.INVALID_MESSAGE,
                "expected the id of a connection: none was made on this socket",
                field="pc_id",
            )
        return target


def _plain_error(request_id: RpcId, error: ApiError) -> JsonValue:
    message: dict[str, JsonValue] = {"type": "error", "error": error.describe()}
    if request_id is not None:
        message["id"] = request_id
    return message
