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


@dataclass(frozen=True)
class Answer:
    """The server's answer to an offer."""

    sdp: str
    pc_id: str
    session_id: str
    participant: str | None


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
            text = (await response.content.read(MAX_ANSWER_BYTES)).decode(errors="replace")
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
