"""Nodes of one's own: the base class and the decorator."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import re
import sys
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    ClassVar,
    Generic,
    Literal,
    ParamSpec,
    TypeVar,
    cast,
    get_args,
    overload,
)

from remotemedia import _parameters
from remotemedia.errors import NotInThisVersion, ParameterError

if TYPE_CHECKING:
    from typing_extensions import Self

RuntimeHint = Literal["auto", "rust", "python"]
"""Where a node should run: the planner's choice, natively, or in Python."""
Isolation = Literal["thread", "process"]
"""Where a Python node runs: ``thread`` is in this process, ``process`` in one of its own."""
PortType = Literal["audio", "data", "any"]
"""What goes through a port: audio, a JSON value, or whatever a Python node takes and gives."""

IN_PORT = "in"
"""The input of a node that has one."""
OUT_PORT = "out"
"""The output of a node that has one."""
MAX_PORTS = 16
"""The most inputs, and the most outputs, that a node may have."""

_OPTIONS = ("input_rate", "input_channels", "output_rate", "output_channels", "isolation")
"""What `node` takes."""

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Out:
    """A result for one of several outputs: ``return Out("left", audio)``.

    Attributes:
        port: the output's name, one of the node's `Node.outputs`.
        value: what a node may return without it.
    """

    port: str
    value: object


class _Done:
    """Nothing to wait for, whether it is awaited or not: ``await super().initialize()``."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


_DONE = _Done()


class Node:
    """The base of every node.

    A node object in a pipeline is a recipe: each stream of each session works with an instance of
    its own, made with the same arguments, so state is never shared. Give a subclass a method
    ``process`` that takes the payload, and the `NodeSession` if it wants to know more::

        class Peak(Node):
            def process(self, audio):
                return {"peak": float(abs(audio).max())}

    ``process`` may be ``def``, ``async def``, a generator or an async generator. It gets an
    array of its own, ``(n,)`` or ``(channels, n)``; annotated with `AudioFrame` it gets the frame,
    with a tuple the array and its rate. It returns a dict or another JSON value (a ``node``
    result), an array (audio for what follows), a list of these, or None.

    What a generator yields leaves as it is yielded, and stays even if it fails later; `run` alone
    gives all or nothing of a frame. It may yield 16,384 results a frame, in a session no more than
    a thousand a second after the first 256; with one more the frame fails. When a client
    interrupts, or its session ends, it is closed at its next ``yield``: the ``finally`` blocks run,
    and the next frame is processed as ever. One that waits for something goes on until then, or for
    a second after the session's end where it is ``async def``; `on_interrupt` may end the waiting.

    A node with several inputs or outputs names them in ``inputs`` and ``outputs``. It sees by
    ``session.port`` where a payload comes from, and returns ``Out("name", value)`` for an output;
    anything else goes to the first.

    Attributes:
        inputs: names of the inputs; `connect` says ``node.name``.
        outputs: names of the outputs.
        input_rate: the rate in hertz that ``process`` wants; None takes what comes.
        input_channels: the same for channels.
        output_rate: the rate of the audio that ``process`` returns; None is the input's.
        output_channels: the same for channels.
        isolation: ``process`` runs the node in a process of its own, one for all streams. Should
            it die, hang or be killed, it is replaced; frames that it held are reported as lost,
            and streams begin anew. The class must be importable, its arguments picklable.
    """

    inputs: tuple[str, ...] = (IN_PORT,)
    outputs: tuple[str, ...] = (OUT_PORT,)
    input_rate: int | None = None
    input_channels: int | None = None
    output_rate: int | None = None
    output_channels: int | None = None
    runtime_hint: RuntimeHint = "auto"
    isolation: Isolation = "thread"

    _made_with: tuple[tuple[object, ...], Mapping[str, object]]
    _bound: Mapping[str, object]

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """Check the keywords and remember the arguments, from which instances are made."""
        self = super().__new__(cls)
        self._bound = _parameters.bind(cls, args, kwargs)
        self._made_with = (args, kwargs)
        return self

    def __init__(
        self,
        name: str | None = None,
        *,
        runtime_hint: RuntimeHint | None = None,
        isolation: Isolation | None = None,
        **config: object,
    ) -> None:
        """Take what every node takes.

        Args:
            name: kept for the node's own use; None is the name of the class.
            runtime_hint: where the node should run; None is what its class says.
            isolation: where a Python node runs; ``process`` is a process of its own; None is what
                its class says.
            config: kept as ``self.config``, where a class takes any keyword and passes it on.

        Raises:
            ParameterError: a value is none of those that there are.
        """
        self.name = name or type(self).__name__
        self.config: Mapping[str, object] = config
        self.logger = logging.getLogger(type(self).__module__)
        if runtime_hint is not None:
            self.runtime_hint = runtime_hint
        if isolation is not None:
            self.isolation = isolation
        _parameters.check_choice("runtime_hint", self.runtime_hint, get_args(RuntimeHint))
        _parameters.check_choice("isolation", self.isolation, get_args(Isolation))

    def __getnewargs_ex__(self) -> tuple[tuple[object, ...], dict[str, object]]:
        """Let copies and pickles be made with the same arguments."""
        args, kwargs = self._made_with
        return args, dict(kwargs)

    def initialize(self) -> Awaitable[None] | None:
        """Prepare, before the first frame. May be ``async def``."""
        return _DONE

    def flush(self) -> object:
        """End of input: write out what is held back. May be ``async def``."""
        return None

    def cleanup(self) -> Awaitable[None] | None:
        """Free what `initialize` took, when the session has ended. May be ``async def``."""
        return _DONE

    def on_interrupt(self) -> Awaitable[None] | None:
        """Stop what is being said: a client interrupts. May be ``async def``.

        In a served pipeline it is called at once, even while `process` is at work: on the same
        event loop for an ``async def process``, else on another thread. What `process` still gives
        for the frames that it has is dropped, and a generator is closed at its next ``yield``.
        While one call lasts there is no second.
        """
        return _DONE

    @property
    def kind(self) -> str:
        """The name from which ids are made: ``vad`` for `VADNode`."""
        return kind_of(type(self).__name__)

    @property
    def arguments(self) -> Mapping[str, object]:
        """The arguments that the constructor was given, by name."""
        return self._bound

    def fresh(self) -> Node:
        """Make another instance with the same arguments."""
        args, kwargs = self._made_with
        return cast("Callable[..., Node]", type(self))(*args, **kwargs)


class FunctionNode(Node, Generic[P, R]):
    """A node from a function, as `node` makes it. Calling it calls the function."""

    def __init__(
        self,
        function: Callable[P, R],
        *,
        input_rate: int | None = None,
        input_channels: int | None = None,
        output_rate: int | None = None,
        output_channels: int | None = None,
        isolation: Isolation = "thread",
    ) -> None:
        """Wrap `function`; see `node` for the other arguments."""
        super().__init__(function.__name__, isolation=isolation)
        functools.update_wrapper(self, function, updated=())
        self.function = function
        self.input_rate = input_rate
        self.input_channels = input_channels
        self.output_rate = output_rate
        self.output_channels = output_channels

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        return self.function(*args, **kwargs)

    @property
    def kind(self) -> str:
        """The function's name."""
        return identifier(self.function.__name__)

    def fresh(self) -> Node:
        """Give itself: a function has no state; `NodeSession.state` is for that."""
        return self


@overload
def node(function: Callable[P, R], /) -> FunctionNode[P, R]: ...


@overload
def node(
    *,
    input_rate: int | None = None,
    input_channels: int | None = None,
    output_rate: int | None = None,
    output_channels: int | None = None,
    isolation: Isolation = "thread",
) -> Callable[[Callable[P, R]], FunctionNode[P, R]]: ...


def node(
    function: Callable[P, R] | None = None,
    /,
    *,
    input_rate: int | None = None,
    input_channels: int | None = None,
    output_rate: int | None = None,
    output_channels: int | None = None,
    isolation: Isolation = "thread",
    **unknown: object,
) -> FunctionNode[P, R] | Callable[[Callable[P, R]], FunctionNode[P, R]]:
    """Make a node of a function that takes ``(audio)`` or ``(audio, session)``.

    ::

        @node
        async def shout(audio, session):
            return {"loud": float(abs(audio).max()) > 0.5}

    ``async def`` functions run on an event loop of their own, others on threads, so that they may
    block. What they are given and may return is said at `Node`.

    Args:
        function: the function, when the decorator is used without arguments.
        input_rate: rate in hertz that it wants; None takes what comes.
        input_channels: the same for channels.
        output_rate: rate of the audio that it returns; None is the input's.
        output_channels: the same for channels.
        isolation: ``process`` runs it in a process of its own, which may fail or block as it likes;
            the function must be at the top level of a module.
        unknown: nothing; what is not known is refused.

    Raises:
        ParameterError: it is given something else.
    """
    _parameters.check_names("node", unknown, _OPTIONS)

    def wrap(function: Callable[P, R]) -> FunctionNode[P, R]:
        if not callable(function) or not hasattr(function, "__name__"):
            raise ParameterError(f"@node takes a function, not {_parameters.shorten(function)}.")
        return FunctionNode(
            function,
            input_rate=input_rate,
            input_channels=input_channels,
            output_rate=output_rate,
            output_channels=output_channels,
            isolation=isolation,
        )

    return wrap if function is None else wrap(function)


class BuiltinNode(Node):
    """The base of the node types of this package: their arguments are checked at once."""

    node_type: ClassVar[str]
    """The name in a manifest."""
    live_parameters: ClassVar[frozenset[str]] = frozenset()
    """What a client may change while a session runs."""
    input_type: ClassVar[PortType] = "audio"
    """What its inputs take."""
    output_type: ClassVar[PortType] = "audio"
    """What its outputs give."""

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """Check the arguments' names, types and bounds."""
        self = super().__new__(cls, *args, **kwargs)
        _parameters.check_values(cls, self._bound)
        return self

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.node_type = cls.__name__


def process_of(node: Node) -> Callable[..., object]:
    """Give what a Python node is called with: its ``process``, or the function itself.

    Raises:
        ParameterError: the node has none, or it cannot be called with a frame.
    """
    process: Callable[..., object] | None
    if isinstance(node, FunctionNode):
        name, process = node.function.__name__, node.function
    else:
        name, process = type(node).__name__, getattr(node, "process", None)
    if not callable(process):
        raise ParameterError(
            f"{name} has no method process.", hint="Add `def process(self, audio)`."
        )
    if not 1 <= positional(process) <= 2 or required(process) > 2:  # noqa: PLR2004 - see below
        raise ParameterError(
            f"{name} must take (audio) or (audio, session), not {inspect.signature(process)}."
        )
    return process


def positional(process: Callable[..., object]) -> int:
    """Count the positional arguments that a callable takes, at most two."""
    count = 0
    for parameter in inspect.signature(process).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            return max(count, 1)
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            # A default makes it the function's own: `def process(audio, gain=2.0)`.
            count += count == 0 or parameter.default is parameter.empty
    return count


def required(process: Callable[..., object]) -> int:
    """Count the arguments without a default."""
    return sum(
        p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        for p in inspect.signature(process).parameters.values()
    )


def check_placement(node: Node, field: str, isolation: Isolation | None = None) -> None:
    """Refuse a node that cannot run where it shall.

    Args:
        node: the node.
        field: its field, for errors.
        isolation: where it shall run; None is what it says itself.

    Raises:
        ParameterError: it cannot be taken to a process of its own.
        NotInThisVersion: this system has no worker processes yet.
    """
    if (isolation or node.isolation) != "process" or isinstance(node, BuiltinNode):
        return
    if os.name != "posix":
        raise NotInThisVersion(
            f'isolation="process" is not in this version on {sys.platform}.',
            field=f"{field}.isolation",
        )
    from remotemedia.workers.shipping import check

    try:
        check(node)
    except ParameterError as error:
        raise ParameterError(
            error.message, field=f"{field}.isolation", hint=error.hint
        ) from error.__cause__


def kind_of(type_name: str) -> str:
    """Give the kind from the name of a type: ``audio-resample`` for ``AudioResampleNode``."""
    stem = type_name.removesuffix("Node") or type_name
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", stem)
    return identifier(words.lower())


def identifier(text: str) -> str:
    """Give `text` with everything replaced that an id may not have."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:48] or "node"
