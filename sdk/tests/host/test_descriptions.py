"""Offers read, judged and answered, without a connection."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotemedia.formats import AudioFormat
from remotemedia.host.python.candidates import parse_candidate
from remotemedia.host.python.faults import RuntimeFault
from remotemedia.host.python.negotiation import (
    Local,
    negotiate,
    opus_parameters,
    write_answer,
    write_inner,
)
from remotemedia.host.python.offers import MAX_LINES, MAX_MEDIA, parse

FINGERPRINT = ":".join(["0A"] * 32)
TRANSPORT = [
    "a=ice-ufrag:abcd",
    "a=ice-pwd:0123456789012345678901",
    f"a=fingerprint:sha-256 {FINGERPRINT}",
    "a=setup:actpass",
]
AUDIO = [
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 0",
    "a=mid:0",
    *TRANSPORT,
    "a=sendrecv",
    "a=rtcp-mux",
    "a=fmtp:111 minptime=10",
    "a=rtpmap:111 opus/48000/2",
    "a=rtpmap:0 PCMU/8000",
    "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
    "a=ssrc:1234 cname:x",
    "a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host",
]
VIDEO = [
    "m=video 9 UDP/TLS/RTP/SAVPF 96",
    "a=mid:1",
    *TRANSPORT,
    "a=sendrecv",
    "a=rtcp-mux",
    "a=rtpmap:96 VP8/90000",
]
DATA = ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=mid:2", *TRANSPORT]
OTHER = ["m=text 9 UDP/TLS/RTP/SAVPF 98", "a=mid:3"]
LOCAL = Local("uuuu", "p" * 22, FINGERPRINT, ["candidate:1 1 udp 1 192.0.2.2 6000 typ host"], True)
MONO = AudioFormat(16000, 1)


def description(*sections, bundle="0 1 2 3", session=()):
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", *session]
    if bundle is not None:
        lines.append(f"a=group:BUNDLE {bundle}")
    for section in sections:
        lines += section
    return "".join(f"{line}\r\n" for line in lines)


def agree(text, required=True, channels=0):
    audio = "required" if required else "optional"
    return negotiate(parse(text), audio=audio, sent_channels=channels)


def without(section, start):
    return [line for line in section if not line.startswith(start)]


def replaced(section, old, new):
    return [line.replace(old, new) for line in section]


def refused(text):
    with pytest.raises(RuntimeFault) as caught:
        agree(text)
    return caught.value


def code_of(call):
    try:
        call()
    except RuntimeFault as error:
        return error.code
    return None


def test_every_section_is_answered_in_its_order():
    agreed = agree(description(VIDEO, AUDIO, OTHER, DATA))
    assert agreed.uses == ("inactive", "audio", "rejected", "data")
    answer = write_answer(agreed, LOCAL, MONO, 5, 1).splitlines()
    assert [line for line in answer if line.startswith("m=")] == [
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "m=text 0 UDP/TLS/RTP/SAVPF 98",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    ]
    assert "a=group:BUNDLE 0 1 2" in answer
    assert [line for line in answer if line.startswith("a=mid")] == [
        "a=mid:1",
        "a=mid:0",
        "a=mid:3",
        "a=mid:2",
    ]
    assert "a=fmtp:111 minptime=10;maxplaybackrate=16000" in answer
    assert answer.count("a=setup:active") == 3
    # The candidates stand in the first section of the group that is accepted.
    assert answer.index("a=candidate:1 1 udp 1 192.0.2.2 6000 typ host") > answer.index("a=mid:0")


def test_aiortc_is_given_what_carries_something():
    agreed = agree(description(VIDEO, OTHER, AUDIO, DATA))
    inner = write_inner(agreed, ["2", "0"], "actpass").splitlines()
    assert [line for line in inner if line.startswith(("m=", "a=mid", "a=group"))] == [
        "a=group:BUNDLE 2 0",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "a=mid:2",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=mid:0",
    ]
    assert not [line for line in inner if "candidate" in line or "PCMU" in line]


def test_without_a_group_one_section_is_accepted():
    assert agree(description(AUDIO, DATA, bundle=None)).uses == ("audio", "rejected")


def test_attributes_may_stand_at_the_session():
    audio = [line for line in AUDIO if line not in TRANSPORT]
    agreed = agree(description(audio, session=TRANSPORT))
    assert (agreed.transport.ufrag, agreed.transport.setup) == ("abcd", "actpass")


def test_candidates_may_stand_in_another_section():
    data = [*DATA, "a=candidate:9 1 udp 1 192.0.2.1 1 typ host"]
    agreed = agree(description(without(AUDIO, "a=candidate"), data))
    assert agreed.candidates == ["candidate:9 1 udp 1 192.0.2.1 1 typ host"]


@pytest.mark.parametrize(
    ("lines", "size"),
    [([], 65536), (["a=max-message-size:99"], 99), (["a=max-message-size:0"], 2**62)],
)
def test_how_much_a_client_takes(lines, size):
    assert agree(description(AUDIO, [*DATA, *lines])).max_message_size == size


@pytest.mark.parametrize(
    ("offered", "channels", "use", "answered", "inner"),
    [
        ("sendrecv", 1, "audio", "sendrecv", "sendrecv"),
        ("sendrecv", 0, "audio", "recvonly", "sendonly"),
        ("sendonly", 1, "audio", "recvonly", "sendonly"),
        ("recvonly", 1, "voice", "sendonly", "recvonly"),
        ("recvonly", 0, "inactive", "inactive", None),
        ("inactive", 1, "inactive", "inactive", None),
    ],
)
def test_audio_is_sent_to_who_wants_it(offered, channels, use, answered, inner):
    section = replaced(AUDIO, "a=sendrecv", f"a={offered}")
    agreed = agree(description(section, DATA), required=False, channels=channels)
    assert agreed.uses == (use, "data")
    local = replace(LOCAL, source=(77, "us"))
    answer = write_answer(agreed, local, MONO, 5, 1).splitlines()
    assert f"a={answered}" in answer
    assert ("a=ssrc:77 cname:us" in answer) is answered.startswith("send")
    assert ("a=msid:us us-audio" in answer) is answered.startswith("send")
    if inner is not None:
        assert f"a={inner}" in write_inner(agreed, ["0", "2"], "actpass").splitlines()


def test_the_first_section_in_which_audio_is_heard_carries_it():
    deaf = replaced(replaced(AUDIO, "a=sendrecv", "a=sendonly"), "a=mid:0", "a=mid:3")
    second = replaced(AUDIO, "a=mid:0", "a=mid:4")
    offer = description(deaf, AUDIO, second, bundle="3 0 4")
    agreed = agree(offer, channels=1)
    assert (agreed.uses, agreed.voice, agreed.voice_mid) == (("audio",) * 3, 1, "0")
    answer = write_answer(agreed, replace(LOCAL, source=(77, "us")), MONO, 5, 1).splitlines()
    directions = [line for line in answer if line in {"a=recvonly", "a=sendrecv"}]
    assert directions == ["a=recvonly", "a=sendrecv", "a=recvonly"]
    assert answer.count("a=ssrc:77 cname:us") == 1


def test_audio_that_is_required_must_come():
    section = replaced(AUDIO, "a=sendrecv", "a=recvonly")
    assert code_of(lambda: agree(description(section, DATA), channels=1)) == "RM-2002"
    # Who joins to listen needs no data channel.
    agreed = agree(description(section), required=False, channels=1)
    assert agreed.uses == ("voice",)


@pytest.mark.parametrize(("wished", "channels"), [(True, 2), (True, 1), (False, 2)])
def test_stereo_is_sent_where_it_is_wished_and_there(wished, channels):
    section = replaced(AUDIO, "minptime=10", "minptime=10;stereo=1") if wished else AUDIO
    agreed = agree(description(section), channels=channels)
    assert agreed.stereo is (wished and channels > 1)
    assert agreed.wishes.stereo is wished
    answer = write_answer(agreed, LOCAL, MONO, 5, 1)
    assert ("sprop-stereo=1" in answer) is agreed.stereo


@pytest.mark.parametrize(
    ("receive", "told"),
    [
        (AudioFormat(8000, 1), "minptime=10;maxplaybackrate=8000"),
        (AudioFormat(22050, 2), "minptime=10;stereo=1;maxplaybackrate=24000"),
        (AudioFormat(48000, 1), "minptime=10"),
    ],
)
def test_no_more_bandwidth_is_asked_for_than_is_of_use(receive, told):
    assert opus_parameters(receive) == told


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "sdp"),
        ("v" * 300_000, "sdp"),
        ("v=0\r\n", "sdp"),
        ("hello", "line 1"),
        ("v=1\r\n", "line 1"),
        ("v=0\r\na=\x00", "line 2"),
        ("v=0\r\n" * (MAX_LINES + 1), f"line {MAX_LINES + 1}"),
        ("v=0\r\nm=audio\r\n", "line 2"),
        ("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF\r\n", "line 2"),
        ("v=0\r\nm=audio x UDP/TLS/RTP/SAVPF 1\r\n", "line 2"),
        ("v=0\r\nm=audio 70000 UDP/TLS/RTP/SAVPF 1\r\n", "line 2"),
        ("v=0\r\n" + "m=audio 9 X 1\r\n" * (MAX_MEDIA + 1), f"line {MAX_MEDIA + 2}"),
        (description(AUDIO, AUDIO), "media[1].mid"),
        (description(without(AUDIO, "a=ice-ufrag")), "media[0].ice-ufrag"),
        (description(without(AUDIO, "a=ice-pwd")), "media[0].ice-pwd"),
        (description(without(AUDIO, "a=fingerprint")), "media[0].fingerprint:sha-256"),
        (description(without(AUDIO, "a=rtcp-mux")), "media[0].rtcp-mux"),
        (description(without(AUDIO, "a=mid"), bundle=None), "media[0].mid"),
        (description(AUDIO, without(DATA, "a=mid"), bundle=None), None),
    ],
)
def test_what_is_wrong_is_named(text, field):
    if field is None:
        assert agree(text).uses == ("audio", "rejected")
        return
    error = refused(text)
    assert (error.code, error.field) == ("RM-2001", field)


@pytest.mark.parametrize(
    "line",
    [
        "a=ice-ufrag:abc",
        "a=ice-pwd:short",
        "a=ice-ufrag:ab:cd",
        "a=fingerprint:sha-256 12",
        "a=setup:maybe",
        "a=mid:a b",
        "a=mid:",
        "a=rtpmap:x opus/48000/2",
        "a=rtpmap:200 opus/48000/2",
        "a=rtpmap:111 opus",
        "a=extmap:x urn",
        "a=extmap:3",
        "a=ssrc:-1",
        "a=ssrc:" + "9" * 40,
        "a=sctp-port:70000",
        "a=max-message-size:x",
    ],
)
def test_a_line_that_cannot_be_read_is_named(line):
    error = refused(description([*AUDIO, line]))
    assert (error.code, error.field) == ("RM-2001", f"line {6 + len(AUDIO)}")


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (VIDEO, "offer has none"),
        (replaced(AUDIO, "sendrecv", "recvonly"), "sendonly"),
        (replaced(AUDIO, "opus/48000/2", "opus/48000"), "not offered"),
        (replaced(AUDIO, "111", "72"), "not offered"),
        (replaced(AUDIO, "audio 9", "audio 0"), "offer has none"),
    ],
)
def test_audio_that_cannot_be_received(section, words):
    error = refused(description(section, DATA))
    assert (error.code, words in error.message) == ("RM-2002", True)


def test_who_joins_needs_no_audio_but_something():
    assert agree(description(VIDEO, DATA), required=False).uses == ("inactive", "data")
    with pytest.raises(RuntimeFault, match="nothing in the offer"):
        agree(description(VIDEO), required=False)


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text):
    for offered in (text, description(AUDIO) + text):
        assert code_of(lambda offered=offered: parse(offered)) in {None, "RM-2001"}


@given(st.data())
def test_damaged_offers_are_answered_or_refused(data):
    text = description(AUDIO, VIDEO, DATA)
    place = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 40))
    text = text[:place] + data.draw(st.text(max_size=10)) + text[place + length :]
    code = code_of(lambda: agree(text))
    assert code in {None, "RM-2001", "RM-2002"}
    if code is None:
        agreed = agree(text)
        answer = write_answer(agreed, LOCAL, MONO, 1, 1)
        assert answer.count("\r\nm=") == len(agreed.offer.media)


@pytest.mark.parametrize(
    "line",
    [
        "candidate:1 1 udp 1 192.0.2.1 9 typ host",
        "a=candidate:1 1 UDP 1 2001:db8::1 9 typ srflx raddr 0.0.0.0 rport 9",
    ],
)
def test_a_candidate(line):
    assert parse_candidate(line).port == 9


@pytest.mark.parametrize(
    "line",
    [
        "candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active",
        "candidate:1 2 udp 1 192.0.2.1 9 typ host",
        "candidate:1 1 udp 1 0f1e.local 9 typ host",
        "candidate:1 1 udp 1 192.0.2.1 0 typ host",
    ],
)
def test_a_candidate_that_is_of_no_use(line):
    assert parse_candidate(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "candidate:1 1 udp 1 192.0.2.1 9",
        "candidate:1 1 udp 1 192.0.2.1 9 tip host",
        "candidate:1 1 udp 1 192.0.2.1 9 typ guest",
        "candidate:1 x udp 1 192.0.2.1 9 typ host",
        "candidate:1 1 udp 99999999999 192.0.2.1 9 typ host",
        "candidate:1 1 udp 1 !! 9 typ host",
        "candidate:" + "1" * 33 + " 1 udp 1 192.0.2.1 9 typ host",
        "candidate:" + "1" * 2000,
    ],
)
def test_what_is_no_candidate(line):
    with pytest.raises(RuntimeFault) as caught:
        parse_candidate(line)
    assert (caught.value.code, caught.value.field) == ("RM-2006", "candidate")
