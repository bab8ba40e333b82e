//! The record layer as far as it can be read without keys (RFC 6347, section 4.1).

/// Bytes of a record's header.
pub(super) const HEADER: usize = 13;
/// Bytes of a handshake fragment's header.
const FRAGMENT_HEADER: usize = 12;
/// No handshake message is longer: a chain of a few certificates is a tenth of it.
const MAX_HANDSHAKE_MESSAGE: usize = 32 * 1024;
/// An encrypted record holds at least the explicit nonce and the tag of AES-GCM (RFC 5288).
const MIN_SEALED: usize = 8 + 16;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const FATAL: u8 = 2;
const HELLO_VERIFY_REQUEST: u8 = 3;

/// One record of a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) kind: u8,
    pub(super) epoch: u16,
    pub(super) body: &'a [u8],
}

/// The records of a datagram; `None` stands for a malformed rest.
pub(super) fn records(mut rest: &[u8]) -> impl Iterator<Item = Option<Record<'_>>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let record = split(rest);
        rest = match record {
            Some(found) => &rest[HEADER + found.body.len()..],
            None => &[],
        };
        Some(record)
    })
}

fn split(bytes: &[u8]) -> Option<Record<'_>> {
    let header = bytes.first_chunk::<HEADER>()?;
    let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
    let body = bytes.get(HEADER..HEADER + length)?;
    let version_is_dtls = header[1] == 0xfe && matches!(header[2], 0xfd | 0xff);
    version_is_dtls.then_some(Record {
        kind: header[0],
        epoch: u16::from_be_bytes([header[3], header[4]]),
        body,
    })
}

/// Checks a received datagram and counts the handshake fragments in it.
///
/// `None` when any record of it is malformed or has no place in a connection. This comes before
/// rtc-dtls 0.21, which answers a malformed plaintext record during the handshake with a fatal
/// alert, so that anyone who can forge an address could end it.
pub(super) fn inspect(datagram: &[u8]) -> Option<usize> {
    let mut fragments = 0;
    for record in records(datagram) {
        let record = record?;
        fragments += match (record.epoch, record.kind) {
            (0, HANDSHAKE) => plaintext_fragments(record.body)?,
            (0, CHANGE_CIPHER_SPEC) if record.body == [1] => 0,
            // Warnings in the clear are left out: a forged close_notify would end the handshake.
            (0, ALERT) if record.body.len() == 2 && record.body[0] == FATAL => 0,
            (1, HANDSHAKE) if record.body.len() >= MIN_SEALED => 1,
            // A ChangeCipherSpec of epoch 1 has no place without renegotiation, and rtc-dtls 0.21
            // takes it without authentication: a forged one would end the connection.
            (1, ALERT | APPLICATION_DATA) if record.body.len() >= MIN_SEALED => 0,
            _ => return None,
        };
    }
    Some(fragments)
}

/// The handshake fragments of a plaintext record: at least one, each within its bounds.
fn plaintext_fragments(mut body: &[u8]) -> Option<usize> {
    let mut count = 0;
    while !body.is_empty() {
        let header = body.first_chunk::<FRAGMENT_HEADER>()?;
        let wide = |at: usize| u32::from_be_bytes([0, header[at], header[at + 1], header[at + 2]]);
        let length = wide(1) as usize;
        let (offset, size) = (wide(6) as usize, wide(9) as usize);
        let fits = length <= MAX_HANDSHAKE_MESSAGE
            && offset + size <= length
            // An empty fragment of a message that is not empty leads nowhere.
            && (size > 0 || length == 0);
        if !fits {
            return None;
        }
        body = body.get(FRAGMENT_HEADER + size..)?;
        count += 1;
    }
    (count > 0).then_some(count)
}

/// Whether a flight can be sent again with other record numbers: all of it is in the clear, and it
/// is not the HelloVerifyRequest, which only ever answers (RFC 6347, section 4.2.1).
pub(super) fn is_repeatable(datagram: &[u8]) -> bool {
    records(datagram).all(|record| {
        record.is_some_and(|r| {
            r.epoch == 0 && r.kind == HANDSHAKE && r.body.first() != Some(&HELLO_VERIFY_REQUEST)
        })
    })
}

/// Whether a datagram begins a handshake.
pub(crate) fn is_client_hello(datagram: &[u8]) -> bool {
    const CLIENT_HELLO: u8 = 1;
    matches!(records(datagram).next(), Some(Some(Record { kind: HANDSHAKE, epoch: 0, body }))
        if body.first() == Some(&CLIENT_HELLO))
}

/// Whether there is a handshake message in the clear among the records.
pub(super) fn has_plaintext_handshake(datagram: &[u8]) -> bool {
    records(datagram).flatten().any(|r| r.epoch == 0 && r.kind == HANDSHAKE)
}

/// Whether the first record is an encrypted one.
pub(super) fn is_sealed(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER && datagram[3..5] == [0, 1]
}

/// Whether the keys change in a datagram: what is encrypted can be read from then on.
pub(super) fn changes_cipher(datagram: &[u8]) -> bool {
    records(datagram).flatten().any(|r| r.epoch == 0 && r.kind == CHANGE_CIPHER_SPEC)
}

/// Whether a fatal alert in the clear is among the records.
pub(super) fn has_fatal_alert(datagram: &[u8]) -> bool {
    records(datagram)
        .flatten()
        .any(|r| r.epoch == 0 && r.kind == ALERT && r.body.first() == Some(&FATAL))
}

/// Numbers the plaintext records of a datagram anew, from `next` on.
///
/// The number is part of no transcript and, in epoch 0, of no authentication, so this is safe; it
/// lets a flight be sent again although the other side refuses a number that it has seen.
pub(super) fn renumber(datagram: &mut [u8], next: &mut u64) {
    let mut at = 0;
    while let Some(record) = split(&datagram[at..]) {
        let (epoch, length) = (record.epoch, record.body.len());
        if epoch == 0 {
            datagram[at + 5..at + 11].copy_from_slice(&next.to_be_bytes()[2..]);
            *next += 1;
        }
        at += HEADER + length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, epoch: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, 0xfe, 0xfd];
        bytes.extend_from_slice(&epoch.to_be_bytes());
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    fn fragment(kind: u8, length: u8, offset: u8, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, 0, 0, length, 0, 0, 0, 0, offset, 0, 0, data.len() as u8];
        bytes.extend_from_slice(data);
        bytes
    }

    #[test]
    fn a_handshake_message_is_counted() {
        let mut datagram = record(HANDSHAKE, 0, &fragment(1, 4, 0, &[1, 2, 3, 4]));
        datagram.extend(record(HANDSHAKE, 0, &fragment(1, 4, 2, &[1, 2])));
        assert_eq!(inspect(&datagram), Some(2));
    }

    #[test]
    fn what_has_no_place_is_refused() {
        for (what, datagram) in [
            ("a truncated header", vec![22, 0xfe, 0xfd]),
            ("a truncated body", record(HANDSHAKE, 0, &fragment(1, 4, 0, &[1; 4]))[..20].to_vec()),
            ("an unknown type", record(99, 0, b"x")),
            ("TLS", vec![22, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            ("data in the clear", record(APPLICATION_DATA, 0, b"data")),
            ("a warning in the clear", record(ALERT, 0, &[1, 0])),
            ("a second ChangeCipherSpec", record(CHANGE_CIPHER_SPEC, 1, &[1; 24])),
            ("another epoch", record(APPLICATION_DATA, 2, &[0; 64])),
            ("an empty record", record(HANDSHAKE, 0, b"")),
            ("a fragment beyond its message", record(HANDSHAKE, 0, &fragment(1, 4, 3, &[1, 2]))),
            ("an empty fragment", record(HANDSHAKE, 0, &fragment(1, 4, 0, &[]))),
        ] {
            assert_eq!(inspect(&datagram), None, "{what}");
        }
    }

    #[test]
    fn only_records_in_the_clear_are_renumbered() {
        let mut datagram = record(HANDSHAKE, 0, &fragment(14, 0, 0, &[]));
        datagram.extend(record(HANDSHAKE, 1, &[7; 40]));
        let mut next = 0x0001_0002_0003;
        renumber(&mut datagram, &mut next);
        assert_eq!(datagram[5..11], [0, 1, 0, 2, 0, 3]);
        assert_eq!(datagram[HEADER + 12 + 5..HEADER + 12 + 11], [0; 6]);
        assert_eq!(next, 0x0001_0002_0004);
    }

    #[test]
    fn a_hello_verify_request_is_not_repeated() {
        assert!(is_repeatable(&record(HANDSHAKE, 0, &fragment(1, 1, 0, &[0]))));
        assert!(!is_repeatable(&record(HANDSHAKE, 0, &fragment(HELLO_VERIFY_REQUEST, 1, 0, &[0]))));
        assert!(!is_repeatable(&record(HANDSHAKE, 1, &[0; 40])));
    }
}
