"""Kinds that turn values to values: `text` and `calculator`."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING

from remotemedia.twin.chunks import Value
from remotemedia.twin.kinds.base import Context, Make, State, data_ports
from remotemedia.twin.manifest import ResolvedNode
from remotemedia.twin.params import ParamError, Params
from remotemedia.twin.values import Unfit, checked_copy

if TYPE_CHECKING:
    from pydantic import JsonValue

WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""Unicode's property White_Space; Python's own idea of it adds four control characters."""
_SPACES = str.maketrans(dict.fromkeys(WHITE_SPACE, " "))
Number = int | float
EXACT = 1 << 53
"""Whole numbers below this are exact as floats."""


class _Map(State):
    """Gives what a function makes of each value; what it raises is the frame's failure."""

    def __init__(self, function: Callable[[object], JsonValue]) -> None:
        self._function = function

    def value(self, value: Value, cx: Context) -> None:
        try:
            made = self._function(value.value)
            checked = checked_copy(made)
        except Unfit as error:
            cx.fail(value.stamp, error.of("the result"))
        except ValueError as error:
            cx.fail(value.stamp, str(error))
        else:
            cx.give(Value(value.stamp, checked))


def _words(text: str) -> JsonValue:
    return [word for word in text.translate(_SPACES).split(" ") if word]


_TEXT: dict[str, Callable[[str], JsonValue]] = {
    "uppercase": str.upper,
    "lowercase": str.lower,
    "strip": lambda text: text.strip(WHITE_SPACE),
    "reverse": lambda text: text[::-1],
    "length": len,
    "words": _words,
}


def compile_text(node: ResolvedNode) -> Make:
    """Check a node that works on text."""
    params = Params(node.params)
    function = params.choice("operation", _TEXT)
    params.finish()
    data_ports(node)

    def run(value: object) -> JsonValue:
        text = value.get("text") if isinstance(value, dict) else value
        if not isinstance(text, str):
            raise ValueError('a text node takes a text or {"text": ...}')
        return function(text)

    return lambda: _Map(run)


def _divide(a: float, b: float) -> float:
    if b == 0.0:
        raise ValueError("division by zero")
    return a / b


def _modulo(a: float, b: float) -> float:
    if b == 0.0:
        raise ValueError("division by zero")
    return a % b


def _power(a: float, b: float) -> float:
    if a == 0.0 and b < 0.0:
        raise ValueError("division by zero")
    try:
        return math.pow(a, b)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.nan


_OPERATIONS: dict[str, Callable[[float, float], float]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": _divide,
    "power": _power,
    "modulo": _modulo,
}


def compile_calculator(node: ResolvedNode) -> Make:
    """Check a node that calculates."""
    params = Params(node.params)
    operation = params.choice("operation", {name: name for name in _OPERATIONS})
    operand = params.optional_number("operand")
    params.finish()
    if operand is not None and not math.isfinite(float(operand)):
        raise ParamError("operand", "must be a finite number")
    data_ports(node)
    return lambda: _Map(lambda value: calculate(value, operation, operand))


def calculate(value: object, operation: str, operand: Number | None) -> JsonValue:
    """Calculate with a number and the operand, a list, or operation and operands of its own.

    Raises:
        ValueError: it cannot be calculated.
    """
    operands: object
    if isinstance(value, dict):
        operation, operands = _request(value)
    elif isinstance(value, list):
        operands = value
    elif operand is None:
        raise ValueError("a calculator without an operand takes a list of numbers")
    else:
        operands = [value, operand]
    if not isinstance(operands, list) or not operands:
        raise ValueError("a calculator takes a list of at least one number")
    numbers = [_number(each) for each in operands]
    function = _OPERATIONS[operation]
    result = float(numbers[0])
    for each in numbers[1:]:
        result = function(result, float(each))
    if not math.isfinite(result):
        raise ValueError("the result is not a finite number")
    whole = all(isinstance(each, int) for each in numbers)
    if whole and result.is_integer() and abs(result) < EXACT:
        return int(result)
    return result


def _request(value: dict[str, object]) -> tuple[str, object]:
    fields = set(value) - {"operation"}
    if len(fields) != 1 or not fields <= {"operands", "args"}:
        raise ValueError('a calculator takes {"operation": ..., "operands": [...]}')
    operation = value.get("operation")
    if not isinstance(operation, str) or operation not in _OPERATIONS:
        raise ValueError(f"operation must be one of {', '.join(_OPERATIONS)}")
    return operation, value[fields.pop()]


def _number(value: object) -> Number:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"a calculator takes numbers, not {type(value).__name__}")
    return value
