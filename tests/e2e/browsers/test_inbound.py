"""What Chromium's own statistics say about the audio that it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.browser import Browser
from tests.support.server import Server, serving

SECONDS = 8
INBOUND = """
(async () => {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const peer = new RTCPeerConnection();
  peer.addTransceiver(stream.getAudioTracks()[0], { direction: "sendrecv", streams: [stream] });
  peer.createDataChannel("results");
  const played = new Promise((resolve) => {
    peer.addEventListener("track", ({ track, streams }) => {
      // Chromium decodes what something plays.
      const element = new Audio();
      element.srcObject = streams[0] ?? new MediaStream([track]);
      element.play().then(resolve);
    });
  });
  await peer.setLocalDescription();
  await new Promise((resolve) => {
    if (peer.iceGatheringState === "complete") resolve();
    peer.addEventListener("icegatheringstatechange", () => {
      if (peer.iceGatheringState === "complete") resolve();
    });
  });
  const answer = await fetch("/api/offer", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      sdp: peer.localDescription.sdp, type: "offer", pipeline: "mic-echo",
    }),
  });
  await peer.setRemoteDescription(await answer.json());
  await played;
  await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000));
  const found = [...(await peer.getStats()).values()];
  peer.close();
  return found.find((each) => each.type === "inbound-rtp");
})()
"""


@pytest.fixture(scope="module", params=["native", "python"])
def echo(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Serves the echo of the examples, with the native module and without."""
    log = tmp_path_factory.mktemp("echo") / "server.log"
    with serving(["mic-echo"], log, native=request.param == "native") as server:
        yield server


def test_chromium_gets_all_of_it_and_makes_little_up(echo: Server, chromium: Browser) -> None:
    page = chromium.open(f"{echo.url}/mic-echo")
    told: dict[str, Any] = page.evaluate(INBOUND.replace("SECONDS", str(SECONDS)))
    page.close()
    print({name: told[name] for name in sorted(told) if not isinstance(told[name], str)})
    assert told["packetsReceived"] > (SECONDS - 2) * 50
    assert told["packetsLost"] == 0
    assert told["totalAudioEnergy"] > 0
    assert told["jitter"] < 0.05
    assert told["concealedSamples"] < 0.05 * told["totalSamplesReceived"]
