//! Which media section a packet belongs to (RFC 9143, section 9.2).

use std::sync::Arc;

use super::rtp::Layout;
use crate::sdp::AudioSection;

/// Sources that are remembered for a section beyond those of the SDP; the oldest makes room.
const MAX_LEARNT: usize = 64;

/// One section that media is received in.
#[derive(Clone, Debug)]
struct Section {
    mid: Arc<str>,
    payload_type: u8,
    mid_extension: Option<u8>,
}

/// Finds the section of a packet: by its source, learnt from the SDP or from an earlier packet,
/// else by the mid header extension, else by the payload type where only one section has it.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    sections: Vec<Section>,
    /// Sources and the index of their section, those of the SDP first.
    sources: Vec<(u32, usize)>,
    from_sdp: usize,
}

impl Demux {
    /// Takes over the sections of a new description. Sources learnt before stay with their mid.
    pub(crate) fn update(&mut self, audio: &[AudioSection]) {
        let before = std::mem::take(self);
        for section in audio.iter().filter(|s| s.direction.receives()) {
            self.sections.push(Section {
                mid: section.mid.as_str().into(),
                payload_type: section.payload_type,
                mid_extension: section.mid_extension,
            });
            let index = self.sections.len() - 1;
            self.sources.extend(section.ssrcs.iter().map(|ssrc| (*ssrc, index)));
        }
        self.from_sdp = self.sources.len();
        for (ssrc, index) in &before.sources {
            let mid = &before.sections[*index].mid;
            let now = self.sections.iter().position(|s| s.mid == *mid);
            if let (Some(index), None) = (now, self.source(*ssrc)) {
                self.learn(*ssrc, index);
            }
        }
    }

    /// Whether anything can be received.
    pub(crate) fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// The mid of a known source.
    pub(crate) fn mid_of(&self, ssrc: u32) -> Option<&Arc<str>> {
        self.source(ssrc).map(|index| &self.sections[index].mid)
    }

    /// The mid of a decrypted packet, if its section takes its payload type.
    pub(crate) fn find(&mut self, packet: &[u8], layout: &Layout) -> Option<&Arc<str>> {
        let header = &layout.header;
        let index = match self.source(header.ssrc) {
            Some(index) => index,
            None => {
                let index = self
                    .by_mid(packet, layout)
                    .or_else(|| self.by_payload_type(header.payload_type))?;
                self.learn(header.ssrc, index);
                index
            }
        };
        let section = &self.sections[index];
        (section.payload_type == header.payload_type).then_some(&section.mid)
    }

    fn source(&self, ssrc: u32) -> Option<usize> {
        self.sources.iter().find(|(known, _)| *known == ssrc).map(|(_, index)| *index)
    }

    fn by_mid(&self, packet: &[u8], layout: &Layout) -> Option<usize> {
        self.sections.iter().position(|section| {
            section
                .mid_extension
                .is_some_and(|id| layout.extension(packet, id) == Some(section.mid.as_bytes()))
        })
    }

    fn by_payload_type(&self, payload_type: u8) -> Option<usize> {
        let mut fitting =
            self.sections.iter().enumerate().filter(|(_, s)| s.payload_type == payload_type);
        let (index, _) = fitting.next()?;
        fitting.next().is_none().then_some(index)
    }

    fn learn(&mut self, ssrc: u32, index: usize) {
        if self.sources.len() >= self.from_sdp + MAX_LEARNT {
            self.sources.remove(self.from_sdp);
        }
        self.sources.push((ssrc, index));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::rtp::RtpHeader;
    use crate::sdp::{Direction, OpusWishes};

    fn section(mid: &str, payload_type: u8, ssrcs: &[u32]) -> AudioSection {
        AudioSection {
            mid: mid.into(),
            payload_type,
            direction: Direction::RecvOnly,
            wishes: OpusWishes::default(),
            stereo: false,
            ssrcs: ssrcs.to_vec(),
            mid_extension: Some(4),
            level_extension: None,
        }
    }

    fn packet(ssrc: u32, payload_type: u8, mid: Option<&str>) -> Vec<u8> {
        let mut bytes = Vec::new();
        RtpHeader { ssrc, payload_type, ..Default::default() }.write(&mut bytes);
        if let Some(mid) = mid {
            bytes[0] |= 0x10;
            let mut extension = vec![0x40 | (mid.len() as u8 - 1)];
            extension.extend_from_slice(mid.as_bytes());
            extension.resize(extension.len().next_multiple_of(4), 0);
            bytes.extend_from_slice(&[0xbe, 0xde, 0, (extension.len() / 4) as u8]);
            bytes.extend_from_slice(&extension);
        }
        bytes
    }

    fn find(demux: &mut Demux, bytes: &[u8]) -> Option<String> {
        let layout = Layout::parse(bytes).unwrap();
        demux.find(bytes, &layout).map(ToString::to_string)
    }

    #[test]
    fn sources_of_the_description_come_first() {
        let mut demux = Demux::default();
        demux.update(&[section("0", 111, &[7]), section("1", 111, &[8])]);
        assert_eq!(find(&mut demux, &packet(8, 111, None)).as_deref(), Some("1"));
        assert_eq!(find(&mut demux, &packet(9, 111, None)), None);
    }

    #[test]
    fn the_mid_extension_tells_sections_apart_and_is_remembered() {
        let mut demux = Demux::default();
        demux.update(&[section("0", 111, &[]), section("1", 111, &[])]);
        assert_eq!(find(&mut demux, &packet(9, 111, Some("1"))).as_deref(), Some("1"));
        assert_eq!(find(&mut demux, &packet(9, 111, None)).as_deref(), Some("1"));
    }

    #[test]
    fn a_payload_type_of_one_section_is_enough() {
        let mut demux = Demux::default();
        demux.update(&[section("0", 111, &[]), section("1", 109, &[])]);
        assert_eq!(find(&mut demux, &packet(9, 109, None)).as_deref(), Some("1"));
    }

    #[test]
    fn another_payload_type_is_not_passed_on() {
        let mut demux = Demux::default();
        demux.update(&[section("0", 111, &[7])]);
        assert_eq!(find(&mut demux, &packet(7, 13, None)), None);
    }

    #[test]
    fn learnt_sources_are_bounded_and_survive_a_new_description() {
        let mut demux = Demux::default();
        demux.update(&[section("0", 111, &[7])]);
        for ssrc in 100..100 + 2 * MAX_LEARNT as u32 {
            find(&mut demux, &packet(ssrc, 111, None)).unwrap();
        }
        assert_eq!(demux.sources.len(), 1 + MAX_LEARNT);
        demux.update(&[section("x", 96, &[]), section("0", 111, &[])]);
        assert_eq!(demux.mid_of(100 + MAX_LEARNT as u32).map(|m| &**m), Some("0"));
    }
}
