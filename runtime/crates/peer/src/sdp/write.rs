//! The lines that answers and offers share.

use remotemedia_core::AudioFormat;

use super::answer::{OwnSource, SCTP_PORT};
use super::{AudioSection, Codec, Fingerprint, Media, Setup};
use crate::ice::{Candidate, Credentials};

/// A description being written.
pub(super) struct Writer(String);

impl Writer {
    pub(super) fn new(session_id: u64, session_version: u64) -> Self {
        let mut writer = Writer(String::with_capacity(2048));
        writer.line("v=0");
        writer.line(&format!("o=- {session_id} {session_version} IN IP4 127.0.0.1"));
        writer.line("s=-");
        writer.line("t=0 0");
        writer
    }

    pub(super) fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push_str("\r\n");
    }

    pub(super) fn bundle<'a>(&mut self, mids: impl Iterator<Item = &'a String>) {
        self.0.push_str("a=group:BUNDLE");
        for mid in mids {
            self.0.push(' ');
            self.0.push_str(mid);
        }
        self.line("");
    }

    /// With trickle the default address is a placeholder (RFC 8840, section 4.1.1).
    pub(super) fn media(&mut self, name: &str, protocol: &str, formats: &str) {
        self.line(&format!("m={name} 9 {protocol} {formats}"));
        self.line("c=IN IP4 0.0.0.0");
    }

    pub(super) fn rejected(&mut self, media: &Media) {
        let Media { name, protocol, formats, .. } = media;
        self.line(&format!("m={name} 0 {protocol} {}", formats.join(" ")));
        self.line("c=IN IP4 0.0.0.0");
        if let Some(mid) = &media.mid {
            self.line(&format!("a=mid:{mid}"));
        }
        self.line("a=inactive");
    }

    pub(super) fn transport(
        &mut self,
        credentials: &Credentials,
        fingerprint: &Fingerprint,
        setup: Setup,
    ) {
        self.line(&format!("a=ice-ufrag:{}", credentials.ufrag));
        self.line(&format!("a=ice-pwd:{}", credentials.pwd));
        self.line("a=ice-options:trickle");
        self.line(&format!("a=fingerprint:sha-256 {fingerprint}"));
        self.line(&format!("a=setup:{}", setup.as_str()));
    }

    pub(super) fn codec(&mut self, codec: &Codec) {
        let Codec { payload_type, name, clock_rate, channels, fmtp } = codec;
        let channels = if *channels > 1 { format!("/{channels}") } else { String::new() };
        self.line(&format!("a=rtpmap:{payload_type} {name}/{clock_rate}{channels}"));
        if !fmtp.is_empty() {
            self.line(&format!("a=fmtp:{payload_type} {fmtp}"));
        }
    }

    pub(super) fn opus(&mut self, payload_type: u8, fmtp: &str) {
        self.codec(&Codec {
            payload_type,
            name: "opus".into(),
            clock_rate: 48000,
            channels: 2,
            fmtp: fmtp.into(),
        });
    }

    /// The codec of a section in use, with what both sides make of it.
    pub(super) fn sent_opus(&mut self, audio: &AudioSection, receive: AudioFormat) {
        let mut fmtp = opus_fmtp(receive);
        if audio.stereo {
            fmtp.push_str(";sprop-stereo=1");
        }
        self.opus(audio.payload_type, &fmtp);
    }

    /// What identifies our stream and its source (RFC 8830, RFC 5576, section 4.1).
    pub(super) fn source(&mut self, source: &OwnSource<'_>) {
        let OwnSource { ssrc, cname } = source;
        self.line(&format!("a=msid:{cname} {cname}-audio"));
        self.line(&format!("a=ssrc:{ssrc} cname:{cname}"));
    }

    pub(super) fn data(&mut self, max_message_size: u64) {
        self.line(&format!("a=sctp-port:{SCTP_PORT}"));
        self.line(&format!("a=max-message-size:{max_message_size}"));
    }

    pub(super) fn candidates(&mut self, candidates: &[Candidate]) {
        for candidate in candidates {
            self.line(&format!("a={}", candidate.to_sdp()));
        }
        self.line("a=end-of-candidates");
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// What we like to receive (RFC 7587, section 6.1): packets from 10 ms on, forward error
/// correction, stereo where it is of use, and no more bandwidth than is. An encoder that heeds
/// the latter sends fewer bits, and of what it sends nothing is decoded in vain.
pub(super) fn opus_fmtp(receive: AudioFormat) -> String {
    let mut fmtp = String::from("minptime=10;useinbandfec=1");
    if receive.channels.get() > 1 {
        fmtp.push_str(";stereo=1");
    }
    // The rates of Opus' bandwidths (RFC 6716, section 2); 48 kHz is what it does unasked.
    let enough = [8_000, 12_000, 16_000, 24_000].into_iter().find(|hz| *hz >= receive.rate.hz());
    if let Some(hz) = enough {
        fmtp.push_str(&format!(";maxplaybackrate={hz}"));
    }
    fmtp
}
