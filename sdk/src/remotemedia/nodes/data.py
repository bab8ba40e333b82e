"""Nodes that work on values, for tests and examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from remotemedia.base import RuntimeHint
from remotemedia.nodes.native import NativeNode

if TYPE_CHECKING:
    from remotemedia.nodes.native import Parameters


class TextNode(NativeNode):
    """Work on text.

    It takes text, or ``{"text": text}``, and gives text; `length` gives the number of characters
    and `words` a list. Anything else is an error result, and the run goes on.

    Args:
        operation: what it does; `reverse` and `length` count characters (code points), `strip`
            takes white space off both ends, `words` splits at white space.
        runtime_hint: where it should run.
    """

    native_kind = "text"
    input_type = "data"
    output_type = "data"

    def __init__(
        self,
        *,
        operation: Literal["uppercase", "lowercase", "strip", "reverse", "length", "words"],
        runtime_hint: RuntimeHint = "auto",
    ) -> None:
        super().__init__(runtime_hint=runtime_hint)
        self.operation = operation

    def native_parameters(self) -> Parameters:
        """Give the operation."""
        return {"operation": self.operation}


class CalculatorNode(NativeNode):
    """Calculate.

    It takes a number, on which the operation is done with `operand`; a list of numbers, which is
    folded from the left; or ``{"operation": ..., "operands": [...]}`` (also ``"args"``), which says
    both itself. It gives a number. Division by zero and input that is none of these is an error
    result, and the run goes on.

    Args:
        operation: what it does.
        operand: the second number, where the input is one number.
        runtime_hint: where it should run.
    """

    native_kind = "calculator"
    input_type = "data"
    output_type = "data"

    def __init__(
        self,
        *,
        operation: Literal["add", "subtract", "multiply", "divide", "power", "modulo"] = "add",
        operand: float | None = None,
        runtime_hint: RuntimeHint = "auto",
    ) -> None:
        super().__init__(runtime_hint=runtime_hint)
        self.operation = operation
        self.operand = operand

    def native_parameters(self) -> Parameters:
        """Give both."""
        return {"operation": self.operation, "operand": self.operand}
