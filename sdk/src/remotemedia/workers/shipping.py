"""How a node gets to another process.

A node travels as its class and the arguments that it was made with, a function by its name. Modules
are imported there by name; a module that was loaded from a file is loaded from that file; the main
program is imported, as `multiprocessing` does it, if the node needs something from it.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from multiprocessing import spawn
from pathlib import Path
from types import FunctionType
from typing import cast

from remotemedia.base import FunctionNode, Node, node
from remotemedia.errors import ParameterError
from remotemedia.nodes.python import ENTRY_PREFIX, load_module

_HINT = "Define it at the top level of a module, and let its arguments be picklable."


@dataclass(frozen=True)
class Luggage:
    """What a worker needs before it can unpickle the node."""

    path: list[str]
    arguments: list[str]
    folder: str
    files: list[str]
    main: dict[str, object] | None
    content: bytes


def ship(content: object) -> bytes:
    """Pack something that contains nodes for a worker.

    Raises:
        ParameterError: it cannot be pickled; the text says what.
    """
    stream = io.BytesIO()
    try:
        _Pickler(stream, 5).dump(content)
    except ParameterError:
        raise
    except Exception as error:
        raise ParameterError(f"it cannot run in a process: {error}.", hint=_HINT) from error
    data = stream.getvalue()
    files = [
        module.__file__
        for name, module in list(sys.modules.items())
        if name.startswith(ENTRY_PREFIX) and name.encode() in data and module.__file__
    ]
    luggage = Luggage(
        path=list(sys.path),
        arguments=list(sys.argv),
        folder=os.getcwd(),
        files=files,
        main=_main() if b"__main__" in data else None,
        content=data,
    )
    return pickle.dumps(luggage, 5)


def unpack(data: bytes) -> object:
    """Make what `ship` packed, in a worker that has this process's ``sys.path``."""
    luggage = cast("Luggage", pickle.loads(data))  # noqa: S301 - from the parent
    preparation: dict[str, object] = {
        "sys_path": luggage.path,
        "sys_argv": luggage.arguments,
        "dir": luggage.folder,
        **(luggage.main or {}),
    }
    spawn.prepare(preparation)
    for file in luggage.files:
        load_module(file)
    content: object = pickle.loads(luggage.content)  # noqa: S301 - from the parent
    return content


def check(node: Node) -> None:
    """See whether a node can be shipped.

    Raises:
        ParameterError: it cannot.
    """
    ship(node)


def _main() -> dict[str, object] | None:
    """Say how the main program is imported; see ``multiprocessing.spawn``."""
    main = sys.modules["__main__"]
    name = getattr(main.__spec__, "name", None)
    if name is not None:
        return {"init_main_from_name": name}
    path = getattr(main, "__file__", None)
    return None if path is None else {"init_main_from_path": str(Path(path).resolve())}


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: object) -> tuple[Callable[..., object], tuple[object, ...]]:
        if isinstance(value, FunctionNode):
            _importable(value)
            return _load_function, (value.function.__module__, value.function.__qualname__)
        if isinstance(value, Node):
            args, kwargs = value.__getnewargs_ex__()
            return _make, (type(value), args, kwargs)
        return NotImplemented  # type: ignore[no-any-return]  # as the base wants it


def _importable(value: FunctionNode[..., object]) -> None:
    function = value.function
    module = sys.modules.get(getattr(function, "__module__", ""))
    try:
        found: object = reduce(getattr, function.__qualname__.split("."), module)
    except AttributeError:
        found = None
    if found is not value and found is not function and not _wraps(found, value):
        raise ParameterError(
            f"{function.__name__} cannot run in a process: "
            f"{function.__module__} has no {function.__qualname__}.",
            hint=_HINT,
        )


def _wraps(found: object, value: FunctionNode[..., object]) -> bool:
    return isinstance(found, FunctionNode) and found.function is value.function


def _load_function(module: str, name: str) -> Node:
    __import__(module)
    found: object = reduce(getattr, name.split("."), sys.modules[module])
    return found if isinstance(found, Node) else node(cast("FunctionType", found))


def _make(cls: type[Node], args: tuple[object, ...], kwargs: dict[str, object]) -> Node:
    return cast("Callable[..., Node]", cls)(*args, **kwargs)
