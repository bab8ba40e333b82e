//! The Data Channel Establishment Protocol (RFC 8832) and the payload protocol identifiers of
//! data channels (RFC 8831, section 8).

use super::Reliability;

/// Bytes of the label and of the protocol together that are accepted.
const MAX_NAMES: usize = 1024;
const ACK: u8 = 0x02;
const OPEN: u8 = 0x03;
/// The fixed part of an OPEN message.
const OPEN_HEADER: usize = 12;
/// Set in the channel type where order does not matter.
const UNORDERED: u8 = 0x80;

/// One message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dcep {
    Ack,
    Open(Open),
}

/// What a channel is asked to be (RFC 8832, section 5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) label: String,
    pub(crate) protocol: String,
    pub(crate) ordered: bool,
    pub(crate) reliability: Reliability,
    pub(crate) priority: u16,
}

impl Dcep {
    /// Reads a message; `None` when it is malformed or too long.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Dcep> {
        match *bytes.first()? {
            ACK => Some(Dcep::Ack),
            OPEN => Open::parse(bytes).map(Dcep::Open),
            _ => None,
        }
    }

    /// The ACK message.
    pub(crate) const fn ack() -> &'static [u8] {
        &[ACK]
    }
}

impl Open {
    fn parse(bytes: &[u8]) -> Option<Open> {
        let header = bytes.first_chunk::<OPEN_HEADER>()?;
        let parameter = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let label = usize::from(u16::from_be_bytes([header[8], header[9]]));
        let protocol = usize::from(u16::from_be_bytes([header[10], header[11]]));
        let names = bytes.get(OPEN_HEADER..OPEN_HEADER + label + protocol)?;
        if names.len() > MAX_NAMES {
            return None;
        }
        let (label, protocol) = names.split_at(label);
        let reliability = match header[1] & !UNORDERED {
            0x00 => Reliability::Reliable,
            0x01 => Reliability::MaxRetransmits(parameter),
            0x02 => Reliability::MaxLifetime(parameter),
            _ => return None,
        };
        Some(Open {
            label: String::from_utf8(label.to_vec()).ok()?,
            protocol: String::from_utf8(protocol.to_vec()).ok()?,
            ordered: header[1] & UNORDERED == 0,
            reliability,
            priority: u16::from_be_bytes([header[2], header[3]]),
        })
    }

    /// Writes the message; names that are too long are cut.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let cut = |name: &str| {
            let end = (0..=name.len().min(MAX_NAMES / 2)).rev().find(|i| name.is_char_boundary(*i));
            name.as_bytes()[..end.unwrap_or(0)].to_vec()
        };
        let (label, protocol) = (cut(&self.label), cut(&self.protocol));
        let (kind, parameter) = match self.reliability {
            Reliability::Reliable => (0x00, 0),
            Reliability::MaxRetransmits(count) => (0x01, count),
            Reliability::MaxLifetime(milliseconds) => (0x02, milliseconds),
        };
        let mut bytes = vec![OPEN, kind | if self.ordered { 0 } else { UNORDERED }];
        bytes.extend_from_slice(&self.priority.to_be_bytes());
        bytes.extend_from_slice(&parameter.to_be_bytes());
        bytes.extend_from_slice(&(label.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&(protocol.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&label);
        bytes.extend_from_slice(&protocol);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    /// What Chromium sends for `createDataChannel("live", {ordered: false, maxPacketLifeTime:
    /// 250})`, by RFC 8832.
    const LIVE: &[u8] = b"\x03\x82\x01\x00\x00\x00\x00\xfa\x00\x04\x00\x00live";

    #[test]
    fn an_open_message_is_read() {
        let Some(Dcep::Open(open)) = Dcep::parse(LIVE) else { panic!("not an open message") };
        assert_eq!(open.label, "live");
        assert_eq!((open.ordered, open.priority), (false, 256));
        assert_eq!(open.reliability, Reliability::MaxLifetime(250));
        assert_eq!(open.to_bytes(), LIVE);
    }

    #[test]
    fn malformed_messages_are_refused() {
        let long = {
            let mut bytes = LIVE.to_vec();
            bytes[8..10].copy_from_slice(&2000u16.to_be_bytes());
            bytes.resize(12 + 2000, b'x');
            bytes
        };
        let mut unknown = LIVE.to_vec();
        unknown[1] = 0x07;
        let mut not_text = LIVE.to_vec();
        not_text[12] = 0xff;
        for bytes in [&b""[..], &[9], &LIVE[..11], &LIVE[..15], &long, &unknown, &not_text] {
            assert_eq!(Dcep::parse(bytes), None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(1),
            ..ProptestConfig::default()
        })]

        #[test]
        fn what_is_written_is_read_back(
            label in ".{0,40}", protocol in ".{0,40}", ordered: bool, kind in 0u8..3, value: u32,
        ) {
            let reliability = match kind {
                0 => Reliability::Reliable,
                1 => Reliability::MaxRetransmits(value),
                _ => Reliability::MaxLifetime(value),
            };
            let open = Open { label, protocol, ordered, reliability, priority: 256 };
            prop_assert_eq!(Dcep::parse(&open.to_bytes()), Some(Dcep::Open(open)));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            Dcep::parse(&bytes);
        }
    }
}
