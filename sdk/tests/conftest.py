from __future__ import annotations

import pytest

from .fakes import FakeEngine, FakeFailure, FakeRuntime


@pytest.fixture
def engine():
    made = FakeEngine()
    yield made
    made.free()


@pytest.fixture
def runtime():
    made = FakeRuntime()
    yield made
    for each in made.engines:
        each.free()


@pytest.fixture
def lanes(engine):
    """Make lanes that run a pipeline's Python nodes; they are stopped at the end."""
    from remotemedia.lanes import Lanes

    started = []

    def start(pipeline):
        made = Lanes(engine, FakeFailure)
        made.add(pipeline.plan())
        made.start()
        started.append(made)
        return made

    yield start
    for each in started:
        assert each.stop(), "a node is still busy"
