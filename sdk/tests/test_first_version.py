"""Nodes and manifests of version 0.1 run unchanged."""

from __future__ import annotations

import json

import numpy as np
import pytest

from remotemedia import Node, ParameterError, Pipeline

NODES = '''
import asyncio
from typing import Any, AsyncGenerator, Optional, Tuple

import numpy as np

from remotemedia.core.exceptions import NodeError
from remotemedia.core.node import Node


class Doubler(Node):
    """Takes and gives tuples."""

    def __init__(self, factor: float = 2.0, name: Optional[str] = None, **kwargs: Any):
        super().__init__(name=name or "Doubler", **kwargs)
        self.factor = factor
        self.is_streaming = False

    async def initialize(self) -> None:
        await super().initialize()
        self.ready = True

    async def process(self, data: Tuple[np.ndarray, int]) -> Tuple[np.ndarray, int]:
        if not self.ready:
            raise NodeError("not initialized")
        audio, rate = data
        return audio * self.factor, rate

    async def cleanup(self) -> None:
        await super().cleanup()


class Counter(Node):
    """Takes arrays, gives a value at the end."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.samples = self.config.get("start", 0)

    def process(self, data):
        self.logger.debug("%s counts", self.name)
        self.samples += data.shape[-1]
        return None

    async def flush(self):
        return {"samples": self.samples}


class Echo(Node):
    """Takes values."""

    def process(self, data: Any) -> Any:
        return {"processed": data, "by": self.name}
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("REMOTEMEDIA_USE_RUST", "0")
    (tmp_path / "old_nodes.py").write_text(NODES)
    return tmp_path


def manifest(*nodes, **rest):
    return {
        "version": "v1",
        "metadata": {"name": "old", "created_at": "2025-10-22T12:00:00Z"},
        "nodes": [
            {
                "id": f"node_{index}",
                "node_type": "PythonNode",
                "params": {"entry": f"old_nodes.py:{name}", "params": params},
                "runtime_hint": "cpython",
                "is_streaming": False,
                "capabilities": {"cpu": {"cores": 1}, "memory_gb": 0.1},
                "execution": {"placement": "auto"},
            }
            for index, (name, params) in enumerate(nodes)
        ],
        **rest,
    }


def test_nodes_with_tuples(folder):
    data = manifest(("Doubler", {"factor": 3.0}), ("Counter", {"start": 5}))
    (folder / "old.json").write_text(json.dumps(data))
    result = Pipeline.from_file(folder / "old.json").run((np.full(8000, 0.1, np.float32), 8000))
    assert [each.data for each in result.events] == [{"samples": 8005}]


def test_nodes_give_audio(folder):
    data = manifest(("Doubler", {}))
    result = Pipeline.from_dict(data, base=folder).run((np.full(800, 0.1, np.float32), 8000))
    assert result.rate == 8000
    np.testing.assert_allclose(result.audio, 0.2, rtol=1e-6)


def test_nodes_with_values(folder):
    result = Pipeline.from_dict(manifest(("Echo", {"name": "e"})), base=folder).run({"a": [1, 2]})
    assert [each.data for each in result.events] == [{"processed": {"a": [1, 2]}, "by": "e"}]


def test_the_calculator():
    data = {
        "version": "v1",
        "metadata": {"name": "calc"},
        "nodes": [
            {"id": "pass_0", "node_type": "PassThrough", "params": {}},
            {"id": "calc_1", "node_type": "CalculatorNode", "params": {}},
        ],
        "connections": [{"from": "pass_0", "to": "calc_1"}],
    }
    result = Pipeline.from_dict(data).run({"operation": "multiply", "args": [6, 7]})
    assert [each.data for each in result.events] == [42]


def test_the_names_of_before():
    from remotemedia import core
    from remotemedia.core import exceptions, node, pipeline

    assert core.Node is node.Node
    assert core.Pipeline is pipeline.Pipeline is Pipeline
    assert node.NodeError is exceptions.NodeError
    assert issubclass(exceptions.PipelineError, exceptions.RemoteMediaError)


def test_keywords_are_taken_by_those_who_say_so():
    class Any(Node):
        def __init__(self, name=None, **rest):
            super().__init__(name, **rest)

        def process(self, data):
            """Do nothing."""

    class Plain(Node):
        def process(self, data):
            """Do nothing."""

    assert Any(limit=3).config == {"limit": 3}
    assert (Any().name, Any("x").name, Plain().name) == ("Any", "x", "Plain")
    assert Any(limit=3).fresh().config == {"limit": 3}
    with pytest.raises(ParameterError, match='no parameter "limit"'):
        Plain(limit=3)
