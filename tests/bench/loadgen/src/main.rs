//! Puts many Opus streams on a server and measures what comes back.
//!
//! Each stream is a WebRTC peer with a socket of its own: it offers, connects, sends 20 ms packets
//! of pre-encoded speech evenly spread over the interval, and times each result from the packet
//! that completed it. One thread serves them all; the report is one line of JSON.
//!
//! With `--record` it measures nothing: each stream sends so many packets of a track of its own and
//! keeps every message that it gets, so that a test can judge them.

mod arguments;
mod client;
mod http;
mod process;
mod record;
mod report;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use remotemedia_core::Micros;
use remotemedia_peer::sdp::Direction;
use remotemedia_peer::{Identity, OfferWants, Peer, PeerConfig, Seed};

use crate::arguments::Arguments;
use crate::client::{Client, Stage};
use crate::http::{Request, Response};
use crate::report::Report;

const PACKET_INTERVAL: Duration = Duration::from_millis(20);
/// Between two offers: clients come one after another, as people do, only faster, and fewer a second
/// than a server admits that is not told otherwise.
const OFFER_INTERVAL: Duration = Duration::from_millis(25);
/// How long all streams run before measuring begins.
const WARM_UP: Duration = Duration::from_secs(3);
/// How often peers that are still connecting are looked after.
const SETUP_TICK: Duration = Duration::from_millis(2);
/// A stream that has not connected by then counts as failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_DATAGRAM: usize = 2_048;

fn main() -> ExitCode {
    let outcome = Arguments::parse(std::env::args().skip(1)).and_then(|arguments| run(&arguments));
    match outcome {
        Ok(report) => {
            if let Some(report) = report {
                println!("{report}");
            }
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<Option<Report>, String> {
    let packets = read_packets(&std::fs::read(&arguments.packets).map_err(|e| e.to_string())?)?;
    let identity = Arc::new(Identity::generate().map_err(|error| error.to_string())?);
    let (requests, responses) = http::start(&arguments.url, &arguments.pipeline);
    let mut generator = Generator {
        poll: Poll::new().map_err(|error| error.to_string())?,
        anchor: Instant::now(),
        identity,
        tracks: split(packets, arguments.tracks)?,
        packets_each: arguments
            .record
            .as_ref()
            .map(|_| (arguments.measure.as_millis() / PACKET_INTERVAL.as_millis()) as u32),
        clients: Vec::new(),
        requests,
        buffer: vec![0; MAX_DATAGRAM],
        due: VecDeque::new(),
        measuring: false,
    };
    if let Some(path) = &arguments.record {
        generator.connect_all(arguments.streams, &responses)?;
        generator.record(path)?;
        return Ok(None);
    }
    let rss_before_kib = process::resident_kib(arguments.pid)?;
    generator.connect_all(arguments.streams, &responses)?;
    generator.run_for(WARM_UP)?;
    generator.measuring = true;
    let (cpu_before, began) = (process::cpu_seconds(arguments.pid)?, Instant::now());
    generator.run_for(arguments.measure)?;
    let cpu_s = process::cpu_seconds(arguments.pid)? - cpu_before;
    let measured_s = began.elapsed().as_secs_f64();
    let rss_after_kib = process::resident_kib(arguments.pid)?;
    generator.measuring = false;
    let report = Report::new(
        &generator.clients,
        cpu_s,
        measured_s,
        rss_before_kib,
        rss_after_kib,
    );
    generator.close_all();
    Ok(Some(report))
}

struct Generator {
    poll: Poll,
    anchor: Instant,
    identity: Arc<Identity>,
    /// What streams send, over and over.
    tracks: Vec<Vec<Vec<u8>>>,
    /// After so many packets a stream is done; with `None` it goes on.
    packets_each: Option<u32>,
    clients: Vec<Client>,
    requests: Sender<Request>,
    buffer: Vec<u8>,
    /// Who sends next and when; always in order, since all have the same interval.
    due: VecDeque<(Micros, usize, usize)>,
    measuring: bool,
}

impl Generator {
    fn now(&self) -> Micros {
        Micros(self.anchor.elapsed().as_micros() as u64)
    }

    fn connect_all(
        &mut self,
        streams: usize,
        responses: &std::sync::mpsc::Receiver<Response>,
    ) -> Result<(), String> {
        let give_up = Instant::now() + CONNECT_TIMEOUT + OFFER_INTERVAL * streams as u32;
        let mut next_offer = self.now();
        loop {
            let now = self.now();
            if self.clients.len() < streams && now >= next_offer {
                self.offer(now)?;
                next_offer = now + OFFER_INTERVAL;
            }
            for response in responses.try_iter() {
                self.answered(response)?;
            }
            self.step(SETUP_TICK)?;
            let now = self.now();
            for index in 0..self.clients.len() {
                let client = &mut self.clients[index];
                if matches!(client.stage, Stage::Offering | Stage::Connecting) {
                    client.drive(now, false);
                }
                if client.stage == Stage::Open && !client.sending {
                    client.sending = true;
                    self.schedule(now, index, streams);
                }
            }
            let connecting = self
                .clients
                .iter()
                .any(|client| matches!(client.stage, Stage::Offering | Stage::Connecting));
            if self.clients.len() == streams && !connecting {
                return Ok(());
            }
            if Instant::now() > give_up {
                return Ok(());
            }
        }
    }

    /// Spreads the streams evenly over the interval, whenever each connected.
    fn schedule(&mut self, now: Micros, index: usize, streams: usize) {
        let interval_us = PACKET_INTERVAL.as_micros() as u64;
        let phase_us = interval_us * index as u64 / streams as u64;
        let mut at = Micros(now.0 - now.0 % interval_us + phase_us);
        if at <= now {
            // At most one interval ahead: all others are, too, and so the queue stays in order.
            at += PACKET_INTERVAL;
        }
        let place = self.due.partition_point(|(due, ..)| *due <= at);
        self.due.insert(place, (at, index, 0));
    }

    fn offer(&mut self, now: Micros) -> Result<(), String> {
        let index = self.clients.len();
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let mut socket = UdpSocket::bind(any).map_err(|error| error.to_string())?;
        let address = socket.local_addr().map_err(|error| error.to_string())?;
        self.poll
            .registry()
            .register(&mut socket, Token(index), Interest::READABLE)
            .map_err(|error| error.to_string())?;
        let config = PeerConfig::new(
            Arc::clone(&self.identity),
            self.anchor,
            Seed::guessable(index as u64),
            vec![address],
        );
        let wants = OfferWants {
            audio: Some(Direction::SendOnly),
            data: true,
        };
        let (peer, sdp) = Peer::offer(config, now, wants);
        let mut client = Client::new(peer, socket, now);
        client.record = self.packets_each.map(|_| Vec::new());
        self.clients.push(client);
        self.requests
            .send(Request { client: index, sdp })
            .map_err(|error| error.to_string())
    }

    fn answered(&mut self, response: Response) -> Result<(), String> {
        let now = self.now();
        let client = &mut self.clients[response.client];
        match response.answer {
            Ok(answer) => {
                client.session = answer.session_id;
                client.stage = Stage::Connecting;
                client
                    .peer
                    .accept_answer(now, &answer.sdp)
                    .map_err(|error| error.to_string())?;
                client.payload_type = client
                    .peer
                    .audio()
                    .first()
                    .map_or(0, |audio| audio.payload_type);
                client.drive(now, false);
            }
            Err(message) => {
                eprintln!("stream {}: {message}", response.client);
                client.stage = Stage::Failed;
            }
        }
        Ok(())
    }

    fn run_for(&mut self, span: Duration) -> Result<(), String> {
        let until = Instant::now() + span;
        while Instant::now() < until {
            self.step(PACKET_INTERVAL)?;
        }
        Ok(())
    }

    /// Waits for the next packet to send or datagram to take, at most `longest`.
    fn step(&mut self, longest: Duration) -> Result<(), String> {
        let now = self.now();
        let wait = self
            .due
            .front()
            .map_or(longest, |(due, ..)| due.since(now).min(longest));
        let mut events = Events::with_capacity(1_024);
        match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            other => other.map_err(|error| error.to_string())?,
        }
        for event in &events {
            let now = self.now();
            let client = &mut self.clients[event.token().0];
            client.receive(now, &mut self.buffer);
            client.drive(now, self.measuring);
        }
        while let Some((due, index, packet)) = self.due.front().copied() {
            let now = self.now();
            if due > now {
                break;
            }
            self.due.pop_front();
            let client = &mut self.clients[index];
            if client.stage == Stage::Open {
                let track = &self.tracks[index % self.tracks.len()];
                client.send_packet(now, &track[packet]);
                client.drive(now, self.measuring);
                let next = (packet + 1) % track.len();
                if self.packets_each.is_none_or(|each| client.sent < each) {
                    self.due.push_back((due + PACKET_INTERVAL, index, next));
                }
            }
        }
        Ok(())
    }

    fn close_all(&mut self) {
        let now = self.now();
        for client in &mut self.clients {
            client.peer.close(now);
            client.drive(now, false);
        }
    }
}

/// Cuts the packets into tracks of equal length.
fn split(packets: Vec<Vec<u8>>, tracks: usize) -> Result<Vec<Vec<Vec<u8>>>, String> {
    let length = packets.len() / tracks.max(1);
    if length * tracks == packets.len() {
        Ok(packets.chunks(length).map(<[_]>::to_vec).collect())
    } else {
        Err(format!(
            "{} packets are not {tracks} tracks of equal length",
            packets.len()
        ))
    }
}

fn read_packets(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut packets = Vec::new();
    let mut rest = bytes;
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let packet = tail.get(..length).ok_or("the packet file is cut short")?;
        packets.push(packet.to_vec());
        rest = &tail[length..];
    }
    if packets.is_empty() {
        Err("the packet file is empty".to_owned())
    } else {
        Ok(packets)
    }
}
