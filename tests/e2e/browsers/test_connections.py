"""Browsers connect: Firefox, behind mDNS names, over TLS."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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


KEEP_CONNECTIONS = """
const original = RTCPeerConnection.prototype.setRemoteDescription;
RTCPeerConnection.prototype.setRemoteDescription = function (description) {
  globalThis.connection = this;
  return original.call(this, description);
};
undefined;
"""
TARGET_BIT_RATE = """
connection.getStats().then((stats) =>
  [...stats.values()].find((each) => each.type === "outbound-rtp").targetBitrate);
"""


@pytest.mark.parametrize(("pipeline", "bit_rate"), [("mic-vad", 20_000), ("mic-level", 32_000)])
def test_a_browser_sends_no_more_bandwidth_than_is_made_use_of(
    server: Server, chromium: Browser, pipeline: str, bit_rate: int
) -> None:
    page = chromium.open(f"{server.url}/{pipeline}")
    page.evaluate(KEEP_CONNECTIONS)
    page.start()
    page.wait_results(1, "vad")
    assert page.evaluate(TARGET_BIT_RATE) == bit_rate  # libwebrtc's for wideband and fullband
    page.stop()
    page.close()


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
