"""Two tracks of a Chromium: each feeds its source, their mix comes back, one goes and returns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.browser import Browser
from tests.support.server import Server, serving

SPEAK = """
(async () => {
  const context = new AudioContext();
  await context.resume();
  const tone = (hertz, gain) => {
    const oscillator = new OscillatorNode(context, { frequency: hertz });
    const destination = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
    oscillator.connect(new GainNode(context, { gain })).connect(destination);
    oscillator.start();
    return destination.stream.getAudioTracks()[0];
  };
  const peer = new RTCPeerConnection();
  const first = peer.addTransceiver(tone(440, 0.5), { direction: "sendrecv" });
  peer.addTransceiver(tone(1250, 0.2), { direction: "sendonly" });
  const messages = [];
  const channel = peer.createDataChannel("results");
  channel.addEventListener("message", ({ data }) => messages.push(JSON.parse(data)));
  const ear = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
  const playing = new Promise((resolve) => {
    peer.addEventListener("track", ({ track }) => {
      const stream = new MediaStream([track]);
      // Chromium decodes what something plays.
      const element = new Audio();
      element.srcObject = stream;
      element.muted = true;
      element.play().then(resolve);
      new MediaStreamAudioSourceNode(context, { mediaStream: stream }).connect(ear);
    });
  });
  let pc_id;
  const negotiate = async () => {
    await peer.setLocalDescription();
    await new Promise((resolve) => {
      const look = () => { if (peer.iceGatheringState === "complete") resolve(); };
      peer.addEventListener("icegatheringstatechange", look);
      look();
    });
    const answer = await fetch("/api/offer", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        sdp: peer.localDescription.sdp, type: "offer", pipeline: "two-tracks", pc_id,
      }),
    });
    const told = await answer.json();
    pc_id = told.pc_id;
    await peer.setRemoteDescription(told);
  };
  const listen = async (seconds) => {
    const since = messages.length;
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const bins = new Float32Array(ear.frequencyBinCount);
    ear.getFloatFrequencyData(bins);
    const loudest = (hertz) => {
      const bin = Math.round((hertz * 8192) / context.sampleRate);
      return Math.max(...bins.subarray(bin - 2, bin + 3));
    };
    return { heard: [loudest(440), loudest(1250)], messages: messages.slice(since) };
  };
  await negotiate();
  await playing;
  const both = await listen(3);
  const second = peer.getTransceivers()[1];
  second.direction = "inactive";
  await negotiate();
  const alone = await listen(2);
  second.direction = "sendonly";
  await negotiate();
  const again = await listen(2);
  peer.close();
  await context.close();
  return [both, alone, again];
})()
"""


@pytest.fixture(scope="module", params=["native", "python"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Serves the example with two sources, with the native module and without."""
    log = tmp_path_factory.mktemp("tracks") / "server.log"
    with serving(["two-tracks"], log, native=request.param == "native") as made:
        yield made
    assert "Traceback" not in log.read_text()


def levels(part: dict[str, Any], node: str) -> list[float]:
    """What a level meter found in a part of the session, but for its beginning."""
    found = [each for each in part["messages"] if each["node"] == node]
    return [each["data"]["rms_dbfs"] for each in found][len(found) // 2 :]


def test_both_are_measured_and_mixed_and_one_may_go(server: Server, chromium: Browser) -> None:
    page = chromium.open(f"{server.url}/two-tracks")
    both, alone, again = page.evaluate(SPEAK)
    page.close()
    print([part["heard"] for part in (both, alone, again)])
    for part in (both, again):
        # Amplitudes of 0.5 and 0.2.
        for node, wanted in (("first-level", -9.0), ("second-level", -17.0)):
            found = levels(part, node)
            assert len(found) > 10
            assert sorted(found)[len(found) // 2] == pytest.approx(wanted, abs=1.0)
        assert part["heard"][0] - part["heard"][1] == pytest.approx(8.0, abs=3.0)
    assert levels(alone, "second-level") == []
    assert len(levels(alone, "first-level")) > 10
    assert alone["heard"][0] == pytest.approx(both["heard"][0], abs=3.0)
    assert alone["heard"][1] < alone["heard"][0] - 30
