import { expect, it } from 'vitest';
import { welcomeStereo } from '../src/sdp.ts';

const sdp = (...lines: string[]) => lines.map((line) => `${line}\r\n`).join('');

it('welcomes stereo where it is not said', () => {
  const rest = ['m=audio 9 UDP/TLS/RTP/SAVPF 111 63', 'a=rtpmap:111 opus/48000/2', 'a=rtpmap:63 red/48000/2', 'a=fmtp:63 111/111'];
  expect(welcomeStereo(sdp(...rest, 'a=fmtp:111 minptime=10;useinbandfec=1'))).toBe(
    sdp(...rest, 'a=fmtp:111 stereo=1;minptime=10;useinbandfec=1'),
  );
});

it('leaves alone what says so, and what has no Opus', () => {
  const firefox = sdp('a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1', 'a=rtpmap:109 opus/48000/2');
  expect(welcomeStereo(firefox)).toBe(firefox);
  expect(welcomeStereo(firefox.replace('stereo=1', 'sprop-stereo=1'))).toContain('stereo=1;maxplaybackrate');
  expect(welcomeStereo('v=0\r\n')).toBe('v=0\r\n');
});
