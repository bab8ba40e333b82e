//! Tracks of a client beyond its first: tones, in sections that are put behind its own offer.

use remotemedia_core::Micros;
use remotemedia_peer::{Peer, RtpHeader};

use super::Whistle;

/// A further track.
pub struct Track {
    pub mid: String,
    ssrc: u32,
    whistle: Option<Whistle>,
    next: Option<Micros>,
    sent: u32,
}

impl Track {
    pub fn new(number: usize) -> Track {
        let ssrc = 0x7000_0000 + number as u32;
        Track { mid: format!("t{number}"), ssrc, whistle: None, next: None, sent: 0 }
    }

    /// The offer with a section more, like its first.
    pub fn add_to(&self, offer: &str) -> String {
        let start = offer.find("m=audio").unwrap();
        let end = offer[start..].find("\r\nm=").map_or(offer.len(), |at| start + at + 2);
        let lines = offer[start..end].lines().filter_map(|line| match line.split_once(':') {
            Some(("a=mid", _)) => Some(format!("a=mid:{}", self.mid)),
            Some(("a=ssrc", _)) => Some(format!("a=ssrc:{} cname:further", self.ssrc)),
            Some(("a=candidate", _)) => None,
            _ if line == "a=end-of-candidates" => None,
            _ => Some(line.replace("a=sendrecv", "a=sendonly")),
        });
        let section: String = lines.map(|line| format!("{line}\r\n")).collect();
        let group = offer.lines().find(|line| line.starts_with("a=group:BUNDLE")).unwrap();
        offer.replacen(group, &format!("{group} {}", self.mid), 1) + &section
    }

    /// Begins to send a tone.
    pub fn whistle(&mut self, now: Micros, hz: f32) {
        (self.whistle, self.next) = (Some(Whistle::new(hz)), Some(now));
    }

    /// Packets that are lost on the way.
    pub fn lose(&mut self, count: u32) {
        self.sent += count;
    }

    pub fn hush(&mut self) {
        self.next = None;
    }

    pub fn next(&self) -> Option<Micros> {
        self.next
    }

    pub fn turn(&mut self, now: Micros, peer: &mut Peer) {
        let Some(whistle) = self.whistle.as_mut().filter(|_| self.next.is_some_and(|at| at <= now))
        else {
            return;
        };
        let header = RtpHeader {
            ssrc: self.ssrc,
            sequence_number: self.sent as u16,
            timestamp: self.sent.wrapping_mul(960),
            payload_type: 111,
            marker: self.sent == 0,
        };
        let _ = peer.send_rtp(now, &header, &whistle.packet());
        self.sent += 1;
        self.next = Some(Micros(now.0 + 20_000));
    }
}

/// A description with as many sections as the peer has written itself.
pub fn own_part(text: &str, sections: usize) -> String {
    let mut at = text.match_indices("m=").filter(|(at, _)| text[..*at].ends_with('\n'));
    at.nth(sections).map_or(text, |(at, _)| &text[..at]).to_owned()
}
