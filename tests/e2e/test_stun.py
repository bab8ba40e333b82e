"""Connectivity checks by hand: wrong integrity, and both sides in one role."""

from __future__ import annotations

import pytest
from aioice.stun import Class

from tests.support import sdp
from tests.support.api import Api
from tests.support.peer import Peer, Tone
from tests.support.stun import check, stranger

LARGEST = 2**64 - 1
ROLE_CONFLICT = 487


def credentials(answer: str, peer: Peer) -> tuple[sdp.Credentials, sdp.Credentials]:
    return sdp.credentials(answer), sdp.credentials(peer.connection.localDescription.sdp)


async def addresses(api: Api) -> float:
    return (await api.figures())["remotemedia_live_addresses"]


async def test_a_right_name_with_a_wrong_integrity_teaches_nothing(api: Api) -> None:
    async with Peer(api, audio=Tone()) as peer:
        answer = (await peer.open(pipeline="mic-energy")).body["sdp"]
        await peer.wait_for("vad")
        server, client = credentials(answer, peer)
        before = await addresses(api)
        where = sdp.media_address(answer)
        async with stranger(where) as liar, stranger(where) as honest:
            for key in ("x" * 24, client.pwd, server.pwd[::-1]):
                for _ in range(20):
                    lie = check(server, client, key, USE_CANDIDATE=None)
                    liar.send(bytes(lie))
            # Datagrams are taken in their order: once this is answered, so were all of those.
            assert (await honest.ask(check(server, client))).message_class == Class.RESPONSE
            await peer.more("vad", 10)
            assert await addresses(api) <= before + 1, "only the honest one's may be learnt"
            assert all(each.message_class == Class.ERROR for each in liar.messages())
            assert len(liar.messages()) == len(liar.received), "something else was sent there"


async def test_an_unknown_name_gets_no_answer(api: Api) -> None:
    async with Peer(api, audio=Tone()) as peer:
        answer = (await peer.open(pipeline="mic-energy")).body["sdp"]
        await peer.wait_for("vad")
        server, client = credentials(answer, peer)
        unknown = sdp.Credentials(server.ufrag[::-1], server.pwd)
        async with stranger(sdp.media_address(answer)) as other:
            for _ in range(20):
                other.send(bytes(check(unknown, client)))
            request = check(server, client)
            await other.ask(request)
            ours = {each.transaction_id for each in other.messages() if each.message_class != 0}
            assert ours == {request.transaction_id}


@pytest.mark.parametrize(("tie_breaker", "code"), [(0, None), (LARGEST, ROLE_CONFLICT)])
async def test_a_role_conflict_is_resolved(api: Api, tie_breaker: int, code: int | None) -> None:
    """RFC 8445, section 7.3.1.1: who has the smaller tie-breaker changes its role."""
    async with Peer(api, audio=Tone()) as peer:
        # The server can check nobody, and keeps the role that it has answered with.
        answer = (await peer.ask(sdp.without_candidates, pipeline="mic-energy")).body["sdp"]
        server, client = credentials(answer, peer)
        async with stranger(sdp.media_address(answer)) as twin:
            reply = await twin.ask(check(server, client, ICE_CONTROLLED=tie_breaker))
        assert reply.check_message_integrity(server.pwd.encode())
        assert reply.error_code == code
        await peer.accept(answer)
        await peer.wait_for("vad")
