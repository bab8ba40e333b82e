"""The client's side of negotiation."""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass

import aiohttp
from yarl import URL

from remotemedia.errors import ParameterError, ServerRefused, ServerUnreachable

TIMEOUT_SECONDS = 15.0
"""How long the server may take to answer."""
MAX_ANSWER_BYTES = 1 << 20
"""The longest answer that is read."""
MAX_LIST_BYTES = 16 << 20
"""The longest list of pipelines that is read: each is there with its manifests."""


@dataclass(frozen=True)
class Target:
    """Where a pipeline is served: ``http://host:port/name``."""

    base: URL
    pipeline: str | None

    @classmethod
    def parse(cls, url: str) -> Target:
        """Read a URL.

        Raises:
            ParameterError: it is none of HTTP.
        """
        try:
            parsed = URL(url)
        except ValueError:
            parsed = URL()
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise ParameterError(
                f'"{url}" is not the address of a pipeline.',
                hint="Write http://127.0.0.1:8080/mic-vad.",
            )
        name = parsed.name or None
        base = parsed.parent if name else parsed
        return cls(base.with_query(None).with_fragment(None), name)

    @property
    def offer(self) -> URL:
        """Where offers go."""
        return self.base / "api" / "offer"

    @property
    def pipelines(self) -> URL:
        """Where it is told what is served."""
        return self.base / "api" / "pipelines"


@dataclass(frozen=True)
class Answer:
    """The server's answer to an offer."""

    sdp: str
    pc_id: str
    session_id: str
    participant: str | None


@dataclass(frozen=True)
class Takes:
    """What a pipeline takes.

    Attributes:
        name: the pipeline's.
        audio: whether it takes audio.
        data: who takes data.
        needs_audio: whether who opens a session must send audio.
    """

    name: str
    audio: bool
    data: tuple[str, ...]
    needs_audio: bool


async def ask_what_it_takes(target: Target, *, verify_tls: bool = True) -> Takes | None:
    """Ask what a pipeline takes; None where the server does not say: the offer meets the same."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(target.pipelines, ssl=verify_tls) as response,
        ):
            text = await _read(response, MAX_LIST_BYTES)
        served = {each["name"]: each["ports"] for each in json.loads(text)["pipelines"]}
        name = target.pipeline
        if name is None:
            (name,) = served  # the only one needs no name
        kinds = {port["id"]: port["kind"] for port in served[name] if port["direction"] == "in"}
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError, TypeError, KeyError):
        return None
    data = tuple(id_ for id_, kind in kinds.items() if kind in {"data", "any"})
    audio = any(kind != "data" for kind in kinds.values())
    return Takes(name, audio, data, "audio" in kinds.values())


async def send_offer(
    target: Target, sdp: str, *, join: str | None = None, verify_tls: bool = True
) -> Answer:
    """Send an offer.

    Raises:
        ServerUnreachable: nobody answers.
        ServerRefused: the server says no; the error has its code and words.
    """
    body = {"sdp": sdp, "type": "offer", "pipeline": target.pipeline, "join": join}
    body = {key: value for key, value in body.items() if value is not None}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.post(target.offer, json=body, ssl=verify_tls) as response,
        ):
            text = (await _read(response, MAX_ANSWER_BYTES)).decode(errors="replace")
            status = response.status
    except (aiohttp.ClientConnectorCertificateError, ssl.SSLError) as error:
        raise ServerUnreachable(
            f"the certificate of {target.base.host} is not trusted.",
            hint="If it is one that the server made itself, use --insecure (verify_tls=False).",
        ) from error
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
        raise ServerUnreachable(
            f"{target.base} does not answer: {error or 'time is up'}.",
            hint="Start it with `remotemedia serve PIPELINE`, or check the address.",
        ) from error
    return _answer(status, text, target)


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    read = bytearray()
    async for chunk in response.content.iter_any():
        read += chunk
        if len(read) > most:
            break
    return bytes(read[:most])


def _answer(status: int, text: str, target: Target) -> Answer:
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if status >= 400 and isinstance(body, dict) and isinstance(body.get("error"), dict):  # noqa: PLR2004
        error = body["error"]
        raise ServerRefused(
            str(error.get("message", "no reason given")),
            status=status,
            code=str(error.get("code", "")) or None,
            field=error.get("field"),
            hint=error.get("hint"),
        )
    if not isinstance(body, dict) or not isinstance(body.get("sdp"), str):
        raise ServerRefused(
            f"{target.offer} answered with status {status} and no session description.",
            status=status,
            hint="Is it a RemoteMedia server?",
        )
    participant = body.get("participant")
    return Answer(
        body["sdp"],
        str(body.get("pc_id", "")),
        str(body.get("session_id", "")),
        participant if isinstance(participant, str) else None,
    )
