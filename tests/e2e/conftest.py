"""One server for all tests here; each leaves it as clean as it found it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.api import Api, calling
from tests.support.server import Server, serving


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The example pipelines, served by the real thing."""
    log = tmp_path_factory.mktemp("shared") / "server.log"
    with serving(["mic-vad", "mic-energy", "mic-level", "mic-python"], log) as server:
        yield server
    print(log.read_text())


@pytest.fixture
async def api(shared: Server) -> AsyncIterator[Api]:
    """Calls to the shared server, on which nothing may be left afterwards."""
    async with calling(shared.url) as made:
        await made.assert_nothing_left()
        yield made
        await made.assert_nothing_left()
    assert shared.process.poll() is None, "the server has ended"
    assert "Traceback" not in shared.log.read_text()


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker of the tests here."""
    config.addinivalue_line("markers", "slow: waits for the server's patience of 30 s")
