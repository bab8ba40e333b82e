//! SRTP and SRTCP over rtc-srtp (RFC 3711, RFC 7714).

use bytes::{Bytes, BytesMut};
use rtc_dtls::crypto_provider::RTCCryptoProvider;
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

use super::rtp::{FIXED_HEADER, Layout, RtpHeader};
use crate::PeerError;
use crate::dtls::SrtpKeys;
use crate::identity::REPLAY_WINDOW;

/// Sources that one peer may send from. More are ignored: rtc-srtp keeps state for each until the
/// peer ends.
const MAX_SOURCES: usize = 256;
/// Packets from unknown sources that one probe takes before it is made anew.
const PROBE_PACKETS: u32 = 64;
/// Version 2 and one contributing source: an SRTCP packet's sender stands at bytes 4 to 8.
const RTCP_SENDER: std::ops::Range<usize> = 4..8;

/// Both directions of one peer.
///
/// rtc-srtp 0.21.1 makes state for every source that a packet names, before it has verified the
/// packet, so that forged packets could fill the memory. Packets of unknown sources therefore go
/// to a probe first, a context of the same keys that is thrown away.
pub(crate) struct Srtp {
    inbound: Context,
    outbound: Context,
    probe: Option<(Context, u32)>,
    keys: SrtpKeys,
    media_sources: Vec<u32>,
    control_sources: Vec<u32>,
}

impl Srtp {
    pub(crate) fn new(keys: SrtpKeys, provider: &dyn RTCCryptoProvider) -> Result<Self, PeerError> {
        let inbound = context(keys.profile, &keys.remote, provider)?;
        let outbound = context(keys.profile, &keys.local, provider)?;
        Ok(Srtp {
            inbound,
            outbound,
            probe: None,
            keys,
            media_sources: Vec::new(),
            control_sources: Vec::new(),
        })
    }

    /// Whether a packet of this source has been verified before.
    pub(crate) fn knows(&self, ssrc: u32) -> bool {
        self.media_sources.contains(&ssrc)
    }

    /// Decrypts a packet; `None` when it is forged, repeated or from one source too many.
    pub(crate) fn unprotect_rtp(
        &mut self,
        packet: &[u8],
        layout: &Layout,
        provider: &dyn RTCCryptoProvider,
    ) -> Option<BytesMut> {
        let header = header_of(layout);
        if !self.knows(layout.header.ssrc) {
            if self.media_sources.len() >= MAX_SOURCES {
                return None;
            }
            self.probe(provider)?.decrypt_rtp_with_header(packet, &header).ok()?;
            self.probe = None;
            self.media_sources.push(layout.header.ssrc);
        }
        self.inbound.decrypt_rtp_with_header(packet, &header).ok()
    }

    /// Decrypts a compound packet.
    pub(crate) fn unprotect_rtcp(
        &mut self,
        packet: &[u8],
        provider: &dyn RTCCryptoProvider,
    ) -> Option<BytesMut> {
        let sender = packet.get(RTCP_SENDER)?.first_chunk::<4>()?;
        let ssrc = u32::from_be_bytes(*sender);
        if !self.control_sources.contains(&ssrc) {
            if self.control_sources.len() >= MAX_SOURCES {
                return None;
            }
            self.probe(provider)?.decrypt_rtcp(packet).ok()?;
            self.probe = None;
            self.control_sources.push(ssrc);
        }
        self.inbound.decrypt_rtcp(packet).ok()
    }

    /// Encrypts a packet.
    pub(crate) fn protect_rtp(&mut self, header: &RtpHeader, payload: &[u8]) -> Option<Bytes> {
        let mut packet = Vec::with_capacity(FIXED_HEADER + payload.len());
        header.write(&mut packet);
        packet.extend_from_slice(payload);
        let layout = Layout::parse(&packet)?;
        let sealed = self.outbound.encrypt_rtp_with_header(&packet, &header_of(&layout)).ok()?;
        Some(sealed.freeze())
    }

    /// Encrypts a compound packet.
    pub(crate) fn protect_rtcp(&mut self, packet: &[u8]) -> Option<Bytes> {
        self.outbound.encrypt_rtcp(packet).ok().map(BytesMut::freeze)
    }

    fn probe(&mut self, provider: &dyn RTCCryptoProvider) -> Option<&mut Context> {
        if self.probe.as_ref().is_none_or(|(_, left)| *left == 0) {
            let context = context(self.keys.profile, &self.keys.remote, provider).ok()?;
            self.probe = Some((context, PROBE_PACKETS));
        }
        let (context, left) = self.probe.as_mut()?;
        *left -= 1;
        Some(context)
    }
}

fn context(
    profile: ProtectionProfile,
    (key, salt): &(Vec<u8>, Vec<u8>),
    provider: &dyn RTCCryptoProvider,
) -> Result<Context, PeerError> {
    Context::new(
        key,
        salt,
        profile,
        Some(srtp_replay_protection(REPLAY_WINDOW)),
        Some(srtcp_replay_protection(REPLAY_WINDOW)),
        provider.crypto(),
    )
    .map_err(|e| PeerError::internal(e.to_string()))
}

/// The header as rtc-srtp wants it. It reads the source, the number and, by measuring what it
/// would write, the length; extensions are stood in for by padding of their length, so that
/// nothing is allocated for them and every form of them measures right.
fn header_of(layout: &Layout) -> rtc_rtp::Header {
    rtc_rtp::Header {
        version: 2,
        extension: layout.extended,
        marker: layout.header.marker,
        payload_type: layout.header.payload_type,
        sequence_number: layout.header.sequence_number,
        timestamp: layout.header.timestamp,
        ssrc: layout.header.ssrc,
        csrc: vec![0; layout.contributing],
        extension_profile: rtc_rtp::header::EXTENSION_PROFILE_ONE_BYTE,
        extensions: Vec::new(),
        extensions_padding: layout.extension,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    /// Two ends with each other's keys.
    fn ends(profile: ProtectionProfile, provider: &dyn RTCCryptoProvider) -> [Srtp; 2] {
        let secret = |seed: u8| {
            let bytes = |count: usize| (0..count as u8).map(|n| n ^ seed).collect::<Vec<u8>>();
            (bytes(profile.key_len()), bytes(profile.salt_len()))
        };
        [(1, 2), (2, 1)].map(|(local, remote)| {
            let keys = SrtpKeys { profile, local: secret(local), remote: secret(remote) };
            Srtp::new(keys, provider).unwrap()
        })
    }

    #[test]
    fn every_profile_protects_media_and_reports_both_ways() {
        let identity = Identity::generate().unwrap();
        let provider = identity.provider();
        for profile in [
            ProtectionProfile::AeadAes128Gcm,
            ProtectionProfile::AeadAes256Gcm,
            ProtectionProfile::Aes128CmHmacSha1_80,
        ] {
            let [mut one, mut two] = ends(profile, provider);
            // Over the wrap of the numbers.
            for count in 0..4_u16 {
                let header = RtpHeader {
                    ssrc: 7,
                    sequence_number: 65_534_u16.wrapping_add(count),
                    timestamp: 960 * u32::from(count),
                    payload_type: 111,
                    marker: count == 0,
                };
                let sealed = one.protect_rtp(&header, b"twenty milliseconds").unwrap();
                assert!(!sealed.windows(6).any(|part| part == b"twenty"), "{profile:?}");
                let layout = Layout::parse(&sealed).unwrap();
                assert_eq!(layout.header, header);
                let opened = two.unprotect_rtp(&sealed, &layout, provider).unwrap();
                assert_eq!(&opened[layout.payload..], b"twenty milliseconds", "{profile:?}");
                assert!(two.unprotect_rtp(&sealed, &layout, provider).is_none(), "repeated");
                assert!(one.unprotect_rtp(&sealed, &layout, provider).is_none(), "our own");
            }
            let mut report = Vec::new();
            super::super::write_report(&mut report, 7, "name", None, &[]);
            for _ in 0..2 {
                let sealed = one.protect_rtcp(&report).unwrap();
                assert_eq!(&two.unprotect_rtcp(&sealed, provider).unwrap()[..], report);
                let mut forged = sealed.to_vec();
                forged[9] ^= 1;
                assert!(two.unprotect_rtcp(&forged, provider).is_none(), "{profile:?}");
            }
        }
    }
}
