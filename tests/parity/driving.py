"""Drives a case through a backend and compares what two gave."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from remotemedia.running.backend import Backend, LaneDone, LaneItem, Run, RunOutput

from tests.parity.cases import Case, Datum, End, Interrupt, Sound, Step

WORK = 16
VAD_TOLERANCE = 1.01e-4
"""Probabilities are written with four decimals."""
SAMPLE_TOLERANCE = 1e-6
LEVEL_TOLERANCE_DB = 0.0101
RESAMPLED = {"probability": 1e-3}
"""More room behind resamplers."""


def drive(backend: Backend, case: Case) -> list[RunOutput]:
    """Run a case to its end."""
    run = backend.Run(json.dumps(case.manifest))
    outputs: list[RunOutput] = []
    tried: set[tuple[str, int]] = set()
    for step in case.steps():
        _step(run, step)
        outputs += run.poll()
        outputs += _work(backend, run, case, tried)
    run.end()
    outputs += run.poll()
    outputs += _work(backend, run, case, tried)
    assert run.pending() == 0
    return outputs


def _step(run: Run, step: Step) -> None:
    if isinstance(step, Sound):
        run.push_audio(step.source, step.samples, step.pts_us)
    elif isinstance(step, Datum):
        run.push_data(step.source, step.value)
    elif isinstance(step, End):
        run.end(step.source)
    elif isinstance(step, Interrupt):
        run.take_work(3)
        run.interrupt()


def _work(backend: Backend, run: Run, case: Case, tried: set[tuple[str, int]]) -> list[RunOutput]:
    outputs: list[RunOutput] = []
    while True:
        items = run.take_work(WORK)
        if items:
            parts: list[LaneDone] = []
            ends = [_done(backend, case, item, tried, parts) for item in items]
            run.complete(parts[::-1] if case.late_first else parts)
            run.complete(ends)
            outputs += run.poll()
            continue
        wait = run.retry_in_us()
        if wait is None:
            return outputs
        time.sleep(wait / 1e6)


def _done(
    backend: Backend,
    case: Case,
    item: LaneItem,
    tried: set[tuple[str, int]],
    parts: list[LaneDone],
) -> LaneDone:
    assert case.worker is not None, "a case with a Python node needs a worker"
    results: list[Any] = []
    for port, kind, value in case.worker(item):
        if kind == "part":
            parts.append((item.token, results, True))
            results = []
            continue
        if kind == "fail":
            return item.token, backend.LaneFailure(str(value))
        if kind == "busy":
            if (item.node, item.seq) not in tried:
                tried.add((item.node, item.seq))
                return item.token, backend.LaneFailure(str(value), transient=True)
            continue
        made: object = value
        if kind == "data":
            made = backend.LaneData(value)
        elif kind == "opaque":
            made = backend.LaneOpaque(value)
        results.append(made if port == "out" else (port, made))
    return item.token, results


def compare(
    case: Case, given: Sequence[RunOutput], wanted: Sequence[RunOutput]
) -> dict[str, float]:
    """Hold one backend's outputs against the other's; gives the largest differences by name."""
    worst: dict[str, float] = {}
    if case.apart_db is None:
        assert [_name(each) for each in given] == [_name(each) for each in wanted]
    for name in {(each.node, each.port) for each in wanted} | {(e.node, e.port) for e in given}:
        ours = [each for each in given if (each.node, each.port) == name]
        theirs = [each for each in wanted if (each.node, each.port) == name]
        assert [_name(each) for each in ours] == [_name(each) for each in theirs]
        for one, other in zip(ours, theirs, strict=True):
            _compare(case, one, other, worst)
        _compare_audio(case, ours, theirs, worst)
    return worst


def _name(output: RunOutput) -> tuple[object, ...]:
    kind = output.message["type"] if output.message else None
    return output.node, output.port, output.kind, kind


def _compare(case: Case, one: RunOutput, other: RunOutput, worst: dict[str, float]) -> None:
    assert one.pts_us == other.pts_us, (one, other)
    assert one.rate == other.rate
    assert one.value == other.value
    if one.message is None or other.message is None:
        assert one.message == other.message
        return
    skipped = {"data"} if case.apart_db is None else {"data", "seq"}
    assert _without(one.message, skipped) == _without(other.message, skipped)
    assert list(one.message) == list(other.message), "the fields stand in another order"
    ours, theirs = one.message["data"], other.message["data"]
    if one.message["type"] == "node":
        assert ours == theirs, (ours, theirs)
        return
    assert isinstance(ours, dict)
    assert isinstance(theirs, dict)
    assert list(ours) == list(theirs)
    for field, value in ours.items():
        expected = theirs[field]
        if isinstance(value, float) and isinstance(expected, float):
            difference = abs(value - expected)
            worst[field] = max(worst.get(field, 0.0), difference)
            assert difference <= _room(case, field), (one.message, other.message)
        else:
            assert value == expected, (one.message, other.message)


def _room(case: Case, field: str) -> float:
    if case.apart_db is not None and field in RESAMPLED:
        return RESAMPLED[field]
    if field == "probability":
        return VAD_TOLERANCE
    return LEVEL_TOLERANCE_DB if field.endswith("dbfs") else 0.0


def _compare_audio(
    case: Case, ours: Sequence[RunOutput], theirs: Sequence[RunOutput], worst: dict[str, float]
) -> None:
    one, other = [each.samples for each in ours], [each.samples for each in theirs]
    lengths = [None if each is None else each.shape for each in one]
    assert lengths == [None if each is None else each.shape for each in other]
    if not any(lengths):
        return
    heard, expected = _joined(one), _joined(other)
    difference = heard.astype(np.float64) - expected
    if case.apart_db is not None:
        apart = decibels(difference) - decibels(expected)
        worst["resampled_db"] = max(worst.get("resampled_db", -300.0), apart)
        assert apart <= case.apart_db
    else:
        largest = float(np.abs(difference).max(initial=0.0))
        worst["samples"] = max(worst.get("samples", 0.0), largest)
        assert largest <= SAMPLE_TOLERANCE


def decibels(samples: NDArray[np.floating[Any]]) -> float:
    """Of the root mean square."""
    return float(10.0 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-30))


def _joined(parts: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32]:
    return np.concatenate([part for part in parts if part is not None], axis=-1)


def _without(message: Mapping[str, object], fields: set[str]) -> dict[str, object]:
    return {name: value for name, value in message.items() if name not in fields}
