use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::OnceLock;

use remotemedia_core::{ChannelCount, Micros, SampleRate};
use remotemedia_media::opus::{OpusEncoder, OpusEncoderConfig};
use remotemedia_peer::sdp::Direction;
use remotemedia_peer::{
    ChannelId, CloseReason, OfferWants, Peer, PeerConfig, PeerEvent, Reliability, RtpHeader, Seed,
};
use remotemedia_session::{Audience, OfferReply};
use serde_json::Value;

use super::tracks::{Track, own_part};
use super::{Ear, Path, Whistle, World, client_identity};

const SPEECH: &[u8] = include_bytes!("../../../dsp/tests/data/jfk_16k.s16");

/// The speech in Opus packets of 20 ms.
pub fn packets() -> &'static [Vec<u8>] {
    static PACKETS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    PACKETS.get_or_init(|| {
        let (words, _) = SPEECH.as_chunks::<2>();
        let samples: Vec<f32> =
            words.iter().map(|word| f32::from(i16::from_le_bytes(*word)) / 32_768.0).collect();
        let mut config = OpusEncoderConfig::new(SampleRate::HZ_16000, ChannelCount::MONO);
        (config.fec, config.expected_loss_percent) = (true, 10);
        let mut encoder = OpusEncoder::new(&config).unwrap();
        samples
            .chunks_exact(320)
            .map(|frame| {
                let mut packet = vec![0; OpusEncoder::MAX_PACKET_BYTES];
                let len = encoder.encode(frame, &mut packet).unwrap();
                packet.truncate(len);
                packet
            })
            .collect()
    })
}

/// A participant who plays the speech over and over, a packet each 20 ms.
#[derive(Clone, Copy, Debug)]
pub struct Speaker {
    /// The packet that it begins with.
    pub first: usize,
    /// It falls silent after so many.
    pub count: usize,
}

impl Speaker {
    pub const ENDLESS: Speaker = Speaker { first: 0, count: usize::MAX };
}

/// What a client wants and how it is connected.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub speaker: Option<Speaker>,
    /// Speaks this frequency rather than words.
    pub tone: Option<f32>,
    pub audio: Option<Direction>,
    /// Tracks that it offers beyond this one.
    pub further: usize,
    pub results: bool,
    pub live: bool,
    pub path: Path,
    pub audience: Audience,
}

impl Wish {
    /// Speaks for ever, with both channels.
    pub fn speaking() -> Wish {
        Wish {
            speaker: Some(Speaker::ENDLESS),
            tone: None,
            audio: Some(Direction::SendOnly),
            further: 0,
            results: true,
            live: true,
            path: Path::default(),
            audience: Audience::All,
        }
    }

    /// Only reads results.
    pub fn listening() -> Wish {
        Wish { speaker: None, audio: None, ..Wish::speaking() }
    }

    /// Sends a tone and hears what comes back.
    pub fn whistling(hz: f32) -> Wish {
        Wish { tone: Some(hz), audio: Some(Direction::SendRecv), ..Wish::speaking() }
    }

    /// Only hears.
    pub fn hearing() -> Wish {
        Wish { audio: Some(Direction::RecvOnly), ..Wish::listening() }
    }
}

/// A message as a client got it.
#[derive(Clone, Debug)]
pub struct Received {
    pub at: Micros,
    pub channel: &'static str,
    pub json: Value,
}

impl Received {
    pub fn kind(&self) -> &str {
        self.json["type"].as_str().unwrap()
    }
}

pub struct Client {
    pub address: SocketAddr,
    pub peer: Peer,
    pub offer: String,
    pub wish: Wish,
    pub path: Path,
    reply: Option<OfferReply>,
    pub results: Option<ChannelId>,
    pub live: Option<ChannelId>,
    pub received: Vec<Received>,
    pub ear: Ear,
    pub tracks: Vec<Track>,
    whistle: Option<Whistle>,
    pub connected: Option<Micros>,
    pub closed: Option<CloseReason>,
    /// It vanished: nothing comes from it or reaches it.
    pub gone: bool,
    sent: usize,
    next_packet: Option<Micros>,
}

impl Client {
    pub fn new(world: &mut World, number: u64, wish: Wish) -> Client {
        let address = SocketAddr::from(([198, 51, 100, 1], 10_000 + number as u16));
        let config = PeerConfig::new(
            client_identity(),
            world.anchor,
            Seed::guessable(1_000 + number),
            vec![address],
        );
        let wants = OfferWants { audio: wish.audio, data: wish.results || wish.live };
        let (peer, offer) = Peer::offer(config, world.now, wants);
        let tracks: Vec<Track> = (1..=wish.further).map(Track::new).collect();
        let offer = tracks.iter().fold(offer, |offer, track| track.add_to(&offer));
        Client {
            address,
            peer,
            offer,
            wish,
            path: wish.path,
            reply: None,
            results: None,
            live: None,
            received: Vec::new(),
            ear: Ear::new(),
            tracks,
            whistle: wish.tone.map(Whistle::new),
            connected: None,
            closed: None,
            gone: false,
            sent: 0,
            next_packet: None,
        }
    }

    pub fn accept(&mut self, now: Micros, reply: OfferReply) {
        let sections = self.offer.matches("\r\nm=").count() - self.tracks.len();
        self.peer.accept_answer(now, &own_part(&reply.sdp, sections)).unwrap();
        self.reply = Some(reply);
    }

    pub fn reply(&self) -> &OfferReply {
        self.reply.as_ref().unwrap()
    }

    pub fn next(&self) -> Option<Micros> {
        if self.gone {
            return None;
        }
        let tracks = self.tracks.iter().filter_map(Track::next);
        let audio = self.next_packet.into_iter().chain(self.ear.next()).chain(tracks);
        self.peer.poll_timeout().into_iter().chain(audio).min()
    }

    /// What is due.
    pub fn turn(&mut self, now: Micros) {
        if self.gone {
            return;
        }
        if self.peer.poll_timeout().is_some_and(|at| at <= now) {
            self.peer.handle_timeout(now);
        }
        self.collect(now);
        self.ear.turn(now, &mut self.peer);
        self.tracks.iter_mut().for_each(|track| track.turn(now, &mut self.peer));
        if self.next_packet.is_some_and(|at| at <= now) {
            self.speak(now);
        }
    }

    fn open_channels(&mut self, now: Micros) {
        if self.wish.live {
            let lifetime = Reliability::MaxLifetime(250);
            self.live = Some(self.peer.open_channel(now, "live", false, lifetime).unwrap());
        }
        if self.wish.results {
            let reliable = Reliability::Reliable;
            self.results = Some(self.peer.open_channel(now, "results", true, reliable).unwrap());
        }
    }

    /// Begins to send after a pause.
    pub fn speak_again(&mut self, now: Micros) {
        self.next_packet = Some(now);
    }

    /// Sends no more.
    pub fn hush(&mut self) {
        self.next_packet = None;
    }

    fn speak(&mut self, now: Micros) {
        let Some(speaker) = self.wish.speaker.filter(|speaker| self.sent < speaker.count) else {
            self.next_packet = None;
            return;
        };
        let packets = packets();
        let header = RtpHeader {
            ssrc: self.peer.ssrc(),
            sequence_number: (65_000 + self.sent) as u16,
            timestamp: (self.sent as u32).wrapping_mul(960).wrapping_add(0xffff_0000),
            payload_type: self.peer.audio()[0].payload_type,
            marker: self.sent == 0,
        };
        let payload = match &mut self.whistle {
            Some(whistle) => &whistle.packet(),
            None => &packets[(speaker.first + self.sent) % packets.len()],
        };
        if self.peer.send_rtp(now, &header, payload).is_err() {
            self.next_packet = None;
            return;
        }
        self.sent += 1;
        self.next_packet = Some(Micros(now.0 + 20_000));
    }

    /// Takes what the peer tells.
    pub fn collect(&mut self, now: Micros) {
        while let Some(event) = self.peer.poll_event() {
            match event {
                PeerEvent::Connected => {
                    self.connected = Some(now);
                    self.open_channels(now);
                    if self.wish.speaker.is_some() && self.peer.sending().is_some() {
                        self.next_packet = Some(now);
                    }
                }
                PeerEvent::Message { id, data, .. } => {
                    let channel = if Some(id) == self.live { "live" } else { "results" };
                    let json = serde_json::from_slice(&data).unwrap();
                    self.received.push(Received { at: now, channel, json });
                }
                PeerEvent::Rtp { header, payload, .. } => {
                    self.ear.handle_rtp(now, header, &payload);
                }
                PeerEvent::SenderReport { ssrc, ntp, rtp_timestamp, .. } => {
                    self.ear.handle_sender_report(now, ssrc, ntp, rtp_timestamp);
                }
                PeerEvent::Closed(reason) => self.closed = Some(reason),
                _ => {}
            }
        }
    }

    pub fn say(&mut self, now: Micros, text: &str) {
        let channel = self.results.or(self.live).unwrap();
        self.peer.send(now, channel, true, text.as_bytes()).unwrap();
    }

    /// Messages of a type, each `seq` once; replies, which have none, as often as they came.
    pub fn of_type(&self, kind: &str) -> Vec<&Received> {
        let mut seen = HashMap::new();
        self.received
            .iter()
            .filter(|received| received.kind() == kind)
            .filter(|received| match received.json["seq"].as_u64() {
                Some(seq) => seen.insert(seq, ()).is_none(),
                None => true,
            })
            .collect()
    }

    pub fn count(&self, kind: &str) -> usize {
        self.of_type(kind).len()
    }
}
