// One WebRTC peer of the stand-in: real ICE, DTLS, SRTP and SCTP by libdatachannel, made-up analysis.
// The size of an Opus packet follows loudness, so speech can be told from pauses without decoding.
import ndc from 'node-datachannel';

const WINDOW_MS = 20;
const START_WINDOWS = 6;
const STOP_WINDOWS = 8;
const ECHO_SSRC = 0x0e_c4_00_01;
/** How late what was heard is said again. */
const ECHO_MS = 150;

/**
 * @typedef {object} PeerOptions
 * @property {string} pcId
 * @property {string} sessionId
 * @property {string} participant
 * @property {boolean} joined
 * @property {number} participants
 * @property {import('./pipelines.mjs').Pipeline} pipeline
 * @property {(text: string, isLive: boolean) => void} broadcast to all of the session
 * @property {() => number} nextSeq
 * @property {() => void} onClosed
 */

export class StandinPeer {
  /** @type {import('node-datachannel').PeerConnection} */ #pc;
  /** @type {Map<string, import('node-datachannel').DataChannel>} */ #channels = new Map();
  /** @type {PeerOptions} */ #options;
  /** @type {ReturnType<typeof setInterval>} */ #metrics;
  /** @type {number | undefined} */ #firstTimestamp;
  #probability = 0;
  #loud = 0;
  #quiet = 0;
  /** @type {number | undefined} */ #startedMs;
  #packets = 0;
  #since = performance.now();
  #floor = 60;

  /** @param {PeerOptions} options */
  constructor(options) {
    this.#options = options;
    this.#pc = new ndc.PeerConnection(options.pcId, { iceServers: [], bindAddress: '127.0.0.1' });
    this.#pc.onDataChannel((channel) => {
      this.#channels.set(channel.getLabel(), channel);
      channel.onMessage((message) => {
        if (typeof message === 'string') this.#onControl(message);
      });
      const { pipeline, participant, joined, participants } = options;
      const ready = { pipeline: pipeline.name, participant, joined, participants, nodes: pipeline.nodes };
      if (channel.getLabel() === 'results') this.#say('ready', '', 0, ready, { isAbout: false });
    });
    this.#pc.onTrack((track) => {
      this.track = track;
      track.onMessage((packet) => {
        this.#onRtp(packet);
        if (this.#sendsAudio) this.#echo(packet, track);
      });
    });
    this.#pc.onStateChange((state) => {
      if (state === 'closed' || state === 'failed' || state === 'disconnected') this.close();
    });
    this.#metrics = setInterval(() => {
      this.#onSecond();
    }, 1_000);
  }

  /**
   * @param {string} sdp
   * @returns {Promise<string>}
   */
  async answer(sdp) {
    const gathered = new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
      this.#pc.onGatheringStateChange((state) => {
        if (state === 'complete') resolve();
      });
    });
    this.#pc.setRemoteDescription(sdp, 'offer');
    await gathered;
    const answer = this.#pc.localDescription()?.sdp ?? '';
    // libdatachannel answers as it was asked: what there is to hear is the pipeline's matter.
    if (!this.#sendsAudio) return answer.replace('a=sendrecv', 'a=recvonly').replace('a=sendonly', 'a=inactive');
    const source = `a=ssrc:${ECHO_SSRC} cname:echo\r\n`;
    return answer.replace(/a=(sendrecv|sendonly)\r\n/, (direction) => direction + source);
  }

  get #sendsAudio() {
    return this.#options.pipeline.ports.some(({ kind }) => kind === 'audio');
  }

  /** @param {{ candidate: string, sdp_mid: string | null }} candidate */
  addCandidate({ candidate, sdp_mid }) {
    if (candidate !== '') this.#pc.addRemoteCandidate(candidate, sdp_mid ?? '0');
  }

  /**
   * @param {string} text
   * @param {boolean} isLive
   */
  send(text, isLive) {
    const channel = (isLive ? this.#channels.get('live') : undefined) ?? this.#channels.get('results');
    try {
      if (channel?.isOpen()) channel.sendMessage(text);
    } catch {
      // It closed between the question and the message.
    }
  }

  /** @param {string} [reason] */
  close(reason) {
    if (this.#closed) return;
    if (reason !== undefined) this.#say('bye', '', 0, { reason, code: 'RM-6002' }, { isAbout: false });
    this.#closed = true;
    clearInterval(this.#metrics);
    this.#pc.close();
    this.#options.onClosed();
  }

  #closed = false;

  /**
   * Sends a packet back, later.
   * @param {Buffer} packet
   * @param {import('node-datachannel').Track} track
   */
  #echo(packet, track) {
    if (isRtcp(packet)) return;
    const said = Buffer.from(packet);
    said.writeUInt32BE(ECHO_SSRC, 8);
    // Header extensions are numbered by whoever offers, so they may stay.
    setTimeout(() => {
      try {
        if (track.isOpen()) track.sendMessageBinary(said);
      } catch {
        // It closed between the question and the packet.
      }
    }, ECHO_MS);
  }

  /** @param {Buffer} packet */
  #onRtp(packet) {
    if (isRtcp(packet)) return;
    const timestamp = packet.readUInt32BE(4);
    this.#firstTimestamp ??= timestamp;
    const ptsMs = ((timestamp - this.#firstTimestamp) >>> 0) / 48;
    this.#packets += 1;
    // Loud against what is usual here.
    this.#floor = Math.min(this.#floor + 0.02, Math.max(20, this.#floor + 0.2 * (packet.length - this.#floor)));
    const target = 1 / (1 + Math.exp(-(packet.length - this.#floor - 22) / 5));
    this.#probability += 0.35 * (target - this.#probability);
    this.#analyse(ptsMs, Math.min(0.9999, Math.max(0.0004, this.#probability)));
  }

  /**
   * @param {number} ptsMs
   * @param {number} probability
   */
  #analyse(ptsMs, probability) {
    const { pipeline } = this.#options;
    this.#loud = probability >= 0.5 ? this.#loud + 1 : 0;
    this.#quiet = probability < 0.35 ? this.#quiet + 1 : 0;
    if (this.#startedMs === undefined && this.#loud === START_WINDOWS) {
      this.#startedMs = Math.max(0, ptsMs - START_WINDOWS * WINDOW_MS - 30);
      this.#say('speech_started', 'vad', this.#startedMs, { probability });
    } else if (this.#startedMs !== undefined && this.#quiet === STOP_WINDOWS) {
      const endMs = ptsMs - (STOP_WINDOWS - 1) * WINDOW_MS + 30;
      this.#say('speech_stopped', 'vad', endMs, { start_ms: this.#startedMs, duration_ms: endMs - this.#startedMs });
      this.#startedMs = undefined;
    }
    const speech = this.#startedMs !== undefined;
    this.#say('vad', 'vad', ptsMs, { speech, probability }, { isLive: true });
    for (const { id, kind } of pipeline.nodes) {
      if (kind === 'python' && this.#packets % 5 === 0) {
        const loud = probability > 0.5;
        this.#say('node', id, ptsMs, { loud, level: Number(probability.toFixed(3)) });
      }
      if (kind === 'level') {
        const rms_dbfs = -62 + 48 * probability + 3 * Math.sin(ptsMs / 70);
        this.#say('level', id, ptsMs, { rms_dbfs, peak_dbfs: rms_dbfs + 8 }, { isLive: true });
      }
      if (kind === 'python' && pipeline.name === 'failing' && this.#packets % 150 === 0) {
        this.#say('error', id, ptsMs, {
          code: 'RM-5001',
          message: 'ZeroDivisionError: division by zero',
          traceback: 'Traceback (most recent call last):\n  File "shout.py", line 7, in shout\n    return 1 / 0\nZeroDivisionError: division by zero',
        });
      }
    }
  }

  #onSecond() {
    if (this.#packets === 0) return;
    const jitter_ms = 1.2 + Math.random();
    this.#say('metrics', '', 0, { jitter_ms, packets_received: this.#packets, packets_lost: 3, concealed: 2, coalesced: 0, dropped: 0 }, { isLive: true });
  }

  /**
   * @param {string} type
   * @param {string} node
   * @param {number} pts_ms
   * @param {unknown} data
   * @param {{ isLive?: boolean, isAbout?: boolean }} [how]
   */
  #say(type, node, pts_ms, data, { isLive = false, isAbout = true } = {}) {
    const { sessionId: session, participant, nextSeq, broadcast } = this.#options;
    const stream = isAbout && type !== 'metrics' ? 'audio' : '';
    const text = JSON.stringify({
      v: 1, type, node, session, participant, stream, seq: nextSeq(),
      pts_ms, rtp_ts: Math.round(pts_ms * 48), latency_ms: 0.4 + Math.random() * 2, data,
    });
    if (!isAbout) {
      this.send(text, false);
      return;
    }
    broadcast(text, isLive);
    // As the server does: events take both ways, the page drops the second.
    if (!isLive) broadcast(text, true);
  }

  /** @param {unknown} data */
  #onData(data) {
    const text = typeof data === 'object' && data && 'text' in data ? data.text : data;
    const ptsMs = performance.now() - this.#since;
    for (const { id, kind } of this.#options.pipeline.nodes) {
      if (kind !== 'text') continue;
      if (typeof text === 'string') this.#say('node', id, ptsMs, text.toUpperCase());
      else this.#say('error', id, ptsMs, { code: 'RM-5001', message: 'a text node takes a text or {"text": ...}' });
    }
  }

  /** @param {string} text */
  #onControl(text) {
    /** @type {unknown} */
    const message = JSON.parse(text);
    const { type, id, t, node, data } = /** @type {{ type: string, id?: number, t?: number, node?: string, data?: unknown }} */ (message);
    if (type === 'input') this.#onData(data);
    const reply = { ping: { type: 'pong', t }, flush: { type: 'flushed' }, interrupt: { type: 'interrupted' }, configure: { type: 'configured', node }, input: { type: 'accepted', node: node ?? 'input' } }[type]
      ?? { type: 'error', data: { code: 'RM-4001', message: `unknown type "${type}"`, field: 'type' } };
    this.send(JSON.stringify({ v: 1, id, ...reply }), false);
  }
}

/** @param {Buffer} packet */
function isRtcp(packet) {
  const type = packet[1] ?? 0;
  return type >= 192 && type < 224;
}
