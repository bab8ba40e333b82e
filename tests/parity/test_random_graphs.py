"""Graphs that nobody drew, through both runtimes."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import remotemedia_runtime
from hypothesis import given, settings
from hypothesis import strategies as st
from remotemedia import twin
from remotemedia.running.backend import Backend

from tests.parity.cases import Case, Datum, End, Interrupt, Sound, Step, spoken
from tests.parity.driving import compare, drive
from tests.parity.graphs import DATA, ENERGY, PYTHON, Json, anything, audio, graph, node

TWIN = cast("Backend", twin)
NATIVE = cast("Backend", remotemedia_runtime)
MONO = audio()
MOST_NODES = 7
MOST_STEPS = 8

ms = st.integers(10, 90)
gains = st.floats(-20.0, 6.0, width=32)


@st.composite
def nodes_of(draw: st.DrawFn, index: int) -> Json:
    """A node that takes and gives audio."""
    name = f"n{index}"
    kind = draw(
        st.sampled_from(["gain", "vad", "level", "buffer", "pass_through", "sink", "mix", "python"])
    )
    if kind == "mix":
        inputs = {f"in-{port + 1}": MONO for port in range(draw(st.integers(2, 4)))}
        return node(name, kind, {"gains_db": [draw(gains) for _ in inputs]}, inputs, MONO)
    if kind == "python":
        outputs = {"out": anything(), "more": anything()}
        return node(name, kind, PYTHON, anything(), outputs)
    duration = draw(ms)
    params: dict[str, Json] = {
        "gain": {"gain_db": draw(gains)},
        "vad": {
            **ENERGY,
            "min_speech_ms": draw(ms),
            "emit": draw(st.sampled_from(["all", "events"])),
        },
        "level": {"interval_ms": draw(ms)},
        "buffer": {"duration_ms": duration, "overlap_ms": draw(st.integers(0, duration - 1))},
        "pass_through": {},
        "sink": {},
    }
    return node(name, kind, params[kind], MONO, MONO)


@st.composite
def manifests(draw: st.DrawFn) -> Json:
    """A graph without cycles: each input is fed by something before it."""
    sources = ["a", "b"][: draw(st.integers(1, 2))]
    outputs = [f"$source.{name}" for name in sources]
    nodes, edges = [], []
    for index in range(draw(st.integers(1, MOST_NODES))):
        made = draw(nodes_of(index))
        ports = [f"{made['id']}.{port['port']}" for port in made["inputs"]]
        edges += [f"{draw(st.sampled_from(outputs))} > {port}" for port in ports]
        outputs += [f"{made['id']}.{port['port']}" for port in made["outputs"]]
        nodes.append(made)
    order = draw(st.permutations(nodes))
    return graph(dict.fromkeys(sources, MONO), order, *edges)


@st.composite
def steps_of(draw: st.DrawFn, manifest: Json) -> list[Step]:
    """Pushes of any length, jumps, ends and interrupts."""
    names = [source["id"] for source in manifest["sources"]]
    steps: list[Step] = []
    ended: set[str] = set()
    for _ in range(draw(st.integers(1, MOST_STEPS))):
        source = draw(st.sampled_from(names))
        what = draw(st.integers(0, 19))
        if what == 0:
            steps.append(Interrupt())
        elif what == 1:
            ended.add(source)
            steps.append(End(source))
        elif source not in ended:
            at, length = draw(st.integers(0, 60_000)), draw(st.integers(1, 6_000))
            jump = draw(st.integers(0, 20_000_000)) if what == 2 else None
            steps.append(Sound(spoken()[at : at + length], jump, source))
    return steps


def worker(item: Any) -> list[tuple[str, str, object]]:
    """Passes every other frame by another port, and tells the end."""
    if item.samples is None:
        return (
            [("out", "data", item.port)] if item.value is None else [("more", "data", item.value)]
        )
    port = "more" if item.seq % 2 else "out"
    return [(port, "audio", item.samples * np.float32(0.9)), ("more", "data", item.seq)]


@given(data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_twin_runs_any_graph_to_its_end(data: st.DataObject) -> None:
    manifest = data.draw(manifests())
    steps = data.draw(steps_of(manifest))
    case = Case("random", manifest, lambda: steps, worker)
    first = drive(TWIN, case)
    compare(case, drive(TWIN, case), first)


@given(data=st.data())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_both_give_the_same_of_any_graph(data: st.DataObject) -> None:
    manifest = data.draw(manifests())
    steps = data.draw(steps_of(manifest))
    case = Case("random", manifest, lambda: steps, worker)
    compare(case, drive(TWIN, case), drive(NATIVE, case))


texts = st.text(max_size=12)
numbers = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
operations = ["add", "subtract", "multiply", "divide", "power", "modulo"]
requests = st.fixed_dictionaries(
    {"operation": st.sampled_from(operations), "operands": st.lists(numbers, max_size=4)}
)


def value_case(kind: str, params: Json, values: list[Any]) -> Case:
    """Values through one node."""
    made = node("node", kind, params, DATA, DATA)
    manifest = graph({"input": DATA}, [made], "$source.input > node.in")
    return Case("values", manifest, lambda: [Datum(value) for value in values])


@given(
    operation=st.sampled_from(["uppercase", "lowercase", "strip", "reverse", "length", "words"]),
    values=st.lists(texts, min_size=1, max_size=20),
)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_both_treat_text_alike(operation: str, values: list[str]) -> None:
    case = value_case("text", {"operation": operation}, values)
    compare(case, drive(TWIN, case), drive(NATIVE, case))


@given(
    operation=st.sampled_from(operations),
    operand=st.none() | numbers,
    values=st.lists(numbers | st.lists(numbers, max_size=4) | requests, min_size=1, max_size=10),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_both_calculate_alike(operation: str, operand: Any, values: list[Any]) -> None:
    case = value_case("calculator", {"operation": operation, "operand": operand}, values)
    compare(case, drive(TWIN, case), drive(NATIVE, case))
