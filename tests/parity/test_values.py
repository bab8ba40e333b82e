"""Values and the order of results: the same from both runtimes, and the same words where wrong."""

from __future__ import annotations

from typing import Any

import pytest
from remotemedia import ManifestError, Pipeline, TransientError, node
from remotemedia.nodes.data import CalculatorNode
from remotemedia.runtime import SWITCH, unavailable

TRIED: list[int] = []


@node
def flaky(value: Any) -> Any:
    """Fail on 1 once, on 4 always."""
    TRIED.append(value)
    if value == 4 or (value == 1 and TRIED.count(1) == 1):
        raise TransientError("again")
    return {"value": value}


@node
def same(value: Any) -> Any:
    """Give what comes."""
    return value


@pytest.fixture(params=["native", "twin"])
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run by each."""
    name: str = request.param
    if name == "twin":
        monkeypatch.setenv(SWITCH, "0")
    elif unavailable("Run")[0] is None:
        pytest.skip("the native runtime has no Run")
    return name


@pytest.mark.parametrize("behind", [(), (same,)], ids=["alone", "with a node behind"])
def test_what_is_tried_again_keeps_its_place(runtime: str, behind: tuple[Any, ...]) -> None:
    TRIED.clear()
    result = Pipeline("p", flaky, *behind).run(iter(range(7)))
    assert [getattr(each, "data", {}).get("value") for each in result.events] == [
        *(0, 1, 2, 3),
        None,
        *(5, 6),
    ]
    assert [each.message for each in result.errors] == ["TransientError: again"]
    assert (TRIED.count(1), TRIED.count(2), TRIED.count(4)) == (2, 1, 4)


@pytest.mark.parametrize("value", [(1 << 64) - 1, -(1 << 63), 1e308, 0.1, True])
def test_numbers_of_64_bits_pass_as_they_are(runtime: str, value: object) -> None:
    (given,) = Pipeline(same).run(value).values
    assert given == value
    assert type(given) is type(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1 << 64, "the value is an integer of more than 64 bits: return it as text."),
        (-(1 << 63) - 1, "the value is an integer of more than 64 bits: return it as text."),
        ([1, {"a": 1 << 80}], 'the value[1]["a"] is an integer of more than 64 bits'),
        (float("nan"), "the value is nan, which JSON cannot say: return None instead."),
        ([float("-inf")], "the value[0] is -inf, which JSON cannot say"),
        ({"a": {1: 2}}, 'the value["a"] has the key 1: keys must be text.'),
        ({"a": b"x"}, 'the value["a"] is a bytes, which is not JSON: return dicts'),
    ],
)
def test_what_is_no_value_is_refused_in_the_same_words(
    runtime: str, value: object, words: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        Pipeline(CalculatorNode(operand=1)).run(value)
    assert caught.value.message.startswith(words)


@pytest.mark.parametrize("value", [1 << 64, [1 << 70], {"a": 1 << 64}])
def test_a_node_that_gives_no_value_fails_in_the_same_words(runtime: str, value: object) -> None:
    @node
    def large(_: object) -> object:
        return value

    result = Pipeline(large).run(1)
    (error,) = result.errors
    assert error.message.startswith("the result")
    assert "is an integer of more than 64 bits: return it as text." in error.message
