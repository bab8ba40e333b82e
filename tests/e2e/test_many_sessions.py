"""Many sessions of two pipelines at once: each gets its own results, and no others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from tests.support import opus
from tests.support.api import Api, Message
from tests.support.peer import RATE, Peer, Tone
from tests.support.peers import call_with_libdatachannel

AIORTC = 9
LIBDATACHANNEL = 3
RESULTS = 20
TOLERANCE_DB = 1.0
SECONDS = 1.0


def loudness(number: int) -> float:
    """How loud the speaker of a session is, in dBFS: each one differently."""
    return -12.0 - 3.0 * number


def heard(messages: Sequence[Message]) -> float:
    """How loud a session's results say that it is, once the encoder has settled."""
    levels = (float(one["data"]["rms_dbfs"]) for one in messages if one["type"] == "level")
    return median(levels)


async def with_aiortc(api: Api, number: int) -> list[Message]:
    pipeline = "mic-energy" if number == 0 else "mic-level"
    async with Peer(api, audio=Tone(loudness(number))) as peer:
        await peer.open(pipeline=pipeline)
        await peer.wait_for("vad" if number == 0 else "level", RESULTS)
        assert {message["session"] for message in peer.messages} == {peer.session}
        return peer.messages


def packets_of(number: int) -> list[bytes]:
    phase = np.arange(round(RATE * SECONDS)) * 2.0 * np.pi * 440.0 / RATE
    tone = np.sin(phase) * 10.0 ** (loudness(number) / 20.0) * 2.0**0.5
    return opus.encode(tone.astype(np.float32))


async def with_libdatachannel(api: Api, number: int, folder: Path) -> list[Message]:
    return await asyncio.to_thread(
        call_with_libdatachannel, api.url, "mic-level", packets_of(number), folder, tailMs=0
    )


async def test_each_session_gets_its_own_results(api: Api, tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(LIBDATACHANNEL)]
    for folder in folders:
        folder.mkdir()
    all_messages = await asyncio.gather(
        *(with_aiortc(api, number) for number in range(AIORTC)),
        *(
            with_libdatachannel(api, AIORTC + number, folder)
            for number, folder in enumerate(folders)
        ),
    )
    sessions = [{message["session"] for message in messages} for messages in all_messages]
    assert all(len(names) == 1 for names in sessions)
    assert len(set.union(*sessions)) == AIORTC + LIBDATACHANNEL
    for number, messages in enumerate(all_messages):
        (ready,) = [message for message in messages if message["type"] == "ready"]
        nodes = {node["id"] for node in ready["data"]["nodes"]}
        if number == 0:
            assert (ready["data"]["pipeline"], nodes) == ("mic-energy", {"vad"})
            assert not any(message["type"] == "level" for message in messages)
        else:
            assert (ready["data"]["pipeline"], nodes) == (
                "mic-level",
                {"level", "resample", "vad"},
            )
            assert abs(heard(messages) - loudness(number)) <= TOLERANCE_DB
