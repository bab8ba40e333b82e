/** @typedef {{ name: string, nodes: { id: string, kind: string }[], ports: { id: string, direction: string, kind: string }[] }} Pipeline */

const VAD = { id: 'vad', kind: 'vad', params: { engine: 'silero', threshold: 0.5, negative_threshold: 0.35 } };
const SHOUT = { id: 'shout', kind: 'python', params: { entry: 'shout' } };
const SOUND = { id: 'out', direction: 'out', kind: 'audio', format: { rate: 48_000, channels: 1 } };
const DATA = { id: 'input', direction: 'in', kind: 'data' };
const ANY = { id: 'input', direction: 'in', kind: 'any', format: { rate: 16_000, channels: 1 } };
const LEVEL = { id: 'level', kind: 'level', params: { interval_ms: 20 } };

/** What the stand-in serves, shaped as the server's list is. */
export const PIPELINES = [
  { name: 'mic-vad', nodes: [VAD] },
  { name: 'echo', nodes: [VAD, SHOUT], ports: [SOUND], description: 'Says what it hears again' },
  { name: 'mic-python', nodes: [VAD, SHOUT], ports: [ANY] },
  { name: 'mic-level', nodes: [LEVEL, VAD] },
  { name: 'failing', nodes: [VAD, SHOUT] },
  { name: 'text', nodes: [{ id: 'text-1', kind: 'text', params: { operation: 'uppercase' } }], ports: [DATA], description: 'Says what it reads in capitals' },
].map(({ name, nodes, ports = [], description = '' }) => ({ name, nodes, ports, description, manifest: { nodes: [] }, resolved: { version: 'resolved/1', name, nodes } }));
