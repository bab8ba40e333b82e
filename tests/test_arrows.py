"""The arrows between the parts point one way."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.server import ROOT

CRATES = ROOT / "runtime" / "crates"

# Who may use whom, beside `core`, which everyone may.
ALLOWED = {
    "core": set[str](),
    "wire": set[str](),
    "dsp": set[str](),
    "executor": {"dsp"},
    "media": {"dsp"},
    "peer": set[str](),
    "session": {"peer", "media", "executor", "wire"},
    "engine": {"session", "peer", "executor", "wire"},
    "python": {"engine"},
}

# Names of std and of crates that do I/O, read a clock or start threads.
IO = re.compile(
    r"std::(fs|net::(Tcp|Udp)|process|thread)\b|tokio::|socket2::|Instant::now|SystemTime::now"
)


def test_every_crate_is_in_the_list() -> None:
    assert {path.name for path in CRATES.iterdir() if path.is_dir()} == set(ALLOWED)


@pytest.mark.parametrize("crate", sorted(ALLOWED))
def test_a_crate_depends_on_what_lies_below_it(crate: str) -> None:
    manifest = (CRATES / crate / "Cargo.toml").read_text()
    dependencies = manifest.split("[dependencies]")[1].split("\n[")[0]
    used = set(re.findall(r"^remotemedia-(\w+)", dependencies, re.MULTILINE)) - {"core"}
    assert used <= ALLOWED[crate]


@pytest.mark.parametrize("crate", sorted(set(ALLOWED) - {"engine", "python"}))
def test_below_the_engine_nothing_does_io_or_reads_a_clock(crate: str) -> None:
    found = {}
    for path in (CRATES / crate / "src").rglob("*.rs"):
        if path.name == "tests.rs" or "tests" in path.parts:
            continue
        code = path.read_text().split("#[cfg(test)]")[0]
        lines = [line for line in code.splitlines() if not line.lstrip().startswith("//")]
        if matches := IO.findall("\n".join(lines)):
            found[path.name] = matches
    assert found == {}


def imports_of(package: Path) -> set[str]:
    """The top-level modules that a package's code imports."""
    names = set()
    for path in package.rglob("*.py"):
        for entry in ast.walk(ast.parse(path.read_text())):
            if isinstance(entry, ast.Import):
                names |= {alias.name.split(".")[0] for alias in entry.names}
            elif isinstance(entry, ast.ImportFrom) and entry.module and not entry.level:
                names.add(entry.module.split(".")[0])
    return names


def test_signaling_knows_neither_the_sdk_nor_media() -> None:
    names = imports_of(ROOT / "signaling" / "src")
    assert not names & {"remotemedia", "remotemedia_runtime", "aiortc", "av", "numpy"}
