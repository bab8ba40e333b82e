//! RTCP as far as audio needs it (RFC 3550, section 6; RFC 5506).

use remotemedia_core::ReceptionReport;

/// What is reported about our own source (RFC 3550, section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderReport {
    /// Now, by a clock of ours in NTP format.
    pub ntp: u64,
    /// The same instant in the media's clock.
    pub rtp_timestamp: u32,
    /// Packets sent since the beginning.
    pub packets: u32,
    /// Bytes of payload in them.
    pub octets: u32,
}

/// A part of a compound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rtcp {
    /// A report block of a sender's or a receiver's report.
    Reception(ReceptionReport),
    SenderReport {
        ssrc: u32,
        ntp: u64,
        rtp_timestamp: u32,
        packets: u32,
        octets: u32,
    },
    Bye {
        ssrc: u32,
    },
}

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
/// Reports in one packet, as its count has five bits.
pub(crate) const MAX_REPORTS: usize = 31;

/// Reads a compound packet, passing over what is not needed, up to the first malformed part.
pub(crate) fn parse(mut rest: &[u8], mut found: impl FnMut(Rtcp)) {
    while let Some(header) = rest.first_chunk::<4>() {
        let length = 4 * (usize::from(u16::from_be_bytes([header[2], header[3]])) + 1);
        let Some(packet) = rest.get(..length) else { return };
        if header[0] >> 6 != 2 {
            return;
        }
        let word = |i: usize| {
            packet
                .get(4 * i..4 * i + 4)
                .and_then(|b| b.first_chunk::<4>())
                .map(|b| u32::from_be_bytes(*b))
        };
        let count = usize::from(header[0] & 0x1f);
        let blocks = |first: usize| (0..count).map_while(move |i| block(packet, first + 6 * i));
        match header[1] {
            RECEIVER_REPORT => blocks(2).for_each(|report| found(Rtcp::Reception(report))),
            SENDER_REPORT => {
                if let (Some(ssrc), Some(high), Some(low), Some(rtp), Some(packets), Some(octets)) =
                    (word(1), word(2), word(3), word(4), word(5), word(6))
                {
                    found(Rtcp::SenderReport {
                        ssrc,
                        ntp: u64::from(high) << 32 | u64::from(low),
                        rtp_timestamp: rtp,
                        packets,
                        octets,
                    });
                    blocks(7).for_each(|report| found(Rtcp::Reception(report)));
                }
            }
            BYE => {
                for ssrc in (1..=count).map_while(word) {
                    found(Rtcp::Bye { ssrc });
                }
            }
            _ => {}
        }
        rest = &rest[length..];
    }
}

/// The report block that begins with a packet's `first` word.
fn block(packet: &[u8], first: usize) -> Option<ReceptionReport> {
    let bytes = packet.get(4 * first..)?.first_chunk::<24>()?;
    let word = |i: usize| u32::from_be_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
    Some(ReceptionReport {
        ssrc: word(0),
        fraction_lost: bytes[4],
        // 24 bits with a sign.
        cumulative_lost: (word(4) << 8).cast_signed() >> 8,
        extended_highest_sequence_number: word(8),
        jitter: word(12),
        last_sr: word(16),
        delay_since_last_sr: word(20),
    })
}

/// Writes a receiver report, or a sender report where something was sent, and the sender's canonical name (RFC 3550, sections 6.4.2 and 6.5.1).
/// At most [`MAX_REPORTS`] reports are written.
pub(crate) fn write_report(
    out: &mut Vec<u8>,
    ssrc: u32,
    cname: &str,
    sent: Option<&SenderReport>,
    reports: &[ReceptionReport],
) {
    let reports = &reports[..reports.len().min(MAX_REPORTS)];
    let (kind, words) = if sent.is_some() { (SENDER_REPORT, 6) } else { (RECEIVER_REPORT, 1) };
    out.extend_from_slice(&[0x80 | reports.len() as u8, kind]);
    out.extend_from_slice(&((words + 6 * reports.len()) as u16).to_be_bytes());
    out.extend_from_slice(&ssrc.to_be_bytes());
    if let Some(sent) = sent {
        out.extend_from_slice(&sent.ntp.to_be_bytes());
        for word in [sent.rtp_timestamp, sent.packets, sent.octets] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
    for report in reports {
        let lost = report.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff);
        out.extend_from_slice(&report.ssrc.to_be_bytes());
        out.push(report.fraction_lost);
        out.extend_from_slice(&lost.to_be_bytes()[1..]);
        out.extend_from_slice(&report.extended_highest_sequence_number.to_be_bytes());
        out.extend_from_slice(&report.jitter.to_be_bytes());
        out.extend_from_slice(&report.last_sr.to_be_bytes());
        out.extend_from_slice(&report.delay_since_last_sr.to_be_bytes());
    }
    let name = &cname.as_bytes()[..cname.len().min(255)];
    // The chunk ends with at least one zero and on a word.
    let chunk = (4 + 2 + name.len() + 1).next_multiple_of(4);
    out.extend_from_slice(&[0x81, SOURCE_DESCRIPTION]);
    out.extend_from_slice(&((chunk / 4) as u16).to_be_bytes());
    let end = out.len() + chunk;
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(&[1, name.len() as u8]);
    out.extend_from_slice(name);
    out.resize(end, 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    fn all(bytes: &[u8]) -> Vec<Rtcp> {
        let mut found = Vec::new();
        parse(bytes, |packet| found.push(packet));
        found
    }

    #[test]
    fn a_compound_is_read_past_what_is_unknown() {
        let mut bytes = Vec::new();
        let sent =
            SenderReport { ntp: 0x0102_0304_0506_0708, rtp_timestamp: 960, packets: 3, octets: 99 };
        write_report(&mut bytes, 7, "abc", Some(&sent), &[]);
        bytes.extend_from_slice(&[0x81, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
        bytes.extend_from_slice(&[0x82, BYE, 0, 2, 0, 0, 0, 8, 0, 0, 0, 9]);
        assert_eq!(
            all(&bytes),
            [
                Rtcp::SenderReport {
                    ssrc: 7,
                    ntp: 0x0102_0304_0506_0708,
                    rtp_timestamp: 960,
                    packets: 3,
                    octets: 99
                },
                Rtcp::Bye { ssrc: 8 },
                Rtcp::Bye { ssrc: 9 },
            ]
        );
    }

    #[test]
    fn a_bye_names_no_more_than_it_holds() {
        assert_eq!(all(&[0x9f, BYE, 0, 1, 0, 0, 0, 8]), [Rtcp::Bye { ssrc: 8 }]);
    }

    #[test]
    fn a_receiver_report_has_the_layout_of_the_rfc() {
        let mut out = Vec::new();
        let report = ReceptionReport { ssrc: 9, cumulative_lost: -1, ..Default::default() };
        write_report(&mut out, 5, "abc", None, &[report]);
        assert_eq!(out[..8], [0x81, 201, 0, 7, 0, 0, 0, 5]);
        assert_eq!(out[8..16], [0, 0, 0, 9, 0, 0xff, 0xff, 0xff]);
        assert_eq!(out[32..], [0x81, 202, 0, 3, 0, 0, 0, 5, 1, 3, b'a', b'b', b'c', 0, 0, 0]);
    }

    #[test]
    fn reports_come_back_as_they_were_written() {
        let report = ReceptionReport {
            ssrc: 9,
            fraction_lost: 7,
            cumulative_lost: -3,
            extended_highest_sequence_number: 0x0001_0002,
            jitter: 5,
            last_sr: 6,
            delay_since_last_sr: 8,
        };
        let sent = SenderReport::default();
        for sent in [None, Some(&sent)] {
            let mut bytes = Vec::new();
            let lost = ReceptionReport { cumulative_lost: 70_000, ..report };
            write_report(&mut bytes, 5, "abc", sent, &[report, lost]);
            let found = all(&bytes);
            assert_eq!(found.len(), 2 + usize::from(sent.is_some()));
            assert!(found.ends_with(&[Rtcp::Reception(report), Rtcp::Reception(lost)]));
        }
    }

    #[test]
    fn a_report_names_no_more_blocks_than_it_holds() {
        let mut bytes = Vec::new();
        write_report(&mut bytes, 5, "abc", None, &[ReceptionReport::default()]);
        bytes[0] = 0x80 | 31;
        assert_eq!(all(&bytes).len(), 1);
        // The last block is cut short.
        bytes[3] -= 1;
        bytes.truncate(4 * 7);
        assert_eq!(all(&bytes), []);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(1),
            ..ProptestConfig::default()
        })]

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            all(&bytes);
        }
    }
}
