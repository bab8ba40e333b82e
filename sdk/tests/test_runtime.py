"""The native runtime: present, absent, switched off."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from remotemedia import (
    RuntimeMissing,
    get_backend_info,
    get_rust_runtime,
    is_rust_runtime_available,
    try_load_rust_runtime,
)


@pytest.fixture
def module(monkeypatch):
    made = ModuleType("remotemedia_runtime")
    made.__version__ = "1.2.3"
    monkeypatch.setitem(sys.modules, "remotemedia_runtime", made)
    monkeypatch.delenv("REMOTEMEDIA_USE_RUST", raising=False)
    return made


def test_present(module):
    assert is_rust_runtime_available()
    assert try_load_rust_runtime() is get_rust_runtime() is module
    assert get_backend_info() == {"backend": "rust", "version": "1.2.3", "reason": None}


@pytest.mark.parametrize("off", ["0", "false", " OFF "])
def test_switched_off_at_any_time(module, monkeypatch, off):
    assert is_rust_runtime_available()
    monkeypatch.setenv("REMOTEMEDIA_USE_RUST", off)
    assert not is_rust_runtime_available()
    assert try_load_rust_runtime() is None
    with pytest.raises(RuntimeMissing, match="switches it off"):
        get_rust_runtime()
    info = get_backend_info()
    assert (info["backend"], info["version"]) == ("python", None)
    assert "REMOTEMEDIA_USE_RUST" in info["reason"]
    monkeypatch.setenv("REMOTEMEDIA_USE_RUST", "1")
    assert is_rust_runtime_available()


def test_absent(monkeypatch):
    monkeypatch.delenv("REMOTEMEDIA_USE_RUST", raising=False)
    monkeypatch.setitem(sys.modules, "remotemedia_runtime", None)
    assert not is_rust_runtime_available()
    with pytest.raises(RuntimeMissing, match="pip install remotemedia-runtime"):
        get_rust_runtime()
