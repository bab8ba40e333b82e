"""Data by messages, by aiortc: who takes it, what comes back, what is refused."""

from __future__ import annotations

import asyncio
import json

import pytest

from remotemedia import Node, Pipeline, node
from remotemedia.host.python import session as session_module
from remotemedia.host.python.control import Refused, parse_control
from remotemedia.host.python.data import find_source
from remotemedia.host.python.faults import RuntimeFault
from remotemedia.host.python.instance import Program
from remotemedia.nodes import AudioSource, CalculatorNode, TextNode, VADNode

from .clients import Client
from .conftest import hosting


class Both(Node):
    """Hear one source and read another."""

    inputs = ("audio", "words")

    def process(self, data, session):
        """Answer what was read."""
        return {"read": data, "of": session.stream} if session.port == "words" else None


@node
async def echo(data, session):
    """Give data back."""
    if not isinstance(data, str):
        return None
    await asyncio.sleep(0.05)
    return {"said": data}


def both():
    """Make a pipeline that takes audio at one source and data at another."""
    made = Pipeline("both").add_node("mic", AudioSource()).add_node("mine", Both())
    made.add_node("words", TextNode(operation="words"))
    return made.connect("mic", "mine.audio").connect("words", "mine.words")


@pytest.fixture
async def host(loopback):
    """Serve what takes data."""
    pipelines = [
        both(),
        Pipeline("echo", echo),
        Pipeline("mic", VADNode(engine="energy")),
    ]
    async with hosting(pipelines) as made:
        yield made


async def test_audio_and_data_are_one_stream(host):
    async with Client(host) as client:
        await client.open(pipeline="both")
        await client.wait("ready")
        told = await client.control({"type": "input", "id": 7, "data": "how are you"})
        assert told == {"v": 1, "type": "accepted", "id": 7, "node": "input", "channel": "results"}
        (result,) = await client.wait("node")
        assert result["data"] == {"read": ["how", "are", "you"], "of": "audio"}
        assert (result["participant"], result["stream"], result["rtp_ts"]) == ("p1", "audio", 0)
        assert (await client.control({"type": "flush"}))["type"] == "flushed"
        (session,) = await host.sessions()
        assert len(session["participants"][0]["streams"]) <= 1


async def test_latency_counts_from_the_message_and_media_time_goes_on(host):
    async with Client(host) as client:
        await client.open(pipeline="echo")
        await client.wait("ready")
        for word in ("a", "b"):
            told = await client.control({"type": "input", "node": "echo-1", "data": word})
            assert told["node"] == "echo-1"
            await client.more("node")
        first, second = client.of("node")
        assert [first["data"], second["data"]] == [{"said": "a"}, {"said": "b"}]
        assert all(45 <= each["latency_ms"] < 5_000 for each in (first, second))
        assert second["pts_ms"] - first["pts_ms"] >= 45


@pytest.mark.parametrize(
    ("pipeline", "message", "code", "field", "words"),
    [
        ("both", {"node": "mine", "data": 1}, "RM-1003", "node", "no data goes in there: data"),
        ("both", {"node": "mic", "data": 1}, "RM-1003", "node", "no data goes in there: data"),
        ("both", {"node": "w", "data": 1}, "RM-1003", "node", "data goes into input, words"),
        ("both", {"node": "words"}, "RM-4001", "data", '"data" is missing'),
        ("both", {"node": None, "data": 1}, "RM-4001", "node", "must be a string"),
        ("both", {"data": "x" * 61_500}, "RM-4001", "data", "it has more than 61440 bytes"),
        ("both", {"data": "\ud800"}, "RM-4001", "data", "a lone surrogate"),
        ("mic", {"data": 1}, "RM-1003", "type", "takes no data"),
    ],
)
async def test_refusals_name_the_field(host, pipeline, message, code, field, words):
    async with Client(host) as client:
        await client.open(pipeline=pipeline)
        await client.wait("ready")
        error = await client.control({"type": "input", "id": 1, **message})
        assert (error["type"], error["id"]) == ("error", 1)
        assert (error["data"]["code"], error["data"]["field"]) == (code, field)
        assert words in error["data"]["message"]


async def test_who_is_being_closed_is_told_so(host):
    async with Client(host) as client:
        await client.open(pipeline="echo")
        await client.wait("node", 0)
        await client.wait("ready")
        await client.control({"type": "input", "data": "x"})
        await host.close_session(client.session)
        told = await client.control({"type": "input", "id": 2, "data": "y"})
        assert (told["data"]["code"], told["id"]) == ("RM-2005", 2)
        await client.wait("bye")
        assert [each["data"] for each in client.of("node")] == [{"said": "x"}]


async def test_a_session_has_so_many_streams_and_no_more(host, monkeypatch):
    monkeypatch.setattr(session_module, "MAX_STREAMS", 0)
    async with Client(host) as client:
        await client.open(pipeline="echo")
        await client.wait("ready")
        error = await client.control({"type": "input", "data": "x"})
        assert error["data"]["code"] == "RM-6001"


def plan_of(*sources, nodes):
    """Compile a graph of text nodes: the source of each node, by its id."""
    data = {"type": "data"}
    manifest = {
        "version": "resolved/1",
        "name": "p",
        "sources": [{"id": each, "format": data} for each in sources],
        "nodes": [
            {
                "id": each,
                "kind": "text",
                "runtime": "native",
                "params": {"operation": "length"},
                "inputs": [{"port": "in", "format": data}],
                "outputs": [{"port": "out", "format": data}],
            }
            for each in nodes
        ],
        "edges": [
            {"from": {"node": "$source", "port": source}, "to": {"node": each, "port": "in"}}
            for each, source in nodes.items()
        ],
    }
    return Program.compile(json.dumps(manifest)).plan


def test_sources_are_found_by_their_names_and_by_nodes_that_have_one_alone():
    one = plan_of("a", nodes={"n": "a"})
    assert [find_source(one, name) for name in ("", "a", "n")] == [(0, "a"), (0, "a"), (0, "n")]
    several = plan_of("a", "b", nodes={"n": "a", "m": "a", "o": "b"})
    assert (find_source(several, "b"), find_source(several, "o")) == ((1, "b"), (1, "o"))
    for name, what in (("", "say which node"), ("n", "no data goes in there"), ("x", "no such")):
        with pytest.raises(RuntimeFault, match=what) as caught:
            find_source(several, name)
        assert "data goes into a, b, o" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e5", 1e5), ("18446744073709551615", 2**64 - 1), ("18446744073709551616", 2.0**64)],
)
def test_numbers_are_read_as_the_native_runtime_does(text, value):
    data = parse_control('{"type":"input","data":' + text + "}").data
    assert (data, type(data)) == (value, type(value))


@pytest.mark.parametrize("text", ["1e999", "-1e999", "1" + "0" * 400, "1" * 5000, "NaN"])
def test_numbers_that_are_none_are_refused(text):
    with pytest.raises(Refused, match="not valid"):
        parse_control('{"type":"input","data":' + text + "}")


def test_calculators_and_texts_are_found_by_their_kind_and_number():
    for made, name in ((CalculatorNode(), "calculator-1"), (TextNode(operation="words"), "text-1")):
        plan = Program.compile(Pipeline("p", made).plan(native=True).resolved.to_json()).plan
        assert find_source(plan, name) == (0, name)
