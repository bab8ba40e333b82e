"""The twin's kinds for values."""

from __future__ import annotations

from typing import Any

import pytest

from remotemedia.errors import NODE_FAILED
from remotemedia.twin import RuntimeFault

from .graphs import DATA, chain, data, events, graph, node, start, values


def text(operation: str) -> dict[str, Any]:
    return chain(DATA, node("text", {"operation": operation}, DATA, DATA))


def calculator(operation: str, operand: Any = None) -> dict[str, Any]:
    params = {"operation": operation, "operand": operand}
    return chain(DATA, node("calculator", params, DATA, DATA))


@pytest.mark.parametrize(
    ("operation", "given", "made"),
    [
        ("uppercase", "straße", "STRASSE"),
        ("lowercase", "ÄB", "äb"),
        ("strip", "\u2003 a b\n", "a b"),
        ("strip", "\x1ca", "\x1ca"),
        ("reverse", "añb", "bña"),
        ("length", "añ😀", 3),
        ("words", " one\u3000two\n\nthree ", ["one", "two", "three"]),
        ("words", "  ", []),
        ("uppercase", {"text": "a", "lang": "en"}, "A"),
    ],
)
def test_text(operation: str, given: Any, made: Any) -> None:
    assert data(values(text(operation), given)) == [made]


@pytest.mark.parametrize(
    ("operation", "operand", "given", "made"),
    [
        ("add", 2, 3, 5),
        ("add", 2.5, 3, 5.5),
        ("subtract", None, [10, 3, 2], 5),
        ("multiply", None, [2, 0.5], 1.0),
        ("divide", 4, 10, 2.5),
        ("power", 10, 2, 1024),
        ("power", -1, 2, 0.5),
        ("modulo", 3, 7, 1),
        ("add", None, [4], 4),
        ("add", 1, {"operation": "multiply", "operands": [3, 4]}, 12),
        ("add", 1, {"operation": "divide", "args": [3, 4]}, 0.75),
    ],
)
def test_calculator(operation: str, operand: Any, given: Any, made: Any) -> None:
    [result] = data(values(calculator(operation, operand), given))
    assert result == made
    assert type(result) is type(made)


@pytest.mark.parametrize(
    ("operation", "operand", "given"),
    [
        ("divide", 0, 1),
        ("modulo", 0, 1),
        ("power", -1, 0),
        ("power", 0.5, -2),
        ("power", 9999, 9999),
        ("multiply", 1e300, 1e300),
        ("add", None, 1),
        ("add", 1, "2"),
        ("add", 1, True),
        ("add", 1, None),
        ("add", 1, []),
        ("add", 1, [1, "2"]),
        ("add", 1, {"operation": "root", "operands": [1]}),
        ("add", 1, {"operation": "add"}),
        ("add", 1, {"operands": [1, 2]}),
        ("add", 1, {"operation": "add", "operands": 3}),
        ("add", 1, {"operation": "add", "operands": [1], "args": [2]}),
    ],
)
def test_what_cannot_be_calculated_fails_and_the_run_goes_on(
    operation: str, operand: Any, given: Any
) -> None:
    made = start(calculator(operation, operand), metrics=True)
    made.push_data("input", given)
    made.push_data("input", [8, 2])
    made.end()
    failed, then = events(made.poll())
    assert (failed["type"], failed["data"]["code"]) == ("error", NODE_FAILED)
    assert then["type"] == "node"
    figures = made.metrics()["calculator"]
    assert isinstance(figures, dict)
    assert figures["error_count"] == 1


def test_a_result_may_be_too_long() -> None:
    [failed] = data(values(text("uppercase"), "ΐ" * 20_000), "error")
    assert "the result has more than" in failed["message"]


def test_wrong_text_fails() -> None:
    failed = data(values(text("strip"), 3, {"txt": "a"}, ["a"]), "error")
    assert [each["code"] for each in failed] == [NODE_FAILED] * 3


def test_values_go_to_all_who_take_them_and_each_has_its_own() -> None:
    nodes = [
        node("text", {"operation": "words"}, DATA, DATA, "words"),
        node("text", {"operation": "length"}, DATA, DATA, "length"),
        node("pass_through", {}, DATA, DATA, "same"),
    ]
    edges = [f"$source.input > {each['id']}.in" for each in nodes]
    outputs = values(graph({"input": DATA}, nodes, *edges), "a b")
    assert [(o.node, o.message and o.message["data"]) for o in outputs] == [
        ("words", ["a", "b"]),
        ("length", 3),
        ("same", "a b"),
    ]
    assert [o.message and o.message["seq"] for o in outputs] == [0, 1, 2]


@pytest.mark.parametrize(
    "value", [b"x", float("nan"), {1: 2}, {"a": object()}, "x" * 70_000, 1 << 64]
)
def test_what_is_no_value_is_refused(value: object) -> None:
    made = start(text("strip"))
    with pytest.raises(RuntimeFault) as caught:
        made.push_data("input", value)
    assert caught.value.field == "value"


def test_deep_values_are_refused() -> None:
    deep: list[Any] = []
    for _ in range(32):
        deep = [deep]
    with pytest.raises(RuntimeFault, match="32 deep"):
        start(text("strip")).push_data("input", deep)
