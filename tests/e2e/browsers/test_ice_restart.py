"""Chromium restarts ICE: another path under the same connection, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.support.browser import Browser
from tests.support.server import Server, serving

RESTART = """
(async () => {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const peer = new RTCPeerConnection();
  peer.addTransceiver(stream.getAudioTracks()[0], { direction: "sendrecv", streams: [stream] });
  const messages = [];
  const states = [];
  const channel = peer.createDataChannel("results");
  channel.addEventListener("message", ({ data }) => messages.push(JSON.parse(data)));
  peer.addEventListener("connectionstatechange", () => states.push(peer.connectionState));
  const until = async (done) => {
    while (!(await done())) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  const results = (count) => until(() => messages.length >= count);
  let pc_id;
  const negotiate = async () => {
    await peer.setLocalDescription();
    await until(() => peer.iceGatheringState === "complete");
    const body = { sdp: peer.localDescription.sdp, type: "offer" };
    const response = await fetch("/api/offer", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(pc_id ? { ...body, pc_id } : { ...body, pipeline: "mic-energy" }),
    });
    const answer = await response.json();
    pc_id = answer.pc_id;
    await peer.setRemoteDescription(answer);
  };
  const transport = async () => {
    const found = [...(await peer.getStats()).values()];
    return found.find((each) => each.type === "transport");
  };
  await negotiate();
  await results(50);
  const before = await transport();
  const names = [/a=ice-ufrag:(.*)/.exec(peer.remoteDescription.sdp)[1]];
  for (let i = 0; i < 2; i += 1) {
    peer.restartIce();
    await negotiate();
    names.push(/a=ice-ufrag:(.*)/.exec(peer.remoteDescription.sdp)[1]);
    const local = /a=ice-ufrag:(.*)/.exec(peer.localDescription.sdp)[1].trim();
    await until(async () => {
      const now = await transport();
      return now.iceLocalUsernameFragment === local && now.iceState === "connected";
    });
    await results(messages.length + 50);
  }
  const after = await transport();
  peer.close();
  return { messages, states, before, after, names };
})()
"""


@pytest.fixture(scope="module", params=["native", "python"])
def energy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Serves with the native module, and without."""
    log = tmp_path_factory.mktemp("energy") / "server.log"
    with serving(["mic-energy"], log, native=request.param == "native") as server:
        yield server
    assert "Traceback" not in log.read_text()


def test_an_ice_restart_keeps_the_session(energy: Server, chromium: Browser) -> None:
    page = chromium.open(f"{energy.url}/mic-energy")
    told: dict[str, Any] = page.evaluate(RESTART)
    page.close()
    assert len(set(told["names"])) == 3
    assert told["before"]["selectedCandidatePairId"] != told["after"]["selectedCandidatePairId"]
    assert told["states"] == ["connecting", "connected"]
    messages = told["messages"]
    assert {each["session"] for each in messages} == {messages[0]["session"]}
    numbers = [each["seq"] for each in messages]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    windows = [each["pts_ms"] for each in messages if each["type"] == "vad"]
    steps = {round(b - a, 3) for a, b in pairwise(windows)}
    assert steps == {20.0}
