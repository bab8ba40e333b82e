"""The same connection negotiated again, replaced, trickled to; sessions ended by request."""

from __future__ import annotations

import pytest
from aiortc import VideoStreamTrack

from tests.support import sdp
from tests.support.api import Api, until
from tests.support.peer import Peer, Tone


async def test_a_second_offer_on_the_same_id_keeps_the_session(api: Api) -> None:
    async with Peer(api, audio=Tone()) as peer:
        first = await peer.open(pipeline="mic-energy")
        await peer.wait_for("vad", 10)
        second = await peer.open(pc_id=peer.pc_id)
        names = ("session_id", "pc_id", "participant")
        assert [second.body[name] for name in names] == [first.body[name] for name in names]
        await peer.more("vad", 10)
        (session,) = await api.sessions()
        assert len(session["participants"]) == 1
        assert len(session["participants"][0]["streams"]) == 1


async def test_a_second_offer_may_bring_other_media(api: Api) -> None:
    async with Peer(api, audio=Tone()) as peer:
        await peer.open(pipeline="mic-energy")
        await peer.wait_for("vad")
        peer.connection.addTransceiver(VideoStreamTrack(), direction="sendonly")
        answer = (await peer.open(pc_id=peer.pc_id)).body["sdp"]
        video = answer[answer.index("m=video") :]
        assert "a=inactive" in video
        await peer.more("vad", 10)


async def test_a_bad_second_offer_harms_nobody(api: Api) -> None:
    async with Peer(api, audio=Tone()) as peer:
        await peer.open(pipeline="mic-energy")
        await peer.wait_for("vad")
        bad = await api.offer("v=0\r\n", pc_id=peer.pc_id)
        assert (bad.status, bad.error["code"]) == (400, "RM-2001")
        altered = await api.offer(
            sdp.with_wrong_fingerprints(peer.connection.localDescription.sdp), pc_id=peer.pc_id
        )
        assert (altered.status, altered.error["code"]) == (409, "RM-2005")
        assert altered.error["field"] == "fingerprint"
        await peer.more("vad", 10)


async def test_restart_replaces_the_connection_and_keeps_the_participant(api: Api) -> None:
    async with Peer(api, audio=Tone()) as old, Peer(api, audio=Tone()) as new:
        await old.open(pipeline="mic-energy")
        await old.wait_for("vad")
        await new.open(pc_id=old.pc_id, restart_pc=True)
        assert (new.session, new.participant) == (old.session, old.participant)
        assert new.pc_id == old.pc_id
        (bye,) = await old.wait_for("bye")
        assert "replaced" in bye["data"]["reason"]
        await new.wait_for("vad", 10)
        (session,) = await api.sessions()
        assert len(session["participants"]) == 1


async def test_delete_says_bye(api: Api) -> None:
    async with Peer(api, audio=Tone()) as peer, Peer(api) as listener:
        await peer.open(pipeline="mic-energy")
        await listener.open(join=peer.session)
        await listener.wait_for("vad")
        assert (await api.call("DELETE", f"/api/sessions/{peer.session}")).status == 204
        for each in (peer, listener):
            (bye,) = await each.wait_for("bye")
            assert (bye["session"], bye["data"]["reason"]) == (peer.session, "ended by request")
            assert "code" not in bye["data"]
            assert each.messages[-1] is bye
        again = await api.call("DELETE", f"/api/sessions/{peer.session}")
        assert (again.status, again.error["code"]) in {(404, "RM-2004"), (409, "RM-2005")}


async def test_candidates_may_come_later(api: Api) -> None:
    async with Peer(api, audio=Tone()) as peer:
        await peer.open(offer=sdp.without_candidates, pipeline="mic-energy")
        lines = sdp.lines_of(peer.connection.localDescription.sdp)
        found = [line[2:] for line in lines if line.startswith("a=candidate:")]
        for line in (*found, ""):
            assert (await api.trickle(peer.pc_id, line)).status == 200
        await peer.wait_for("vad")


def host_candidate(number: int) -> str:
    return (
        f"candidate:{number} 1 udp 2130706431 127.0.0.{number % 250 + 1} {20_000 + number} typ host"
    )


async def test_hundreds_of_candidates_in_one_call(api: Api) -> None:
    async with Peer(api, audio=Tone()) as peer:
        await peer.open(pipeline="mic-energy")
        reply = await api.trickle(peer.pc_id, *map(host_candidate, range(300)))
        assert (reply.status, reply.error["code"]) == (400, "RM-2007")
        assert reply.error["field"] == "candidates"
        await peer.wait_for("vad")


async def test_hundreds_of_candidates_in_many_calls(api: Api) -> None:
    async with Peer(api, audio=Tone()) as peer:
        await peer.open(pipeline="mic-energy")
        replies = [await api.trickle(peer.pc_id, host_candidate(each)) for each in range(200)]
        taken = [reply for reply in replies if reply.status == 200]
        assert 0 < len(taken) <= 64
        assert {reply.error["code"] for reply in replies[len(taken) :]} == {"RM-2007"}
        await peer.wait_for("vad", 5)


async def test_hundreds_of_candidates_in_the_offer(api: Api) -> None:
    def crowded(text: str) -> str:
        lines = sdp.lines_of(text)
        place = next(i for i, line in enumerate(lines) if line.startswith("a=candidate:"))
        lines[place:place] = [f"a={host_candidate(each)}" for each in range(300)]
        return sdp.joined(lines)

    async with Peer(api, audio=Tone()) as peer:
        await peer.open(offer=crowded, pipeline="mic-energy")
        await peer.wait_for("vad")


@pytest.mark.parametrize("line", ["nonsense", "candidate:1 1 udp x 127.0.0.1 9 typ host"])
async def test_a_candidate_that_is_none(api: Api, line: str) -> None:
    async with Peer(api, audio=Tone()) as peer:
        await peer.open(pipeline="mic-energy")
        reply = await api.trickle(peer.pc_id, line)
        assert (reply.status, reply.error["code"]) == (400, "RM-2006")
        assert reply.error["field"] == "candidate"
        await peer.wait_for("vad")


async def test_a_wrong_fingerprint_ends_the_session_before_anything_passes(api: Api) -> None:
    async with Peer(api, audio=Tone()) as peer:
        reply = await peer.ask(sdp.with_wrong_fingerprints, pipeline="mic-energy")
        async with api.events(peer.session) as events:
            await peer.accept(reply.body["sdp"])
            told = [message async for _, message in events]
        (bye,) = told
        assert (bye["type"], bye["data"]["code"]) == ("bye", "RM-3003")
        assert peer.messages == []

        async def failed() -> bool:
            return peer.connection.connectionState in {"failed", "closed"}

        await until(failed)
        assert peer.channels[0].readyState != "open"
