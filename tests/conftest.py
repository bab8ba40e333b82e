"""Fixtures of the cross-component tests: a real server, started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.server import Server, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """All example pipelines, served by the real thing."""
    log = tmp_path_factory.mktemp("server") / "server.log"
    with serving(["mic-vad", "mic-energy", "mic-level", "mic-python"], log) as running:
        yield running
    print(log.read_text())
