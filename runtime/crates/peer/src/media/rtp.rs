/// The fields of an RTP header (RFC 3550, section 5.1) that a receiver needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RtpHeader {
    /// The synchronisation source.
    pub ssrc: u32,
    /// Counts packets, modulo 2^16.
    pub sequence_number: u16,
    /// The sampling instant of the first sample, in the codec's clock, modulo 2^32.
    pub timestamp: u32,
    /// The payload type.
    pub payload_type: u8,
    /// For Opus: a talk spurt begins (RFC 7587, section 4.1).
    pub marker: bool,
}

/// Bytes of a header without contributing sources and extensions.
pub(crate) const FIXED_HEADER: usize = 12;
/// The profile of one-byte extensions (RFC 8285, section 4.2).
const ONE_BYTE: u16 = 0xBEDE;
/// The profile of two-byte extensions, less its four application bits (section 4.3).
const TWO_BYTE: u16 = 0x1000;

/// The layout of one packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) header: RtpHeader,
    /// Where the payload begins.
    pub(crate) payload: usize,
    pub(crate) contributing: usize,
    /// Whether the extension bit is set.
    pub(crate) extended: bool,
    /// Bytes of extensions, which end where the payload begins.
    pub(crate) extension: usize,
    extension_profile: u16,
    padded: bool,
}

impl Layout {
    /// Reads the header of a packet, encrypted or not; `None` when it is not RTP.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Layout> {
        let fixed = bytes.first_chunk::<FIXED_HEADER>()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let contributing = usize::from(fixed[0] & 0x0f);
        let extended = fixed[0] & 0x10 != 0;
        let mut payload = FIXED_HEADER + 4 * contributing;
        let (mut extension_profile, mut extension) = (0, 0);
        if extended {
            let words = bytes.get(payload..)?.first_chunk::<4>()?;
            extension_profile = u16::from_be_bytes([words[0], words[1]]);
            extension = 4 * usize::from(u16::from_be_bytes([words[2], words[3]]));
            payload += 4 + extension;
        }
        if bytes.len() < payload {
            return None;
        }
        Some(Layout {
            header: RtpHeader {
                ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
                sequence_number: u16::from_be_bytes([fixed[2], fixed[3]]),
                timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
                payload_type: fixed[1] & 0x7f,
                marker: fixed[1] & 0x80 != 0,
            },
            payload,
            contributing,
            extended,
            extension,
            extension_profile,
            padded: fixed[0] & 0x20 != 0,
        })
    }

    /// The value of one header extension of the decrypted packet.
    pub(crate) fn extension<'a>(&self, packet: &'a [u8], id: u8) -> Option<&'a [u8]> {
        let mut rest = packet.get(self.payload.checked_sub(self.extension)?..self.payload)?;
        let two_byte = self.extension_profile & 0xfff0 == TWO_BYTE;
        if !two_byte && self.extension_profile != ONE_BYTE {
            return None;
        }
        while let [first, after @ ..] = rest {
            if *first == 0 {
                rest = after;
                continue;
            }
            let (found, length, after) = if two_byte {
                let (length, after) = after.split_first()?;
                (*first, usize::from(*length), after)
            } else if *first >> 4 == 15 {
                return None; // ends the list (RFC 8285, section 4.2)
            } else {
                (*first >> 4, usize::from(*first & 0x0f) + 1, after)
            };
            let value = after.get(..length)?;
            if found == id {
                return Some(value);
            }
            rest = &after[length..];
        }
        None
    }

    /// Bytes of padding at the end of the decrypted packet; `None` when there cannot be so many.
    pub(crate) fn padding(&self, packet: &[u8]) -> Option<usize> {
        if !self.padded {
            return Some(0);
        }
        let padding = usize::from(*packet.last()?);
        (padding > 0 && self.payload + padding <= packet.len()).then_some(padding)
    }
}

impl RtpHeader {
    /// Writes the header without extensions.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(0x80);
        out.push(u8::from(self.marker) << 7 | (self.payload_type & 0x7f));
        out.extend_from_slice(&self.sequence_number.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    const HEADER: RtpHeader = RtpHeader {
        ssrc: 0x0102_0304,
        sequence_number: 65_535,
        timestamp: 960,
        payload_type: 111,
        marker: true,
    };

    fn with_extension(profile: u16, extension: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        HEADER.write(&mut packet);
        packet[0] |= 0x10;
        packet.extend_from_slice(&profile.to_be_bytes());
        packet.extend_from_slice(&((extension.len() / 4) as u16).to_be_bytes());
        packet.extend_from_slice(extension);
        packet.extend_from_slice(payload);
        packet
    }

    #[test]
    fn a_plain_header_is_read_back() {
        let mut packet = Vec::new();
        HEADER.write(&mut packet);
        packet.push(42);
        let layout = Layout::parse(&packet).unwrap();
        assert_eq!(layout.header, HEADER);
        assert_eq!(layout.payload, 12);
        assert_eq!(layout.padding(&packet), Some(0));
    }

    #[test]
    fn extensions_of_both_forms_are_found() {
        let short = with_extension(ONE_BYTE, &[0x10, 0x7f, 0, 0x41, b'm', b'1', 0, 0], b"x");
        let layout = Layout::parse(&short).unwrap();
        assert_eq!(layout.extension(&short, 4), Some(&b"m1"[..]));
        assert_eq!(layout.extension(&short, 1), Some(&[0x7f][..]));
        assert_eq!(layout.extension(&short, 2), None);
        let long = with_extension(0x1000, &[200, 2, b'm', b'1', 9, 0, 0, 0], b"x");
        let layout = Layout::parse(&long).unwrap();
        assert_eq!(layout.extension(&long, 200), Some(&b"m1"[..]));
        assert_eq!(layout.extension(&long, 9), Some(&b""[..]));
    }

    #[test]
    fn padding_cannot_exceed_the_payload() {
        let mut packet = Vec::new();
        HEADER.write(&mut packet);
        packet[0] |= 0x20;
        packet.extend_from_slice(&[1, 2, 3, 2]);
        let layout = Layout::parse(&packet).unwrap();
        assert_eq!(layout.padding(&packet), Some(2));
        packet[15] = 5;
        assert_eq!(layout.padding(&packet), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(1),
            ..ProptestConfig::default()
        })]

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), id in any::<u8>()) {
            if let Some(layout) = Layout::parse(&bytes) {
                prop_assert!(layout.payload <= bytes.len());
                layout.extension(&bytes, id);
                layout.padding(&bytes);
            }
        }
    }
}
