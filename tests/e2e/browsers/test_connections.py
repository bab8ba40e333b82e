"""Browsers connect: Firefox, behind mDNS names, over TLS."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.browsers.conftest import Microphone
from tests.support.browser import Browser, browsing
from tests.support.server import Server, serving

RESULTS = 100
"""Two seconds of one result a packet."""
KEEP_REQUESTS = """
globalThis.requests = [];
const original = fetch;
globalThis.fetch = (url, init) => {
  requests.push(init?.body ?? "");
  return original(url, init);
};
undefined;
"""


def test_firefox_gets_results(server: Server) -> None:
    with browsing("firefox") as firefox:
        page = firefox.open(f"{server.url}/mic-energy")
        page.start()
        page.wait_results(RESULTS, "vad")
        print(f"{firefox.version}: {page.session()['setupMs']:.0f} ms from offer to open channel")
        page.stop()
        assert page.console_errors() == []


def test_chromium_connects_behind_mdns_names(server: Server, chromium: Browser) -> None:
    speaker = chromium.open(f"{server.url}/mic-energy")
    speaker.start()
    # A page that may not use the microphone is given no addresses to tell, only names.
    with browsing("chromium", hideAddresses=True, denyMicrophone=True) as hidden:
        listener = hidden.open(speaker.join_link())
        listener.evaluate(KEEP_REQUESTS)
        listener.start()
        listener.wait_results(RESULTS, "vad")
        told = " ".join(listener.evaluate("requests"))
        listener.stop()
        assert listener.console_errors() == []
    speaker.stop()
    speaker.close()
    addresses = re.findall(r"candidate:\S+ 1 udp \d+ (\S+) \d+ typ host", told)
    assert addresses
    assert all(address.endswith(".local") for address in addresses), addresses


def test_chromium_connects_over_tls(microphone: Microphone, tmp_path: Path) -> None:
    with (
        serving(["mic-energy"], tmp_path / "tls.log", "--tls") as server,
        browsing("chromium", wav=str(microphone.wav), ignoreCertificate=True) as chromium,
    ):
        assert server.url.startswith("https://")
        page = chromium.open(f"{server.url}/mic-energy")
        page.start()
        page.wait_results(RESULTS, "vad")
        page.stop()
        assert page.console_errors() == []
