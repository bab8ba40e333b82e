"""Python nodes named in a manifest."""

from __future__ import annotations

import json

import pytest

from remotemedia import ManifestError, ParameterError, Pipeline
from remotemedia.nodes.python import PythonNode, load_entry

CODE = """
from remotemedia import Node, node

VALUE = 3

@node
def decorated(audio, session):
    return 1

def plain(audio):
    return 2

class Scale(Node):
    def __init__(self, by=1):
        self.by = by

    def process(self, audio):
        return audio * self.by

class Idle(Node):
    pass

class Refusing(Node):
    def __init__(self):
        raise OSError("no such device")

class Outer:
    class Inner(Node):
        def process(self, audio):
            return 3
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "nodes.py").write_text(CODE)
    return tmp_path


@pytest.mark.parametrize("name", ["decorated", "plain", "Scale", "Outer.Inner"])
def test_functions_and_classes_can_be_named(folder, name):
    made = PythonNode(entry=f"nodes.py:{name}").load(folder)
    assert Pipeline(made).plan().python


def test_a_class_gets_its_params(folder):
    made = PythonNode(entry="nodes.py:Scale", params={"by": 4}).load(folder)
    assert made.by == 4
    assert made.fresh().by == 4


def test_one_file_is_one_module(folder):
    first = load_entry("nodes.py:Scale", folder)
    assert load_entry("./nodes.py:Scale", folder) is first
    assert load_entry(f"{folder}/nodes.py:Scale") is first


@pytest.mark.parametrize(
    ("params", "field", "words"),
    [
        ({"entry": "nodes"}, "entry", "package.module:Name"),
        ({"entry": ":Scale"}, "entry", "not an import path"),
        ({"entry": "none.py:Scale"}, "entry", "does not exist"),
        ({"entry": "nodes.py:Scael"}, "entry", 'Did you mean "Scale"?'),
        ({"entry": "nodes.py:Outer.Iner"}, "entry", 'no "Outer.Iner"'),
        ({"entry": "no_such_module:Scale"}, "entry", "Install it"),
        ({"entry": "nodes.py:VALUE"}, "entry", "is a int, not a node"),
        ({"entry": "nodes.py:Outer"}, "entry", "is a type, not a node"),
        ({"entry": "nodes.py:plain", "params": {"by": 1}}, "params", "takes no params"),
        ({"entry": "nodes.py:Scale", "params": {"bye": 1}}, "params.bye", 'mean "by"?'),
        ({"entry": "nodes.py:Refusing"}, "params", "OSError: no such device"),
        ({"entry": "nodes.py:Idle"}, None, "has no method process"),
    ],
)
def test_what_cannot_be_loaded_is_told_where(folder, params, field, words):
    path = folder / "p.json"
    data = {"nodes": [{"id": "a", "node_type": "PythonNode", "params": params}]}
    path.write_text(json.dumps(data))
    with pytest.raises(ManifestError) as caught:
        Pipeline.from_file(path).plan()
    where = "nodes[0].params" + (f".{field}" if field else "")
    assert caught.value.field == where
    assert words in str(caught.value)


def test_a_file_that_fails_says_why(folder):
    (folder / "broken.py").write_text("1 / 0")
    for _ in range(2):
        with pytest.raises(ParameterError, match="ZeroDivisionError") as caught:
            PythonNode(entry="broken.py:x").load(folder)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_module_that_fails_says_why(folder, monkeypatch):
    (folder / "broken_module.py").write_text("raise RuntimeError('no licence')")
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(ParameterError, match="no licence"):
        PythonNode(entry="broken_module:x").load()
