"""Several participants in one session."""

from __future__ import annotations

import remotemedia
from remotemedia.client import Level, Ready

from tests.support.api import Api, until
from tests.support.peer import Peer, Tone

LOUD, QUIET = -12.0, -30.0
TOLERANCE_DB = 1.0
RESULTS = 10


async def levels_of(peer: Peer, participant: str) -> list[float]:
    """What a peer hears about how loud a participant is."""

    def heard() -> list[float]:
        about = [one for one in peer.of_type("level") if one["participant"] == participant]
        return [message["data"]["rms_dbfs"] for message in about]

    await peer.wait_until(lambda: len(heard()) > RESULTS)
    return heard()


async def test_participants_get_each_others_results_and_are_told_apart(api: Api) -> None:
    async with (
        Peer(api, audio=Tone(LOUD)) as first,
        Peer(api, audio=Tone(QUIET)) as second,
        Peer(api, channels=("results", "live")) as listener,
    ):
        await first.open(pipeline="mic-level")
        await second.open(join=first.session)
        await listener.open(join=first.session)
        assert {first.session} == {second.session, listener.session}
        names = (first.participant, second.participant, listener.participant)
        assert len(set(names)) == 3
        for peer in (first, second, listener):
            for speaker, loudness in ((first, LOUD), (second, QUIET)):
                levels = await levels_of(peer, speaker.participant)
                assert abs(levels[-1] - loudness) <= TOLERANCE_DB
            (ready,) = peer.of_type("ready")
            assert ready["data"]["joined"] is (peer is not first)
            assert {message["session"] for message in peer.messages} == {first.session}
        speakers = {message["participant"] for message in listener.of_type("level", "vad")}
        assert speakers == {first.participant, second.participant}


async def test_a_session_goes_on_without_the_one_who_opened_it(api: Api) -> None:
    async with Peer(api, audio=Tone()) as first, Peer(api, audio=Tone()) as second:
        await first.open(pipeline="mic-energy")
        await second.open(join=first.session)
        await second.wait_for("vad")
        await first.close()

        async def alone() -> bool:
            return len((await api.session(second.session))["participants"]) == 1

        await until(alone)
        await second.more("vad", RESULTS)
        assert {each["participant"] for each in second.of_type("vad")[-RESULTS:]} == {
            second.participant
        }


async def test_joining_with_the_python_client(api: Api) -> None:
    async with (
        Peer(api, audio=Tone(LOUD)) as speaker,
        remotemedia.connect(api.url, join=await opened(speaker), listen_only=True) as listener,
    ):
        seen = []
        async for event in listener:
            seen.append(event)
            if len(seen) > RESULTS and isinstance(event, Level):
                break
        assert isinstance(seen[0], Ready)
        assert seen[0].joined
        assert {event.session for event in seen} == {speaker.session} == {listener.id}
        assert {e.participant for e in seen if isinstance(e, Level)} == {speaker.participant}


async def opened(speaker: Peer) -> str:
    await speaker.open(pipeline="mic-level")
    return speaker.session


async def test_nobody_joins_where_there_is_no_room(api: Api) -> None:
    peers = [Peer(api, audio=Tone()) for _ in range(17)]
    try:
        await peers[0].open(pipeline="mic-energy")
        for peer in peers[1:16]:
            await peer.ask(join=peers[0].session)
        refused = await peers[16].ask(join=peers[0].session)
        assert (refused.status, refused.error["code"]) == (429, "RM-6001")
        assert "16 participants" in refused.error["message"]
        assert refused.headers["Retry-After"]
        await peers[0].wait_for("vad")
        await api.call("DELETE", f"/api/sessions/{peers[0].session}")
    finally:
        for peer in peers:
            await peer.close()
