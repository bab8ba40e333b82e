const OPUS = /^a=rtpmap:(\d+) opus\/48000\/2\r?$/im;

/** Says that two channels are welcome, which Chromium leaves out (RFC 7587, section 6.1). */
export function welcomeStereo(sdp: string): string {
  const payload = OPUS.exec(sdp)?.[1];
  if (payload === undefined) return sdp;
  const parameters = new RegExp(`^(a=fmtp:${payload} )(?!(?:.*;)? *stereo=1)(.*)$`, 'm');
  return sdp.replace(parameters, (_, head: string, rest: string) => `${head}stereo=1;${rest}`);
}
