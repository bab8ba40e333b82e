"""What can go wrong, with a stable code, the field concerned and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

INVALID_MANIFEST = "RM-1001"
UNKNOWN_NODE_TYPE = "RM-1002"
INVALID_PARAMETER = "RM-1003"
GRAPH_CYCLE = "RM-1004"
PORT_MISMATCH = "RM-1005"
UNKNOWN_PIPELINE = "RM-2003"
UNKNOWN_ID = "RM-2004"
NOT_IN_THIS_VERSION = "RM-4003"
NODE_FAILED = "RM-5001"
DRAINING = "RM-6002"
INTERNAL = "RM-6999"


class RemoteMediaError(Exception):
    """The base of every error that this package raises on purpose.

    Attributes:
        code: stable, ``RM-`` and four digits.
        message: what is wrong.
        field: path of the offending field, such as ``nodes[2].params.threshold``.
        hint: what to do about it.
        source: the file or the pipeline that it is about, where there are several.
    """

    code = INTERNAL
    source: str | None = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        self.message = message
        self.field = field
        self.hint = hint

    def __str__(self) -> str:
        return _text(self.source, self.field, self.message, self.hint)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a manifest."""

    code: str
    field: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        return _text(None, self.field, self.message, self.hint)


class ManifestError(RemoteMediaError, ValueError):
    """A manifest, a graph or a parameter is wrong.

    Attributes:
        problems: everything that was found; the error itself speaks of the first.
    """

    code = INVALID_MANIFEST

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        hint: str | None = None,
        problems: tuple[Problem, ...] = (),
    ) -> None:
        super().__init__(message, code=code, field=field, hint=hint)
        self.problems = problems or (Problem(self.code, field or "$", message, hint),)

    @classmethod
    def of(cls, problems: list[Problem]) -> ManifestError:
        """Make one error of everything that was found; `problems` must not be empty."""
        first = problems[0]
        return cls(
            first.message,
            code=first.code,
            field=first.field,
            hint=first.hint,
            problems=tuple(problems),
        )


class ParameterError(ManifestError, TypeError):
    """A keyword, a type or a value given to a node is wrong.

    It is a `ValueError` and a `TypeError`, so that it is caught as either.
    """

    code = INVALID_PARAMETER


class NotInThisVersion(RemoteMediaError, NotImplementedError):  # noqa: N818 - the user's words
    """The call belongs to a later version."""

    code = NOT_IN_THIS_VERSION


class RuntimeMissing(RemoteMediaError, RuntimeError):  # noqa: N818 - the user's words
    """The native runtime is needed and absent or switched off."""


class NodeError(RemoteMediaError):
    """A node of the user's failed or returned what cannot be sent.

    Attributes:
        node: the node's id in its pipeline, where it is known.
        traceback: where it failed, as text, where it raised.
    """

    code = NODE_FAILED
    node: str | None = None
    traceback: str | None = None


class TransientError(Exception):
    """Raise it in a node for what may go well the next time: the frame is tried again.

    Offline a frame is tried three times more, after 100, 200 and 400 ms; everything else that a
    node raises is reported at once.
    """


class MediaFileError(RemoteMediaError):
    """A file cannot be read or holds no audio."""

    code = "RM-3101"


class ServerUnreachable(RemoteMediaError, ConnectionError):  # noqa: N818 - the user's words
    """Nobody answers at the URL."""

    code = "RM-2101"


class ServerRefused(RemoteMediaError):  # noqa: N818 - the user's words
    """The server answered with an error.

    Attributes:
        status: the HTTP status.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        field: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, code=code, field=field, hint=hint)
        self.status = status


class ConnectionLost(RemoteMediaError, ConnectionError):  # noqa: N818 - the user's words
    """The connection ended before its work was done."""

    code = "RM-3004"


def _text(source: str | None, field: str | None, message: str, hint: str | None) -> str:
    # "$" is the whole of what was given.
    parts = [source, None if field == "$" else field, message]
    return ": ".join(part for part in parts if part) + (f" {hint}" if hint else "")
