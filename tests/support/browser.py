"""Real browsers with a fake microphone, driven by `support/browser.mjs`."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
BROWSER_TIMEOUT_S = 120


def run_browser(options: Mapping[str, Any]) -> dict[str, Any]:
    """Open the demo page as `options` say (see browser.mjs) and return what it saw."""
    node = shutil.which("node")
    assert node is not None, "node is needed for the browser tests"
    done = subprocess.run(
        [node, str(TESTS / "support" / "browser.mjs"), json.dumps(dict(options))],
        capture_output=True,
        text=True,
        timeout=BROWSER_TIMEOUT_S,
        check=False,
        cwd=TESTS,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report
