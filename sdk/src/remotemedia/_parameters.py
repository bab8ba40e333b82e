"""Checks of the arguments of nodes against the signatures of their constructors."""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from remotemedia._bounds import Ge, Le, Len
from remotemedia._suggest import did_you_mean, nearest
from remotemedia.errors import INVALID_PARAMETER, ParameterError, Problem

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

_KEYWORDS = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def signature(cls: type) -> inspect.Signature:
    """Give the signature of a class's constructor, without ``self``."""
    return _signature(cls)


def _constructor(cls: type) -> Callable[..., None]:
    constructor: Callable[..., None] = inspect.getattr_static(cls, "__init__")
    return constructor


@cache
def _signature(cls: type) -> inspect.Signature:
    constructor = _constructor(cls)
    full = inspect.signature(constructor)
    parameters = list(full.parameters.values())[1:]
    if constructor is _base_constructor():
        # It takes any keyword for classes that say so themselves; alone it takes what it names.
        parameters = [each for each in parameters if each.kind is not each.VAR_KEYWORD]
    return full.replace(parameters=parameters)


@cache
def _base_constructor() -> Callable[..., None]:
    from remotemedia.base import Node

    return _constructor(Node)


def bind(cls: type, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, object]:
    """Bind arguments to the constructor of `cls` without calling it.

    Raises:
        ParameterError: an unknown keyword with the nearest right one, or one that is missing.
    """
    expected = signature(cls)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in expected.parameters.values())
    known = [name for name, p in expected.parameters.items() if p.kind in _KEYWORDS]
    if not takes_any:
        check_names(cls.__name__, kwargs, known)
    try:
        return dict(expected.bind(*args, **kwargs).arguments)
    except TypeError as error:
        missing = [
            name
            for name, p in expected.parameters.items()
            if p.kind in _KEYWORDS and p.default is p.empty and name not in kwargs
        ]
        field = missing[0] if missing and not args else None
        hint = f"Its parameters are {', '.join(known)}, by name." if args and known else None
        raise ParameterError(f"{cls.__name__}: {error}.", field=field, hint=hint) from None


def check_names(what: str, given: Iterable[str], known: Collection[str]) -> None:
    """Refuse keywords that are not known.

    Raises:
        ParameterError: with the nearest right one of each.
    """
    problems = [
        Problem(
            INVALID_PARAMETER,
            name,
            f'{what} has no parameter "{name}".',
            did_you_mean(name, known),
        )
        for name in given
        if name not in known
    ]
    if problems:
        raise ParameterError.of(problems)


def check_choice(name: str, value: object, known: Collection[str]) -> None:
    """Refuse a value that is none of those that there are.

    Raises:
        ParameterError: with the nearest right one.
    """
    if value not in known:
        raise ParameterError(
            f"is none of {', '.join(known)}: {shorten(value)}.",
            field=name,
            hint=did_you_mean(value, known) if isinstance(value, str) else None,
        )


def model(cls: type) -> type[BaseModel]:
    """Give a model of the constructor's parameters: their types, bounds and defaults."""
    return _model(cls)


@cache
def _model(cls: type) -> type[BaseModel]:
    from pydantic import ConfigDict, Field, create_model

    hints = {name: _known(hint) for name, hint in _hints(cls).items()}
    docs = descriptions(cls)
    fields: dict[str, object] = {
        name: (
            hints[name],
            Field(
                default=... if parameter.default is parameter.empty else parameter.default,
                description=docs.get(name),
            ),
        )
        for name, parameter in signature(cls).parameters.items()
        if parameter.kind in _KEYWORDS
    }
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    made: type[BaseModel] = create_model(  # type: ignore[call-overload]
        cls.__name__, __config__=config, __doc__=summary(cls), **fields
    )
    return made


def check_values(cls: type, arguments: Mapping[str, object]) -> None:
    """Check types and bounds of bound arguments.

    Raises:
        ParameterError: with the name of each parameter that is wrong.
    """
    hints = _hints(cls)
    if all(name in hints and _fits(value, hints[name]) for name, value in arguments.items()):
        return

    for name, value in arguments.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            if type(each).__module__ == "numpy" and not isinstance(each, float | str):
                raise ParameterError(
                    f"must be a value of Python's own, not {shorten(each)}.",
                    field=name,
                    hint="Its method item() gives it." if hasattr(each, "dtype") else None,
                )

    from pydantic import ValidationError

    try:
        model(cls).model_validate(dict(arguments))
    except ValidationError as error:
        raise ParameterError.of([_problem(cls, each) for each in error.errors()]) from None


@cache
def _hints(cls: type) -> dict[str, object]:
    return typing.get_type_hints(_constructor(cls), include_extras=True)


def _fits(value: object, hint: object) -> bool:
    """Say whether a value fits a simple type for certain; pydantic, slow to load, has the rest."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        inner, *bounds = typing.get_args(hint)
        return _fits(value, inner) and all(_is_within(value, bound) for bound in bounds)
    if origin in {typing.Union, types.UnionType}:
        return any(_fits(value, each) for each in typing.get_args(hint))
    if origin is typing.Literal:
        return type(value) is str and value in typing.get_args(hint)
    if hint is float:
        # An integer may be too large to be asked whether it is finite.
        return type(value) in {int, float} and abs(typing.cast("float", value)) < math.inf
    return type(value) is hint and hint in {bool, int, str, types.NoneType}


def _is_within(value: object, bound: object) -> bool:
    if value is None:
        return True
    if type(value) not in {int, float}:
        return False
    number = typing.cast("float", value)
    if isinstance(bound, Ge):
        return number >= bound.ge
    return isinstance(bound, Le) and number <= bound.le


def _known(hint: object) -> object:
    """Give a type with bounds that pydantic knows."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        import annotated_types

        of = {Ge: annotated_types.Ge, Le: annotated_types.Le, Len: annotated_types.Len}
        bounds = [of[type(each)](*vars(each).values()) for each in inside[1:] if type(each) in of]
        parts = (_known(inside[0]), *bounds)
        return typing.Annotated[parts]
    if origin in {typing.Union, types.UnionType}:
        return typing.Union[tuple(map(_known, inside))]  # noqa: UP007 - of a tuple
    if origin in {list, dict, tuple} and inside:
        return types.GenericAlias(origin, tuple(map(_known, inside)))
    return hint


def _problem(cls: type, error: ErrorDetails) -> Problem:
    name = str(error["loc"][0]) if error["loc"] else "$"
    field = name + "".join(f"[{part}]" for part in error["loc"][1:] if isinstance(part, int))
    hint = None
    if error["type"] == "literal_error":
        values = literals(cls, name)
        guess = nearest(str(error["input"]), values)
        hint = f'Did you mean "{guess}"?' if guess else None
    return Problem(
        INVALID_PARAMETER, field, f"{error['msg']}, not {shorten(error['input'])}.", hint
    )


def literals(cls: type, name: str) -> tuple[str, ...]:
    """Give the texts that a parameter may have, where they are listed in its type."""
    hint = typing.get_type_hints(_constructor(cls)).get(name)
    return tuple(str(value) for value in typing.get_args(hint))


def shorten(value: object, limit: int = 60) -> str:
    """Give a value for an error text, cut where it is long."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def summary(cls: type) -> str:
    """Give the first paragraph of a class's documentation on one line."""
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())


def descriptions(cls: type) -> Mapping[str, str]:
    """Give the text on each argument from the ``Args:`` part of a class's documentation."""
    return _descriptions(cls)


@cache
def _descriptions(cls: type) -> Mapping[str, str]:
    found: dict[str, str] = {}
    name = ""
    lines = (inspect.getdoc(cls) or "").split("\n")
    start = lines.index("Args:") + 1 if "Args:" in lines else len(lines)
    for line in lines[start:]:
        if line and not line.startswith(" "):
            break
        text = line.strip()
        if line.startswith("    ") and not line.startswith("     ") and ":" in text:
            name, _, text = text.partition(":")
        if name and text:
            found[name] = f"{found.get(name, '')} {text.strip()}".strip()
    return found
