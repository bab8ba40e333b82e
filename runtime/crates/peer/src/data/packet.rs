//! What an SCTP packet may look like before rtc-sctp sees it (RFC 9260, RFC 3758, RFC 6525).
//!
//! rtc-sctp 0.21.1 panics on some malformed chunks (an error cause longer than its chunk), loops
//! for minutes on others (a FORWARD TSN far ahead), keeps some without bound (reset requests for
//! the future), and gives up the association where it need not (an ERROR, a late INIT, chunks of
//! unknown types). So packets are checked, chunk by chunk, and chunks that it cannot take are left
//! out.

use std::ops::ControlFlow;

use bytes::{Bytes, BytesMut};

/// How far ahead of what has been acknowledged a transmission sequence number may lie: this
/// bounds what a peer can make the reassembly hold, and covers a window of messages of 32 bytes.
const MAX_AHEAD: u32 = 8192;
/// Reset requests that wait for data which has not arrived yet.
const MAX_DEFERRED: usize = 32;
/// Handshakes of the other side that are remembered; the oldest goes.
const MAX_OFFERED: usize = 8;
/// Payload under which a fragment counts as small.
const SMALL_FRAGMENT: usize = 64;

/// Bytes of the common header.
const HEADER: usize = 12;

const DATA: u8 = 0;
const INIT: u8 = 1;
pub(super) const INIT_ACK: u8 = 2;
const SACK: u8 = 3;
const HEARTBEAT: u8 = 4;
const ABORT: u8 = 6;
const SHUTDOWN: u8 = 7;
const SHUTDOWN_ACK: u8 = 8;
pub(super) const COOKIE_ECHO: u8 = 10;
pub(super) const COOKIE_ACK: u8 = 11;
const SHUTDOWN_COMPLETE: u8 = 14;
const RECONFIG: u8 = 130;
const FORWARD_TSN: u8 = 192;

const OUTGOING_RESET: u16 = 13;
const RECONFIG_RESPONSE: u16 = 16;

/// One chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk<'a> {
    pub(super) kind: u8,
    flags: u8,
    pub(super) value: &'a [u8],
    /// Bytes with header and padding.
    size: usize,
}

impl<'a> Chunk<'a> {
    fn split(bytes: &'a [u8]) -> Option<Chunk<'a>> {
        let header = bytes.first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let value = bytes.get(4..length)?;
        let size = length.next_multiple_of(4);
        (size <= bytes.len()).then_some(Chunk { kind: header[0], flags: header[1], value, size })
    }

    /// A big-endian word of the value.
    pub(super) fn word(&self, at: usize) -> Option<u32> {
        self.value.get(at..)?.first_chunk::<4>().map(|b| u32::from_be_bytes(*b))
    }
}

/// The first chunk of a packet of ours or of a checked one.
pub(super) fn first_chunk(packet: &[u8]) -> Option<Chunk<'_>> {
    Chunk::split(packet.get(HEADER..)?)
}

/// What becomes of a packet.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Hand it on; some chunks may have been left out.
    Pass(Bytes),
    /// Nothing in it can be used.
    Drop,
    /// The other side gives up the association; by its user's wish or for an error.
    Aborted { by_user: bool },
    /// The other side misbehaves beyond what an honest one could.
    Hostile(&'static str),
}

/// What has to be remembered to judge a packet.
#[derive(Debug, Default)]
pub(super) struct Inspector {
    /// The last number that we acknowledged, once there was one.
    acknowledged: Option<u32>,
    /// The tags and first numbers that the other side has offered: one handshake may overtake
    /// another.
    offered: Vec<(u32, u32)>,
    /// Reset requests that were ahead of the data: request number and last data number.
    deferred: Vec<(u32, u32)>,
    /// Small fragments since the reassembly was empty.
    small_fragments: u32,
}

/// Small fragments that may wait in the reassembly: a sender that fills its packets never has any.
const MAX_SMALL_FRAGMENTS: u32 = 16 * 1024;

impl Inspector {
    /// Looks at a packet that is about to be sent: our acknowledgements say how far the data has
    /// come.
    pub(super) fn sent(&mut self, packet: &[u8], receive_window: u32) {
        // A SACK is never bundled by rtc-sctp.
        let Some(chunk) = first_chunk(packet) else { return };
        match chunk.kind {
            SACK => {
                self.acknowledged = chunk.word(0);
                self.offered = Vec::new();
                if chunk.word(4) == Some(receive_window) {
                    self.small_fragments = 0;
                }
            }
            // Shows which of its handshakes the other side goes on with: by its tag.
            COOKIE_ECHO | COOKIE_ACK => {
                let tag = packet[4..8].first_chunk().map(|b| u32::from_be_bytes(*b));
                self.offered.retain(|(known, _)| Some(*known) == tag);
            }
            _ => {}
        }
    }

    /// Judges a received packet. `established` says whether the association is up.
    pub(super) fn received(&mut self, packet: &Bytes, established: bool) -> Verdict {
        let Some(mut rest) = packet.get(HEADER..) else { return Verdict::Drop };
        let mut kept = 0;
        let mut left_out = Vec::new();
        while !rest.is_empty() {
            let Some(chunk) = Chunk::split(rest) else { return Verdict::Drop };
            let at = packet.len() - rest.len();
            match self.judge(&chunk, established) {
                ControlFlow::Continue(true) => kept += 1,
                ControlFlow::Continue(false) => left_out.push(at..at + chunk.size),
                ControlFlow::Break(Verdict::Drop) if kept > 0 => {
                    // What follows a chunk that cannot be passed over is not read either (RFC
                    // 9260, section 3.2).
                    left_out.push(at..packet.len());
                    break;
                }
                ControlFlow::Break(verdict) => return verdict,
            }
            rest = &rest[chunk.size..];
        }
        if kept == 0 {
            Verdict::Drop
        } else if left_out.is_empty() {
            Verdict::Pass(packet.clone())
        } else {
            Verdict::Pass(without(packet, &left_out))
        }
    }

    /// Whether a chunk is kept, left out, or decides about the rest of the packet.
    fn judge(&mut self, chunk: &Chunk<'_>, established: bool) -> ControlFlow<Verdict, bool> {
        let length = chunk.value.len();
        let well_formed = match chunk.kind {
            DATA => return self.judge_data(chunk),
            // Late copies: a new association would need a new DTLS connection.
            INIT | INIT_ACK if established => return ControlFlow::Continue(false),
            INIT | INIT_ACK => {
                let sound = length >= 16 && parameters_are_sound(&chunk.value[16..]);
                if let (true, Some(tag), Some(first)) = (sound, chunk.word(0), chunk.word(12))
                    && !self.offered.contains(&(tag, first))
                {
                    if self.offered.len() >= MAX_OFFERED {
                        self.offered.remove(0);
                    }
                    self.offered.push((tag, first));
                }
                sound
            }
            SACK => sack_is_sound(chunk.value),
            HEARTBEAT => chunk.value.first_chunk::<4>().is_some_and(|header| {
                header[..2] == [0, 1]
                    && usize::from(u16::from_be_bytes([header[2], header[3]])) == length
            }),
            ABORT => {
                // A user-initiated abort is cause 12 (RFC 9260, section 3.3.10.12); some (aiortc)
                // name no cause.
                let by_user = chunk.value.is_empty() || chunk.value.starts_with(&[0, 12]);
                return ControlFlow::Break(Verdict::Aborted { by_user });
            }
            SHUTDOWN => length == 4,
            SHUTDOWN_ACK | COOKIE_ACK | SHUTDOWN_COMPLETE => length == 0,
            COOKIE_ECHO => length > 0,
            RECONFIG => return self.judge_reconfig(chunk),
            FORWARD_TSN => {
                length >= 4
                    && length.is_multiple_of(4)
                    && chunk.word(0).is_some_and(|tsn| self.is_near(tsn))
            }
            // Unknown types and those that ask for nothing (ERROR, HEARTBEAT ACK): the first bit
            // says whether the rest of the packet may still be read.
            5 | 9 | 0x80.. => return ControlFlow::Continue(false),
            _ => false,
        };
        if well_formed { ControlFlow::Continue(true) } else { ControlFlow::Break(Verdict::Drop) }
    }

    fn judge_data(&mut self, chunk: &Chunk<'_>) -> ControlFlow<Verdict, bool> {
        const WHOLE: u8 = 0x03;
        let Some(tsn) = chunk.word(0).filter(|_| chunk.value.len() > 12) else {
            return ControlFlow::Break(Verdict::Drop);
        };
        if !self.is_near(tsn) {
            return ControlFlow::Continue(false);
        }
        if chunk.flags & WHOLE != WHOLE && chunk.value.len() < 12 + SMALL_FRAGMENT {
            self.small_fragments += 1;
            if self.small_fragments > MAX_SMALL_FRAGMENTS {
                return ControlFlow::Break(Verdict::Hostile("too many small fragments"));
            }
        }
        ControlFlow::Continue(true)
    }

    /// Keeps what rtc-sctp knows: resets of the sender's streams, and responses.
    fn judge_reconfig(&mut self, chunk: &Chunk<'_>) -> ControlFlow<Verdict, bool> {
        let mut rest = chunk.value;
        let mut count = 0;
        while !rest.is_empty() {
            let Some(parameter) = Parameter::split(rest) else {
                return ControlFlow::Break(Verdict::Drop);
            };
            let known = match parameter.kind {
                OUTGOING_RESET => parameter.length >= 16 && parameter.length.is_multiple_of(2),
                RECONFIG_RESPONSE => matches!(parameter.length, 12 | 20),
                _ => false,
            };
            count += 1;
            if !known || count > 2 {
                return ControlFlow::Continue(false);
            }
            if parameter.kind == OUTGOING_RESET && !self.takes_reset(rest) {
                return ControlFlow::Continue(false);
            }
            rest = rest.get(parameter.size()..).unwrap_or_default();
        }
        ControlFlow::Continue(count > 0)
    }

    /// Bounds the requests that come before the data they wait for.
    fn takes_reset(&mut self, parameter: &[u8]) -> bool {
        let word = |at: usize| {
            parameter.get(at..).and_then(|b| b.first_chunk::<4>()).map(|b| u32::from_be_bytes(*b))
        };
        let (Some(number), Some(last)) = (word(4), word(12)) else { return false };
        // Before the first acknowledgement there is nothing to reset.
        let Some(acknowledged) = self.acknowledged else { return false };
        let is_ahead = |tsn: u32| tsn.wrapping_sub(acknowledged).wrapping_sub(1) < u32::MAX / 2;
        self.deferred.retain(|(_, tsn)| is_ahead(*tsn));
        if !is_ahead(last) || self.deferred.iter().any(|(known, _)| *known == number) {
            return true;
        }
        let fits = self.is_near(last) && self.deferred.len() < MAX_DEFERRED;
        if fits {
            self.deferred.push((number, last));
        }
        fits
    }

    /// Whether a number is not too far ahead; old ones are for rtc-sctp to recognise.
    fn is_near(&self, tsn: u32) -> bool {
        let near = |acknowledged: u32| {
            let ahead = tsn.wrapping_sub(acknowledged);
            ahead <= MAX_AHEAD || ahead > u32::MAX / 2
        };
        match self.acknowledged {
            Some(acknowledged) => near(acknowledged),
            None => self.offered.iter().any(|(_, first)| near(first.wrapping_sub(1))),
        }
    }
}

/// One parameter of a chunk.
struct Parameter {
    kind: u16,
    length: usize,
}

impl Parameter {
    fn split(bytes: &[u8]) -> Option<Parameter> {
        let header = bytes.first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        (length >= 4 && length <= bytes.len())
            .then_some(Parameter { kind: u16::from_be_bytes([header[0], header[1]]), length })
    }

    /// Bytes with padding, which may be missing at the end.
    fn size(&self) -> usize {
        self.length.next_multiple_of(4)
    }
}

fn parameters_are_sound(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some(parameter) = Parameter::split(rest) else { return false };
        rest = rest.get(parameter.size()..).unwrap_or_default();
    }
    true
}

fn sack_is_sound(value: &[u8]) -> bool {
    let Some(header) = value.first_chunk::<12>() else { return false };
    let gaps = usize::from(u16::from_be_bytes([header[8], header[9]]));
    let duplicates = usize::from(u16::from_be_bytes([header[10], header[11]]));
    value.len() == 12 + 4 * (gaps + duplicates)
        && value[12..12 + 4 * gaps].chunks_exact(4).all(|gap| gap[..2] <= gap[2..])
}

/// The packet without some of its chunks, with a new checksum.
fn without(packet: &[u8], left_out: &[std::ops::Range<usize>]) -> Bytes {
    let mut kept = BytesMut::with_capacity(packet.len());
    let mut from = 0;
    for range in left_out {
        kept.extend_from_slice(&packet[from..range.start]);
        from = range.end;
    }
    kept.extend_from_slice(&packet[from..]);
    seal(&mut kept);
    kept.freeze()
}

/// Writes the checksum (RFC 9260, section 6.8).
pub(super) fn seal(packet: &mut [u8]) {
    packet[8..HEADER].fill(0);
    let checksum = crc32c::crc32c(packet);
    packet[8..HEADER].copy_from_slice(&checksum.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, flags];
        bytes.extend_from_slice(&((4 + value.len()) as u16).to_be_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn packet(chunks: &[Vec<u8>]) -> Bytes {
        let mut bytes = vec![0x13, 0x88, 0x13, 0x88, 0, 0, 0, 1, 0, 0, 0, 0];
        bytes.extend(chunks.concat());
        seal(&mut bytes);
        bytes.into()
    }

    fn data(tsn: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut value = tsn.to_be_bytes().to_vec();
        value.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 51]);
        value.extend_from_slice(payload);
        chunk(DATA, flags, &value)
    }

    fn inspector(acknowledged: u32) -> Inspector {
        Inspector { acknowledged: Some(acknowledged), ..Default::default() }
    }

    #[test]
    fn a_sound_packet_passes_unchanged() {
        let packet = packet(&[data(11, 3, b"hello"), data(12, 3, b"world")]);
        assert_eq!(inspector(10).received(&packet, true), Verdict::Pass(packet.clone()));
    }

    #[test]
    fn chunks_that_cannot_be_taken_are_left_out() {
        let mixed = packet(&[chunk(9, 0, &[0; 8]), data(11, 3, b"x"), chunk(0xc7, 0, b"new")]);
        let clean = packet(&[data(11, 3, b"x")]);
        assert_eq!(inspector(10).received(&mixed, true), Verdict::Pass(clean));
    }

    #[test]
    fn the_rest_after_an_unknown_mandatory_chunk_is_not_read() {
        let mixed = packet(&[data(11, 3, b"x"), chunk(60, 0, b"new"), data(12, 3, b"y")]);
        let clean = packet(&[data(11, 3, b"x")]);
        assert_eq!(inspector(10).received(&mixed, true), Verdict::Pass(clean));
    }

    #[test]
    fn malformed_chunks_are_dropped() {
        let mut short_cause = packet(&[chunk(RECONFIG, 0, &[0, 13, 0, 200, 0, 0, 0, 1])]).to_vec();
        seal(&mut short_cause);
        for (what, packet) in [
            ("an empty packet", packet(&[])),
            ("data without payload", packet(&[data(11, 3, b"")])),
            (
                "a SACK with fewer gaps than it says",
                packet(&[chunk(SACK, 0, &[0, 0, 0, 1, 0, 0, 0, 9, 0, 3, 0, 0])]),
            ),
            (
                "a reversed gap",
                packet(&[chunk(SACK, 0, &[0, 0, 0, 1, 0, 0, 0, 9, 0, 1, 0, 0, 0, 9, 0, 2])]),
            ),
            ("an INIT with a broken parameter", packet(&[chunk(INIT, 0, &[1; 20])])),
            ("a parameter longer than its chunk", short_cause.into()),
            ("a chunk longer than its packet", packet(&[vec![0, 3, 0, 200]])),
        ] {
            assert_eq!(inspector(10).received(&packet, true), Verdict::Drop, "{what}");
        }
    }

    #[test]
    fn numbers_far_ahead_are_refused_across_the_wrap() {
        let mut inspector = inspector(u32::MAX - 5);
        let near = packet(&[data(100, 3, b"x")]);
        assert_eq!(inspector.received(&near, true), Verdict::Pass(near.clone()));
        let far = packet(&[data(MAX_AHEAD + 100, 3, b"x")]);
        assert_eq!(inspector.received(&far, true), Verdict::Drop);
        let forward = packet(&[chunk(FORWARD_TSN, 0, &0x4000_0000u32.to_be_bytes())]);
        assert_eq!(inspector.received(&forward, true), Verdict::Drop);
    }

    #[test]
    fn an_init_is_too_late_once_the_association_is_up() {
        let init = packet(&[chunk(INIT, 0, &[9; 16])]);
        assert_eq!(inspector(10).received(&init, true), Verdict::Drop);
        assert_eq!(inspector(10).received(&init, false), Verdict::Pass(init.clone()));
    }

    #[test]
    fn an_abort_tells_whose_wish_it_was() {
        let mut inspector = inspector(10);
        for (cause, by_user) in
            [(vec![0, 12, 0, 4], true), (vec![0, 13, 0, 200], false), (vec![], true)]
        {
            let packet = packet(&[chunk(ABORT, 0, &cause)]);
            assert_eq!(inspector.received(&packet, true), Verdict::Aborted { by_user });
        }
    }

    #[test]
    fn early_reset_requests_are_bounded() {
        let mut inspector = inspector(10);
        let request = |number: u32| {
            let mut value = vec![0, 13, 0, 18];
            value.extend_from_slice(&number.to_be_bytes());
            value.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 20, 0, 1]);
            packet(&[chunk(RECONFIG, 0, &value)])
        };
        let passed = (0..100)
            .filter(|n| matches!(inspector.received(&request(*n), true), Verdict::Pass(_)))
            .count();
        assert_eq!(passed, MAX_DEFERRED);
        // Once the data has come, they wait no longer.
        inspector.acknowledged = Some(20);
        assert!(matches!(inspector.received(&request(200), true), Verdict::Pass(_)));
    }

    #[test]
    fn endless_small_fragments_are_hostile() {
        let mut inspector = inspector(10);
        let packet = packet(&[data(11, 0, b"x")]);
        let verdict = (0..=MAX_SMALL_FRAGMENTS).map(|_| inspector.received(&packet, true)).last();
        assert_eq!(verdict, Some(Verdict::Hostile("too many small fragments")));
    }
}
