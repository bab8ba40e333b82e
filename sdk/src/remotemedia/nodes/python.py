"""Nodes written in Python, named in a manifest."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import Annotated, cast

from remotemedia._bounds import Ge, Le, Len
from remotemedia._suggest import did_you_mean
from remotemedia.base import BuiltinNode, FunctionNode, Isolation, Node, RuntimeHint, node
from remotemedia.errors import ParameterError
from remotemedia.formats import Channels, Rate

ENTRY_PREFIX = "remotemedia_entry_"
"""How the names of modules begin that were loaded from a file."""


class PythonNode(BuiltinNode):
    """A node of one's own, by import path.

    Args:
        entry: `package.module:Name` or `file.py:Name`, the file seen from the manifest's folder.
            Name is a function, decorated with @node or not, or a subclass of Node.
        params: arguments for the constructor of a class.
        input_rate: rate in hertz that it wants; None is what it says itself, or what comes.
        input_channels: the same for channels.
        output_rate: rate of the audio that it returns; None is the input's.
        output_channels: the same for channels.
        mailbox_frames: frames that may wait for it; the oldest is dropped when there are more.
        mailbox_ms: how long a frame may wait for it.
        isolation: where it runs: on a thread or the event loop, or in a process of its own.
        runtime_hint: where it should run.
    """

    def __init__(
        self,
        *,
        entry: Annotated[str, Len(3, 256)],
        params: dict[str, object] | None = None,
        input_rate: Rate | None = None,
        input_channels: Channels | None = None,
        output_rate: Rate | None = None,
        output_channels: Channels | None = None,
        mailbox_frames: Annotated[int, Ge(1), Le(10_000)] = 50,
        mailbox_ms: Annotated[int, Ge(20), Le(60_000)] = 1000,
        isolation: Isolation = "thread",
        runtime_hint: RuntimeHint = "auto",
    ) -> None:
        super().__init__(runtime_hint=runtime_hint, isolation=isolation)
        self.entry = entry
        self.params: Mapping[str, object] = params or {}
        self.input_rate = input_rate
        self.input_channels = input_channels
        self.output_rate = output_rate
        self.output_channels = output_channels
        self.mailbox_frames = mailbox_frames
        self.mailbox_ms = mailbox_ms

    @property
    def kind(self) -> str:
        """``python``."""
        return "python"

    def load(self, base: Path | None = None) -> Node:
        """Import the entry and make the node that it names.

        Args:
            base: the folder that a file is seen from; None is the working directory.

        Raises:
            ParameterError: the entry cannot be imported or is no node.
        """
        made = load_entry(self.entry, base)
        if isinstance(made, type) and issubclass(made, Node):
            return self._construct(made)
        if self.params:
            raise ParameterError(
                f'"{self.entry}" is a function, which takes no params.', field="params"
            )
        if isinstance(made, FunctionNode):
            return made
        if callable(made) and not isinstance(made, type):
            return node(made)
        raise ParameterError(
            f'"{self.entry}" is a {type(made).__name__}, not a node.',
            field="entry",
            hint="Name a function or a subclass of remotemedia.Node.",
        )

    def _construct(self, cls: type[Node]) -> Node:
        try:
            return cast("Callable[..., Node]", cls)(**self.params)
        except ParameterError as error:
            field = f"params.{error.field}" if error.field else "params"
            raise ParameterError(error.message, field=field, hint=error.hint) from error
        except Exception as error:
            raise ParameterError(
                f"{cls.__name__} cannot be made: {type(error).__name__}: {error}", field="params"
            ) from error


def load_entry(entry: str, base: Path | None = None) -> object:
    """Import what ``package.module:Name`` or ``file.py:Name`` names.

    Raises:
        ParameterError: the text has no colon, the module or the name does not exist, or importing
            it failed; the cause is attached.
    """
    where, colon, name = entry.rpartition(":")
    if not (colon and where and name):
        raise ParameterError(
            f'"{entry}" is not an import path.',
            field="entry",
            hint='Write "package.module:Name" or "file.py:Name".',
        )
    module = load_module(where, base)
    try:
        found: object = reduce(getattr, name.split("."), module)
    except AttributeError:
        raise ParameterError(
            f'"{where}" has no "{name}".',
            field="entry",
            hint=did_you_mean(name, (each for each in vars(module) if not each.startswith("_"))),
        ) from None
    return found


def load_module(where: str, base: Path | None = None) -> ModuleType:
    """Import a module by its name, or a ``.py`` file by its path. See `load_entry`."""
    return _load_file(where, base) if where.endswith(".py") else _load_module(where)


def _load_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ParameterError(
            f'"{name}" cannot be imported: {error}.',
            field="entry",
            hint="Install it, or name a file: ./nodes.py:Name.",
        ) from error
    except Exception as error:
        raise _failed(name, error) from error


def _load_file(text: str, base: Path | None) -> ModuleType:
    path = ((base or Path.cwd()) / text).resolve()
    # One file is one module, whatever the path that names it: classes keep their identity.
    name = f"{ENTRY_PREFIX}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ParameterError(f'"{text}" does not exist ({path}).', field="entry")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise _failed(text, error) from error
    return module


def _failed(what: str, error: Exception) -> ParameterError:
    return ParameterError(
        f'"{what}" failed to import: {type(error).__name__}: {error}', field="entry"
    )
