//! STUN messages as ICE uses them (RFC 8489, RFC 8445 section 16).
//!
//! `rtc-stun` gives the code points, the checksum and the HMAC. Its parser is not used: it copies
//! every attribute, and it hands out attributes that stand after MESSAGE-INTEGRITY, where anyone on
//! the way could have added a USE-CANDIDATE (RFC 8489, section 14.5 has them ignored).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use rtc_stun::attributes as code;
use rtc_stun::crypto::{HmacAlgorithm, Mac, RTCCryptoProvider, default_provider};
use rtc_stun::fingerprint::fingerprint_value;

const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_INDICATION: u16 = 0x0011;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const TAG: usize = 20;

/// Unknown attributes that an error answer names; the rest are left out.
const MAX_UNKNOWN: usize = 4;

/// An id of 96 bits that pairs an answer with its request.
pub(super) type TransactionId = [u8; 12];

/// The classes of the binding method; other methods are no messages here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Request,
    Indication,
    Success,
    Error,
}

/// A parsed message, borrowing from the datagram. Attributes that occur twice count once, the
/// first time (RFC 8489, section 14).
#[derive(Debug)]
pub(super) struct Message<'a> {
    bytes: &'a [u8],
    pub(super) class: Class,
    pub(super) transaction: TransactionId,
    pub(super) username: Option<&'a str>,
    pub(super) priority: Option<u32>,
    pub(super) use_candidate: bool,
    pub(super) controlling: Option<u64>,
    pub(super) controlled: Option<u64>,
    pub(super) mapped: Option<SocketAddr>,
    pub(super) error: Option<u16>,
    unknown: [u16; MAX_UNKNOWN],
    unknown_count: usize,
    integrity: Option<usize>,
}

impl<'a> Message<'a> {
    /// Parses a whole datagram. `None` when it is malformed, of another method, or its FINGERPRINT
    /// is missing or wrong (RFC 8445, section 7.1.4 has it in every message).
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut message = Message::header(bytes)?;
        let mut at = HEADER;
        let mut fingerprint = None;
        while at < bytes.len() {
            let (kind, value) = attribute(bytes, at)?;
            // FINGERPRINT is the last attribute, or none at all.
            if fingerprint.is_some() {
                return None;
            }
            if kind == code::ATTR_FINGERPRINT.0 {
                let value: [u8; 4] = value.try_into().ok()?;
                fingerprint = Some(u32::from_be_bytes(value) == fingerprint_value(&bytes[..at]));
            } else if kind == code::ATTR_MESSAGE_INTEGRITY.0 {
                if value.len() != TAG {
                    return None;
                }
                message.integrity.get_or_insert(at);
            } else if message.integrity.is_none() {
                message.take(kind, value)?;
            }
            at += 4 + padded(value.len());
        }
        fingerprint?.then_some(message)
    }

    fn header(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() < HEADER || bytes[4..8] != COOKIE || !bytes.len().is_multiple_of(4) {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        if bytes.len() != HEADER + length {
            return None;
        }
        let class = match u16::from_be_bytes([bytes[0], bytes[1]]) {
            BINDING_REQUEST => Class::Request,
            BINDING_INDICATION => Class::Indication,
            BINDING_SUCCESS => Class::Success,
            BINDING_ERROR => Class::Error,
            _ => return None,
        };
        Some(Message {
            bytes,
            class,
            transaction: bytes[8..HEADER].try_into().ok()?,
            username: None,
            priority: None,
            use_candidate: false,
            controlling: None,
            controlled: None,
            mapped: None,
            error: None,
            unknown: [0; MAX_UNKNOWN],
            unknown_count: 0,
            integrity: None,
        })
    }

    /// Takes one attribute that integrity covers. `None` when it is malformed.
    fn take(&mut self, kind: u16, value: &'a [u8]) -> Option<()> {
        match code::AttrType(kind) {
            code::ATTR_USERNAME => {
                let text = std::str::from_utf8(value).ok()?;
                self.username.get_or_insert(text);
            }
            code::ATTR_PRIORITY => {
                self.priority.get_or_insert(u32::from_be_bytes(value.try_into().ok()?));
            }
            code::ATTR_USE_CANDIDATE => self.use_candidate = true,
            code::ATTR_ICE_CONTROLLING => {
                self.controlling.get_or_insert(u64::from_be_bytes(value.try_into().ok()?));
            }
            code::ATTR_ICE_CONTROLLED => {
                self.controlled.get_or_insert(u64::from_be_bytes(value.try_into().ok()?));
            }
            code::ATTR_XORMAPPED_ADDRESS => {
                let address = xor_address(value, &self.transaction)?;
                self.mapped.get_or_insert(address);
            }
            code::ATTR_ERROR_CODE => {
                let [_, _, class, number, ..] = *value else { return None };
                self.error.get_or_insert(u16::from(class & 7) * 100 + u16::from(number));
            }
            code::ATTR_MAPPED_ADDRESS
            | code::ATTR_UNKNOWN_ATTRIBUTES
            | code::ATTR_REALM
            | code::ATTR_NONCE => {}
            other if other.required() => {
                if let Some(slot) = self.unknown.get_mut(self.unknown_count) {
                    *slot = kind;
                    self.unknown_count += 1;
                }
            }
            _ => {}
        }
        Some(())
    }

    /// Attributes that must be understood and are not (RFC 8489, section 6.3.1).
    pub(super) fn unknown(&self) -> &[u16] {
        &self.unknown[..self.unknown_count]
    }

    /// Whether MESSAGE-INTEGRITY is there at all.
    pub(super) fn has_integrity(&self) -> bool {
        self.integrity.is_some()
    }

    /// Whether MESSAGE-INTEGRITY is there and made with `key`.
    pub(super) fn is_from(&self, key: &mut Key) -> bool {
        let Some(at) = self.integrity else { return false };
        let header = header_with_length(self.bytes, at + 4 + TAG);
        let tag = &self.bytes[at + 4..at + 4 + TAG];
        key.0.verify(&[&header, &self.bytes[HEADER..at]], tag).is_ok()
    }
}

/// The USERNAME of a binding request, found without checking anything else.
pub(super) fn request_username(bytes: &[u8]) -> Option<&str> {
    let message = Message::header(bytes)?;
    if message.class != Class::Request {
        return None;
    }
    let mut at = HEADER;
    while at < bytes.len() {
        let (kind, value) = attribute(bytes, at)?;
        if kind == code::ATTR_USERNAME.0 {
            return std::str::from_utf8(value).ok();
        }
        at += 4 + padded(value.len());
    }
    None
}

/// The attribute at `at`; `None` when it does not fit.
fn attribute(bytes: &[u8], at: usize) -> Option<(u16, &[u8])> {
    let &[k0, k1, l0, l1] = bytes.get(at..at + 4)? else { return None };
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let value = bytes.get(at + 4..at + 4 + padded(length))?;
    Some((u16::from_be_bytes([k0, k1]), &value[..length]))
}

const fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// The header of a message as if it ended at `end`: what the HMAC covers.
fn header_with_length(bytes: &[u8], end: usize) -> [u8; HEADER] {
    let mut header = [0u8; HEADER];
    header.copy_from_slice(&bytes[..HEADER]);
    header[2..4].copy_from_slice(&length_field(end));
    header
}

fn length_field(end: usize) -> [u8; 2] {
    // Messages are at most a datagram long, so the length fits.
    ((end - HEADER) as u16).to_be_bytes()
}

fn xor_address(value: &[u8], transaction: &TransactionId) -> Option<SocketAddr> {
    let [_, family, p0, p1, ip @ ..] = value else { return None };
    let port = u16::from_be_bytes([p0 ^ COOKIE[0], p1 ^ COOKIE[1]]);
    let mask = COOKIE.iter().chain(transaction);
    let ip = match family {
        1 => {
            let mut octets: [u8; 4] = ip.try_into().ok()?;
            octets.iter_mut().zip(mask).for_each(|(o, m)| *o ^= m);
            IpAddr::V4(Ipv4Addr::from(octets))
        }
        2 => {
            let mut octets: [u8; 16] = ip.try_into().ok()?;
            octets.iter_mut().zip(mask).for_each(|(o, m)| *o ^= m);
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// A password, ready to sign and verify with (short-term credentials, HMAC-SHA1).
pub(super) struct Key(Box<dyn Mac>);

impl Key {
    pub(super) fn new(password: &str) -> Self {
        static CRYPTO: LazyLock<Arc<dyn RTCCryptoProvider>> = LazyLock::new(|| {
            default_provider().expect("rtc-stun is built with a provider (crypto-ring)")
        });
        let mac = CRYPTO.crypto().new_hmac(HmacAlgorithm::Sha1, password.as_bytes());
        Key(mac.expect("every provider has HMAC-SHA1, and it takes keys of any length"))
    }
}

/// A message being written.
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn new(kind: u16, transaction: &TransactionId) -> Self {
        let mut bytes = Vec::with_capacity(160);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&COOKIE);
        bytes.extend_from_slice(transaction);
        Writer { bytes }
    }

    pub(super) fn request(transaction: &TransactionId) -> Self {
        Writer::new(BINDING_REQUEST, transaction)
    }

    pub(super) fn success(transaction: &TransactionId) -> Self {
        Writer::new(BINDING_SUCCESS, transaction)
    }

    /// An error answer. It has no reason phrase, so that it is never longer than the request.
    pub(super) fn error(transaction: &TransactionId, error: u16) -> Self {
        let mut writer = Writer::new(BINDING_ERROR, transaction);
        let value = [0, 0, (error / 100) as u8, (error % 100) as u8];
        writer.push(code::ATTR_ERROR_CODE, &value);
        writer
    }

    fn push(&mut self, kind: code::AttrType, value: &[u8]) {
        self.bytes.extend_from_slice(&kind.0.to_be_bytes());
        self.bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(padded(self.bytes.len()), 0);
    }

    pub(super) fn username(mut self, first: &str, second: &str) -> Self {
        self.push(code::ATTR_USERNAME, format!("{first}:{second}").as_bytes());
        self
    }

    pub(super) fn priority(mut self, priority: u32) -> Self {
        self.push(code::ATTR_PRIORITY, &priority.to_be_bytes());
        self
    }

    pub(super) fn role(mut self, controlling: bool, tie_breaker: u64) -> Self {
        let kind = if controlling { code::ATTR_ICE_CONTROLLING } else { code::ATTR_ICE_CONTROLLED };
        self.push(kind, &tie_breaker.to_be_bytes());
        self
    }

    pub(super) fn use_candidate(mut self, on: bool) -> Self {
        if on {
            self.push(code::ATTR_USE_CANDIDATE, &[]);
        }
        self
    }

    pub(super) fn unknown(mut self, kinds: &[u16]) -> Self {
        let value: Vec<u8> = kinds.iter().flat_map(|kind| kind.to_be_bytes()).collect();
        self.push(code::ATTR_UNKNOWN_ATTRIBUTES, &value);
        self
    }

    pub(super) fn mapped(mut self, address: SocketAddr) -> Self {
        let transaction: [u8; 12] =
            self.bytes[8..HEADER].try_into().expect("the header was written first");
        let mask = COOKIE.iter().chain(&transaction);
        let mut value = Vec::with_capacity(20);
        value.extend_from_slice(&[0, if address.is_ipv4() { 1 } else { 2 }]);
        let [p0, p1] = address.port().to_be_bytes();
        value.extend_from_slice(&[p0 ^ COOKIE[0], p1 ^ COOKIE[1]]);
        match address.ip() {
            IpAddr::V4(ip) => value.extend(ip.octets().iter().zip(mask).map(|(o, m)| o ^ m)),
            IpAddr::V6(ip) => value.extend(ip.octets().iter().zip(mask).map(|(o, m)| o ^ m)),
        }
        self.push(code::ATTR_XORMAPPED_ADDRESS, &value);
        self
    }

    /// Adds MESSAGE-INTEGRITY and FINGERPRINT.
    pub(super) fn signed(mut self, key: &mut Key) -> Bytes {
        let end = self.bytes.len() + 4 + TAG;
        let header = header_with_length(&self.bytes, end);
        let mut tag = [0u8; TAG];
        key.0
            .sign(&[&header, &self.bytes[HEADER..]], &mut tag)
            .expect("the tag has the length of SHA-1");
        self.push(code::ATTR_MESSAGE_INTEGRITY, &tag);
        self.unsigned()
    }

    /// Adds FINGERPRINT alone: for answers to those who did not prove who they are.
    pub(super) fn unsigned(mut self) -> Bytes {
        let end = self.bytes.len() + 8;
        self.bytes[2..4].copy_from_slice(&length_field(end));
        let value = fingerprint_value(&self.bytes);
        self.push(code::ATTR_FINGERPRINT, &value.to_be_bytes());
        self.bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: TransactionId = [7; 12];

    fn request(password: &str) -> Bytes {
        Writer::request(&ID)
            .username("left", "right")
            .priority(77)
            .role(true, 99)
            .use_candidate(true)
            .signed(&mut Key::new(password))
    }

    #[test]
    fn reads_what_it_writes() {
        let bytes = request("secret");
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.class, Class::Request);
        assert_eq!(message.transaction, ID);
        assert_eq!(message.username, Some("left:right"));
        assert_eq!(message.priority, Some(77));
        assert_eq!((message.controlling, message.controlled), (Some(99), None));
        assert!(message.use_candidate);
        assert!(message.is_from(&mut Key::new("secret")));
        assert!(!message.is_from(&mut Key::new("another")));
        assert_eq!(request_username(&bytes), Some("left:right"));
    }

    #[test]
    fn rtc_stun_reads_what_it_writes() {
        use rtc_stun::message::{Getter, Message as Theirs};
        let address: SocketAddr = "[2001:db8::7]:4711".parse().unwrap();
        let bytes = Writer::success(&ID).mapped(address).signed(&mut Key::new("secret"));
        let mut message = Theirs::new();
        message.unmarshal_binary(&bytes).unwrap();
        let mut mapped = rtc_stun::xoraddr::XorMappedAddress::default();
        mapped.get_from(&message).unwrap();
        assert_eq!((mapped.ip, mapped.port), (address.ip(), address.port()));
        rtc_stun::fingerprint::FINGERPRINT.check(&message).unwrap();
        let provider = default_provider().unwrap();
        rtc_stun::integrity::MessageIntegrity::check(&mut message, b"secret", provider.crypto())
            .unwrap();
    }

    /// RFC 5769, section 2.1: the sample request.
    #[test]
    fn reads_the_sample_request_of_rfc_5769() {
        let text = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e\
                    74002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020000800149\
                    aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
        let text: String = text.split_whitespace().collect();
        let bytes: Vec<u8> = (0..text.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
            .collect();
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.username, Some("evtj:h6vY"));
        assert_eq!(message.controlled, Some(0x932f_f9b1_5126_3b36));
        assert!(message.is_from(&mut Key::new("VOkJxbRl1RmTxUk/WvJxBt")));
    }

    #[test]
    fn ignores_what_stands_after_the_integrity() {
        let key = &mut Key::new("secret");
        let mut writer = Writer::request(&ID).username("left", "right");
        let header = header_with_length(&writer.bytes, writer.bytes.len() + 4 + TAG);
        let mut tag = [0u8; TAG];
        key.0.sign(&[&header, &writer.bytes[HEADER..]], &mut tag).unwrap();
        writer.push(code::ATTR_MESSAGE_INTEGRITY, &tag);
        let bytes = writer.use_candidate(true).unsigned();
        let message = Message::parse(&bytes).unwrap();
        assert!(message.is_from(key));
        assert!(!message.use_candidate);
    }

    #[test]
    fn refuses_every_truncation_and_every_flipped_bit() {
        let bytes = request("secret");
        let key = &mut Key::new("secret");
        for length in 0..bytes.len() {
            assert!(Message::parse(&bytes[..length]).is_none(), "{length} bytes");
        }
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!Message::parse(&bytes).is_some_and(|m| m.is_from(key)), "bit {bit}");
        }
    }

    #[test]
    fn an_error_answer_is_no_longer_than_the_shortest_request() {
        let request = Writer::request(&ID).username("a", "b").unsigned();
        let answer = Writer::error(&ID, 401).unsigned();
        assert!(answer.len() <= request.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), stun: bool) {
            if stun && bytes.len() >= HEADER {
                let length = bytes.len() / 4 * 4;
                bytes.truncate(length);
                bytes[..2].copy_from_slice(&[0, 1]);
                bytes[2..4].copy_from_slice(&length_field(length));
                bytes[4..8].copy_from_slice(&COOKIE);
            }
            let _ = request_username(&bytes);
            if let Some(message) = Message::parse(&bytes) {
                let _ = message.is_from(&mut Key::new("secret"));
            }
        }

        #[test]
        fn damaged_attributes_never_panic(at in 20usize..100, byte: u8) {
            // Repair the checksum, so that the damage reaches the attributes.
            let mut bytes = request("secret").to_vec();
            let end = bytes.len() - 8;
            bytes[at.min(end - 1)] = byte;
            let value = fingerprint_value(&bytes[..end]).to_be_bytes();
            bytes[end + 4..].copy_from_slice(&value);
            let _ = request_username(&bytes);
            if let Some(message) = Message::parse(&bytes) {
                let _ = message.is_from(&mut Key::new("secret"));
            }
        }
    }
}
