// A libdatachannel peer: streams pre-encoded Opus packets in real time and prints the results, once
// there is one of the last window.
//
// Options (JSON, first argument): url (of the server), pipeline, packets (JSON file: base64 strings,
// 20 ms each).
import { readFileSync } from "node:fs";
import nodeDataChannel from "node-datachannel";

const options = JSON.parse(process.argv[2]);
const packets = JSON.parse(readFileSync(options.packets, "utf8")).map((text) =>
  Buffer.from(text, "base64"),
);
const PAYLOAD_TYPE = 111;
const SSRC = 0x5eed;
const FRAME_MS = 20;
const TICKS_PER_FRAME = 960;
const WINDOW_MS = 32;
const PATIENCE_MS = 20_000;

const peer = new nodeDataChannel.PeerConnection("peer", {
  iceServers: [],
  disableAutoNegotiation: true,
});
const audio = new nodeDataChannel.Audio("audio", "SendOnly");
audio.addOpusCodec(PAYLOAD_TYPE);
audio.addSSRC(SSRC, "cname", "stream", "track");
const track = peer.addTrack(audio);
const channel = peer.createDataChannel("results");
const messages = [];
const opened = new Promise((resolve) => channel.onOpen(resolve));
const lastWindowMs = packets.length * FRAME_MS - 2 * WINDOW_MS;
const heardAll = new Promise((resolve, reject) => {
  channel.onMessage((text) => {
    const message = JSON.parse(text);
    messages.push(message);
    if (message.type === "vad" && message.pts_ms >= lastWindowMs) resolve();
  });
  setTimeout(
    () => reject(new Error(`no result of the last window, ${messages.length} messages`)),
    packets.length * FRAME_MS + PATIENCE_MS,
  ).unref();
});
const failed = new Promise((_, reject) =>
  peer.onStateChange((state) => {
    if (state === "failed") reject(new Error("the connection failed"));
  }),
);

const gathered = new Promise((resolve) => {
  peer.onGatheringStateChange((state) => {
    if (state === "complete") resolve();
  });
});
peer.setLocalDescription("offer");
await gathered;
const response = await fetch(`${options.url}/api/offer`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({
    sdp: peer.localDescription().sdp,
    type: "offer",
    pipeline: options.pipeline,
  }),
});
const answer = await response.json();
if (!response.ok) throw new Error(JSON.stringify(answer));
peer.setRemoteDescription(answer.sdp, "answer");
await Promise.race([opened, failed]);

function rtp(sequence, timestamp, payload) {
  const header = Buffer.alloc(12);
  header[0] = 0x80;
  header[1] = PAYLOAD_TYPE;
  header.writeUInt16BE(sequence & 0xffff, 2);
  header.writeUInt32BE(timestamp >>> 0, 4);
  header.writeUInt32BE(SSRC, 8);
  return Buffer.concat([header, payload]);
}

const start = performance.now();
for (let index = 0; index < packets.length; index += 1) {
  const due = start + index * FRAME_MS;
  const wait = due - performance.now();
  if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
  track.sendMessageBinary(rtp(1000 + index, 5000 + index * TICKS_PER_FRAME, packets[index]));
}
await Promise.race([heardAll, failed]);
console.log(JSON.stringify({ session: answer.session_id, messages }));
peer.close();
nodeDataChannel.cleanup();
