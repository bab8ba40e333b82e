"""Data for `remotemedia call`, and whether what is given fits what a pipeline takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remotemedia.cli.exits import WrongUse
from remotemedia.client.signaling import Takes

if TYPE_CHECKING:
    from remotemedia.client.events import Json

_EXAMPLE = """Give it some: --input '{"text": "hi"}'."""


@dataclass(frozen=True)
class Given:
    """Data, and who shall have it: None where there is one alone."""

    data: Json
    node: str | None = None


def read_input(text: str, takes: Takes | None) -> Given:
    """Read what was given on the command line: JSON, or else text.

    Args:
        text: what was given; ``NAME=`` before it says who shall have it, where several take data.
        takes: what the pipeline takes, if that is known.
    """
    names = () if takes is None else takes.data
    name, sign, rest = text.partition("=")
    if sign and len(names) > 1 and name in names:
        return Given(_value(rest), name)
    return Given(_value(text))


def check(takes: Takes | None, *, audio: bool, data: bool, joins: bool = False) -> None:
    """Check that there is something to send, and that the pipeline takes it and needs no more.

    Who joins a session may leave audio to the others.

    Raises:
        WrongUse: it is not so; the error says what to give instead.
    """
    if takes is None:
        if not audio and not data:
            hint = "Give an audio file, `mic`, or data by --input."
            raise WrongUse("there is nothing to send.", hint=hint)
    elif data and not takes.data:
        raise WrongUse(f'"{takes.name}" takes no data.', hint="Give an audio file, or `mic`.")
    elif audio and not takes.audio:
        raise WrongUse(f'"{takes.name}" takes data and no audio.', hint=_EXAMPLE)
    elif data and takes.needs_audio and not audio and not joins:
        raise WrongUse(f'"{takes.name}" takes audio, too.', hint="Give an audio file, or `mic`.")
    elif not audio and not data:
        if takes.audio:
            other = " Data goes by --input." if takes.data else ""
            hint = f"Give an audio file, or `mic`.{other}"
            raise WrongUse(f'there is nothing to send to "{takes.name}".', hint=hint)
        raise WrongUse(f'"{takes.name}" takes data.', hint=_EXAMPLE)


def _value(text: str) -> Json:
    try:
        value: Json = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text
    return value


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
