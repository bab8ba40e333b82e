//! RTCP as far as a receiver needs it (RFC 3550, section 6; RFC 5506).

/// What is reported about one source (RFC 3550, section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceptionReport {
    /// The source that the report is about.
    pub ssrc: u32,
    /// Share of packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost in all; duplicates make it negative. 24 bits are sent.
    pub cumulative_lost: i32,
    /// The highest sequence number received, with the count of its cycles above it.
    pub extended_highest_sequence_number: u32,
    /// Interarrival jitter in units of the timestamp.
    pub jitter: u32,
    /// The middle 32 bits of the NTP time of the last sender report; 0 before the first.
    pub last_sr: u32,
    /// The time since then in 1/65536 s.
    pub delay_since_last_sr: u32,
}

/// One packet of a compound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rtcp {
    SenderReport { ssrc: u32, ntp: u64, rtp_timestamp: u32, packets: u32, octets: u32 },
    Bye { ssrc: u32 },
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
        match header[1] {
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

/// Writes a receiver report and the sender's canonical name (RFC 3550, sections 6.4.2 and 6.5.1).
/// At most [`MAX_REPORTS`] reports are written.
pub(crate) fn write_receiver_report(
    out: &mut Vec<u8>,
    ssrc: u32,
    cname: &str,
    reports: &[ReceptionReport],
) {
    let reports = &reports[..reports.len().min(MAX_REPORTS)];
    out.extend_from_slice(&[0x80 | reports.len() as u8, RECEIVER_REPORT]);
    out.extend_from_slice(&((1 + 6 * reports.len()) as u16).to_be_bytes());
    out.extend_from_slice(&ssrc.to_be_bytes());
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

/// Writes a sender report without reception reports.
#[cfg(test)]
pub(crate) fn write_sender_report(out: &mut Vec<u8>, ssrc: u32, ntp: u64, rtp_timestamp: u32) {
    out.extend_from_slice(&[0x80, SENDER_REPORT, 0, 6]);
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(&ntp.to_be_bytes());
    out.extend_from_slice(&rtp_timestamp.to_be_bytes());
    out.extend_from_slice(&[0; 8]);
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
        write_sender_report(&mut bytes, 7, 0x0102_0304_0506_0708, 960);
        bytes.extend_from_slice(&[0x81, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
        bytes.extend_from_slice(&[0x82, BYE, 0, 2, 0, 0, 0, 8, 0, 0, 0, 9]);
        assert_eq!(
            all(&bytes),
            [
                Rtcp::SenderReport {
                    ssrc: 7,
                    ntp: 0x0102_0304_0506_0708,
                    rtp_timestamp: 960,
                    packets: 0,
                    octets: 0
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
        write_receiver_report(&mut out, 5, "abc", &[report]);
        assert_eq!(out[..8], [0x81, 201, 0, 7, 0, 0, 0, 5]);
        assert_eq!(out[8..16], [0, 0, 0, 9, 0, 0xff, 0xff, 0xff]);
        assert_eq!(out[32..], [0x81, 202, 0, 3, 0, 0, 0, 5, 1, 3, b'a', b'b', b'c', 0, 0, 0]);
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
