//! One SCTP association over rtc-sctp (RFC 9260, RFC 8831), of which either side may begin.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use remotemedia_core::Micros;
use rtc_sctp::{
    Association as Sctp, AssociationEvent, AssociationHandle, ClientConfig, DatagramEvent,
    Endpoint, EndpointConfig, EndpointEvent, Event, Payload, PayloadProtocolIdentifier,
    ReliabilityType, ServerConfig, StreamEvent, TimerConfig, TransportConfig,
    max_payload_size_for_mtu,
};
use rtc_shared::TransportProtocol;

use super::Reliability;
use super::packet::{COOKIE_ACK, COOKIE_ECHO, INIT_ACK, Inspector, Verdict, first_chunk};
use crate::clock::Clock;

/// How much faster than ours rtc-sctp's clock runs.
///
/// Its least retransmission time-out is a constant second (0.21.1, association/timer.rs), which
/// made the 95th percentile of results 0.9 s over a link with 5 % loss. Four times faster it is
/// 250 ms: still above the 200 ms for which the other side may delay an acknowledgement.
const CLOCK_RATE: u32 = 4;
/// Longest wait before what was not acknowledged is sent again.
///
/// rtc-sctp doubles its time-out up to a constant minute: who was away for eight seconds would wait
/// for as long again. Browsers stop at three seconds; a packet a second costs nothing, and ICE
/// decides when to give up.
const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// The address that rtc-sctp knows the other side by.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);
/// Half-open associations that are kept while the other side repeats its INIT; the oldest goes.
const MAX_HALF_OPEN: usize = 4;
/// When an answer of the handshake is repeated first; twice as late each time.
const REPEAT_AFTER: Duration = Duration::from_millis(150);
/// How often an answer of the handshake is repeated.
const MAX_REPETITIONS: u32 = 3;
/// How long the side that insists goes on with its own association when both have begun.
const INSIST_FOR: Duration = Duration::from_secs(1);
/// When the side that followed begins after all, because nothing came of it. It lies between the
/// times at which common stacks repeat their COOKIE-ECHO (1, 3 and 7 s, or 3 and 6 s): aiortc goes
/// on with the tag of whichever INIT came last, so ours must not cross one.
const FALL_BACK_AFTER: Duration = Duration::from_millis(4_500);
/// Streams that the other side may have open. More end the association.
const MAX_STREAMS: usize = 256;

/// What happened.
#[derive(Debug, PartialEq)]
pub(super) enum Happening {
    /// The association is up.
    Up,
    Message {
        stream: u16,
        kind: PayloadProtocolIdentifier,
        data: Bytes,
    },
    /// A stream was reset by either side.
    StreamClosed {
        stream: u16,
    },
    /// The association is gone.
    Lost {
        reason: String,
        by_user: bool,
    },
}

/// Sizes of an association.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The largest packet, without DTLS, UDP and IP.
    pub(super) mtu: u32,
    /// Bytes that the other side may have under way.
    pub(super) receive_window: u32,
    /// The largest message to send.
    pub(super) send_message: u32,
    /// The largest message to receive.
    pub(super) receive_message: usize,
}

enum State {
    /// `begun` is ours, `answering` are those that the other side asked for. rtc-sctp makes a new
    /// one for each copy of an INIT; the other side decides which it goes on with.
    HalfOpen {
        begun: Option<(AssociationHandle, Box<Sctp>)>,
        echoed: bool,
        answering: VecDeque<(AssociationHandle, Box<Sctp>)>,
    },
    Up(AssociationHandle, Box<Sctp>),
    Ended,
}

pub(super) struct Association {
    endpoint: Endpoint,
    clock: Clock,
    state: State,
    limits: Limits,
    inspector: Inspector,
    /// When to begin ourselves if the other side has not.
    begin_at: Option<Micros>,
    begun_at: Micros,
    /// Which side's association it is when both have begun at once.
    insists: bool,
    /// The deadline of rtc-sctp's that is too far away, and since when it has been awaited.
    backoff: Option<(Instant, Micros)>,
    /// An answer that is repeated until the other side has visibly got it.
    repeated: Option<(Micros, u32, Bytes)>,
    streams: usize,
    out: VecDeque<Bytes>,
    happenings: VecDeque<Happening>,
    /// Packets that were not taken.
    pub(super) ignored: u64,
}

impl Association {
    /// `begin_at` is when this side begins, unless the other side does before. Of the two sides one
    /// `insists`.
    pub(super) fn new(limits: Limits, anchor: Instant, begin_at: Micros, insists: bool) -> Self {
        let mut config = EndpointConfig::new();
        config.max_payload_size(max_payload_size_for_mtu(limits.mtu));
        let server = ServerConfig::new(transport(&limits));
        Association {
            endpoint: Endpoint::new(
                PEER,
                TransportProtocol::UDP,
                Arc::new(config),
                Some(Arc::new(server)),
            ),
            clock: Clock::new(anchor, CLOCK_RATE),
            state: State::HalfOpen { begun: None, echoed: false, answering: VecDeque::new() },
            limits,
            inspector: Inspector::default(),
            begin_at: Some(begin_at),
            begun_at: Micros::ZERO,
            insists,
            backoff: None,
            repeated: None,
            streams: 0,
            out: VecDeque::new(),
            happenings: VecDeque::new(),
            ignored: 0,
        }
    }

    /// Takes a packet.
    pub(super) fn handle(&mut self, now: Micros, packet: &Bytes) {
        let up = match self.state {
            State::HalfOpen { .. } => false,
            State::Up(..) => true,
            State::Ended => return,
        };
        let packet = match self.inspector.received(packet, up) {
            Verdict::Pass(packet) => packet,
            Verdict::Drop => {
                self.ignored += 1;
                return;
            }
            Verdict::Aborted { by_user } => {
                self.lose("the other side gave it up".into(), by_user);
                return;
            }
            Verdict::Hostile(reason) => {
                self.lose(reason.into(), false);
                return;
            }
        };
        if up && first_chunk(&packet).is_some_and(|chunk| chunk.kind != COOKIE_ECHO) {
            self.repeated = None;
        }
        let at = self.clock.instant(now);
        match self.endpoint.handle(at, PEER, None, packet) {
            Some((handle, DatagramEvent::AssociationEvent(event))) => self.dispatch(handle, event),
            Some((handle, DatagramEvent::NewAssociation(new))) => self.admit(now, handle, new),
            _ => self.ignored += 1,
        }
        self.gather(now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Micros> {
        let mut next = self.begin_at;
        let mut consider = |at: Option<Micros>| {
            if let Some(at) = at {
                next = Some(next.map_or(at, |known| known.min(at)));
            }
        };
        consider(self.repeated.as_ref().map(|(at, _, _)| *at));
        self.each(|sctp| consider(sctp.poll_timeout().map(|at| self.clock.micros(at))));
        consider(self.backoff_ends().map(|(_, at)| at));
        next
    }

    pub(super) fn handle_timeout(&mut self, now: Micros) {
        if self.begin_at.is_some_and(|at| at <= now) {
            self.begin_at = None;
            self.begin(now);
        }
        if let Some((at, count, packet)) = &mut self.repeated
            && *at <= now
        {
            *count += 1;
            *at = now + REPEAT_AFTER * (1 << *count);
            self.out.push_back(packet.clone());
            if *count >= MAX_REPETITIONS {
                self.repeated = None;
            }
        }
        if let Some((due, at)) = self.backoff_ends()
            && at <= now
        {
            self.clock.advance(now, due);
        }
        let at = self.clock.instant(now);
        self.each_mut(|sctp| {
            if sctp.poll_timeout().is_some_and(|due| due <= at) {
                sctp.handle_timeout(at);
            }
        });
        self.gather(now);
    }

    /// The next packet to send, what is bundled with it included.
    pub(super) fn poll_packet(&mut self, now: Micros) -> Option<Bytes> {
        if self.out.is_empty() {
            self.drain(now);
        }
        self.out.pop_front()
    }

    pub(super) fn poll_happening(&mut self) -> Option<Happening> {
        self.happenings.pop_front()
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Up(..))
    }

    /// Whether the association could still come up or is up.
    pub(super) fn is_alive(&self) -> bool {
        !matches!(self.state, State::Ended)
    }

    /// Opens a stream of ours.
    pub(super) fn open_stream(&mut self, stream: u16) -> bool {
        let State::Up(_, sctp) = &mut self.state else { return false };
        let opened = sctp.open_stream(stream, PayloadProtocolIdentifier::Binary).is_ok();
        if opened {
            self.streams += 1;
        }
        opened
    }

    /// How messages on a stream are sent, and how gaps in what is received are passed over.
    pub(super) fn configure(&mut self, stream: u16, ordered: bool, reliability: Reliability) {
        let State::Up(_, sctp) = &mut self.state else { return };
        let Ok(mut stream) = sctp.stream(stream) else { return };
        let (kind, value) = match reliability {
            Reliability::Reliable => (ReliabilityType::Reliable, 0),
            Reliability::MaxRetransmits(count) => (ReliabilityType::Rexmit, count),
            Reliability::MaxLifetime(milliseconds) => {
                (ReliabilityType::Timed, milliseconds.saturating_mul(CLOCK_RATE))
            }
        };
        let _ = stream.set_reliability_params(!ordered, kind, value);
    }

    /// Queues a message; false when the stream is closed.
    pub(super) fn send(
        &mut self,
        now: Micros,
        stream: u16,
        kind: PayloadProtocolIdentifier,
        data: &[u8],
    ) -> bool {
        let at = self.clock.instant(now);
        let State::Up(_, sctp) = &mut self.state else { return false };
        let Ok(mut stream) = sctp.stream(stream) else { return false };
        stream.write_chunk_with_ppi(at, &Bytes::copy_from_slice(data), kind).is_ok()
    }

    /// Resets a stream: no more messages either way (RFC 8831, section 6.7).
    pub(super) fn close_stream(&mut self, now: Micros, stream: u16) {
        let at = self.clock.instant(now);
        if let State::Up(_, sctp) = &mut self.state
            && let Ok(mut stream) = sctp.stream(stream)
        {
            let _ = stream.close(at);
        }
    }

    /// Bytes that wait on a stream or are not acknowledged yet.
    pub(super) fn buffered(&mut self, stream: u16) -> usize {
        let State::Up(_, sctp) = &mut self.state else { return 0 };
        sctp.stream(stream).and_then(|stream| stream.buffered_amount()).unwrap_or(0)
    }

    /// The smoothed round trip, once measured.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        let State::Up(_, sctp) = &self.state else { return None };
        let round_trip = sctp.rtt() / CLOCK_RATE;
        (round_trip > Duration::ZERO).then_some(round_trip)
    }

    /// Gives the association up: an ABORT is the last packet.
    pub(super) fn abort(&mut self, now: Micros) {
        self.drain(now);
        if let State::Up(_, sctp) = &mut self.state {
            let _ = sctp.abort();
            self.drain(now);
        }
        self.end();
        self.happenings.clear();
    }

    /// Notes since when a deadline that is too far away has been awaited. Nearer ones, as those of
    /// acknowledgements, may come and go meanwhile.
    fn note_backoff(&mut self, now: Micros) {
        let State::Up(_, sctp) = &self.state else { return };
        let Some(due) = sctp.poll_timeout() else { return };
        let known = self.backoff.is_some_and(|(known, _)| known == due);
        if !known && self.clock.micros(due) > now + MAX_BACKOFF {
            self.backoff = Some((due, now));
        }
    }

    /// The deadline that rtc-sctp waits for, if it is too far away, and when it is to be instead.
    fn backoff_ends(&self) -> Option<(Instant, Micros)> {
        let State::Up(_, sctp) = &self.state else { return None };
        let (due, since) = self.backoff?;
        (sctp.poll_timeout() == Some(due)).then_some((due, since + MAX_BACKOFF))
    }

    fn begin(&mut self, now: Micros) {
        let State::HalfOpen { begun, .. } = &mut self.state else { return };
        if begun.is_some() {
            return;
        }
        self.begun_at = now;
        let config = ClientConfig::new(transport(&self.limits));
        match self.endpoint.connect(self.clock.instant(now), config, PEER) {
            Ok((handle, sctp)) => *begun = Some((handle, Box::new(sctp))),
            Err(error) => log::warn!("SCTP did not start: {error}"),
        }
    }

    /// Takes an association that the other side asks for, unless ours has gone further.
    ///
    /// A common SCTP stack has one association for both directions of beginning (RFC 9260, section
    /// 5.2.1), rtc-sctp has two, of which one must be left. Once our COOKIE-ECHO is out the other
    /// side goes on with ours. Before that one side follows and the other insists for a while; not
    /// for ever, because some (aiortc) never answer while they have begun themselves. Those that
    /// the other side asked for stay until ours has gone further, as its COOKIE-ECHO may come late.
    fn admit(&mut self, now: Micros, handle: AssociationHandle, new: Sctp) {
        let insists = self.insists && now < self.begun_at + INSIST_FOR;
        let State::HalfOpen { begun, echoed, answering } = &mut self.state else {
            self.endpoint.handle_event(handle, EndpointEvent::drained());
            return;
        };
        if *echoed || (begun.is_some() && insists) {
            self.endpoint.handle_event(handle, EndpointEvent::drained());
            return;
        }
        self.begin_at = Some(now + FALL_BACK_AFTER);
        if let Some((old, _)) = begun.take() {
            self.endpoint.handle_event(old, EndpointEvent::drained());
        }
        if answering.len() >= MAX_HALF_OPEN
            && let Some((old, _)) = answering.pop_front()
        {
            self.endpoint.handle_event(old, EndpointEvent::drained());
        }
        answering.push_back((handle, Box::new(new)));
    }

    fn dispatch(&mut self, handle: AssociationHandle, event: AssociationEvent) {
        let found = match &mut self.state {
            State::HalfOpen { begun, answering, .. } => begun
                .iter_mut()
                .chain(answering.iter_mut())
                .find(|(known, _)| *known == handle)
                .map(|(_, sctp)| sctp),
            State::Up(known, sctp) if *known == handle => Some(sctp),
            _ => None,
        };
        match found {
            Some(sctp) => sctp.handle_event(event),
            None => self.ignored += 1,
        }
    }

    /// Collects events, and decides which association it is once one is up.
    fn gather(&mut self, now: Micros) {
        self.note_backoff(now);
        if let State::HalfOpen { .. } = self.state {
            // A COOKIE-ECHO that leaves decides, too.
            self.drain(now);
        }
        if let State::HalfOpen { begun, answering, .. } = &mut self.state {
            let mut winner = None;
            for (handle, sctp) in begun.iter_mut().chain(answering.iter_mut()) {
                while let Some(event) = sctp.poll() {
                    match event {
                        Event::Connected => winner = Some(*handle),
                        Event::HandshakeFailed { reason } => {
                            log::debug!("SCTP handshake: {reason}");
                        }
                        _ => {}
                    }
                }
            }
            let Some(winner) = winner else { return };
            self.come_up(winner);
        }
        self.gather_up();
    }

    fn come_up(&mut self, winner: AssociationHandle) {
        let State::HalfOpen { begun, answering, .. } =
            std::mem::replace(&mut self.state, State::Ended)
        else {
            return;
        };
        for (handle, sctp) in begun.into_iter().chain(answering) {
            if handle == winner {
                self.state = State::Up(handle, sctp);
            } else {
                self.endpoint.handle_event(handle, EndpointEvent::drained());
            }
        }
        self.begin_at = None;
        self.happenings.push_back(Happening::Up);
        // Data may have overtaken the end of the handshake, and its event has been passed over.
        if let State::Up(_, sctp) = &mut self.state {
            let mut streams = sctp.stream_ids();
            streams.sort_unstable();
            self.streams = streams.len();
            for id in streams {
                let _ = read_stream(sctp, id, self.limits.receive_message, &mut self.happenings);
            }
        }
    }

    fn gather_up(&mut self) {
        let State::Up(_, sctp) = &mut self.state else { return };
        let mut lost = None;
        while let Some(event) = sctp.poll() {
            match event {
                Event::Stream(StreamEvent::Opened { .. }) => {
                    self.streams += 1;
                    if self.streams > MAX_STREAMS {
                        lost = Some("too many streams".to_owned());
                    }
                }
                Event::Stream(StreamEvent::Readable { id }) => {
                    let limit = self.limits.receive_message;
                    if let Err(reason) = read_stream(sctp, id, limit, &mut self.happenings) {
                        lost = Some(reason.to_owned());
                    }
                }
                // What rtc-sctp calls this is one stream's end; so is each stream's at the
                // association's end, which is told below.
                Event::AssociationLost { id, .. } => {
                    self.streams = self.streams.saturating_sub(1);
                    self.happenings.push_back(Happening::StreamClosed { stream: id });
                }
                Event::HandshakeFailed { reason } => lost = Some(reason.to_string()),
                _ => {}
            }
        }
        if sctp.is_closed() && lost.is_none() {
            lost = Some("closed".to_owned());
        }
        if let Some(reason) = lost {
            self.lose(reason, false);
        }
    }

    /// Takes the packets that are due, and notes what they tell about the handshake.
    fn drain(&mut self, now: Micros) {
        let at = self.clock.instant(now);
        let sent_from = self.out.len();
        let out = &mut self.out;
        each_mut(&mut self.state, |sctp| {
            while let Some(transmit) = sctp.poll_transmit(at) {
                if let Payload::RawEncode(packets) = transmit.message {
                    out.extend(packets);
                }
            }
        });
        for packet in self.out.range(sent_from..) {
            self.inspector.sent(packet, self.limits.receive_window);
            match first_chunk(packet).map(|chunk| chunk.kind) {
                Some(COOKIE_ECHO) => {
                    if let State::HalfOpen { echoed, answering, .. } = &mut self.state {
                        *echoed = true;
                        for (handle, _) in answering.drain(..) {
                            self.endpoint.handle_event(handle, EndpointEvent::drained());
                        }
                    }
                }
                Some(INIT_ACK | COOKIE_ACK) => {
                    self.repeated = Some((now + REPEAT_AFTER, 0, packet.clone()));
                }
                _ => {}
            }
        }
        // A reset or a failure shows only here at times.
        self.gather_up();
        self.note_backoff(now);
    }

    fn lose(&mut self, reason: String, by_user: bool) {
        if self.is_alive() {
            self.happenings.push_back(Happening::Lost { reason, by_user });
            self.end();
        }
    }

    fn end(&mut self) {
        self.state = State::Ended;
        self.begin_at = None;
        self.repeated = None;
    }

    fn each(&self, mut visit: impl FnMut(&Sctp)) {
        match &self.state {
            State::HalfOpen { begun, answering, .. } => {
                begun.iter().chain(answering).for_each(|(_, sctp)| visit(sctp));
            }
            State::Up(_, sctp) => visit(sctp),
            State::Ended => {}
        }
    }

    fn each_mut(&mut self, visit: impl FnMut(&mut Sctp)) {
        each_mut(&mut self.state, visit);
    }
}

/// Reads the messages of a stream that are complete.
fn read_stream(
    sctp: &mut Sctp,
    id: u16,
    limit: usize,
    happenings: &mut VecDeque<Happening>,
) -> Result<(), &'static str> {
    let Ok(mut stream) = sctp.stream(id) else { return Ok(()) };
    while let Ok(Some(message)) = stream.read_sctp() {
        let data = message.to_payload(limit).map_err(|_| "a message is larger than agreed")?;
        let data = data.freeze();
        happenings.push_back(Happening::Message { stream: id, kind: message.ppi, data });
    }
    Ok(())
}

fn each_mut(state: &mut State, mut visit: impl FnMut(&mut Sctp)) {
    match state {
        State::HalfOpen { begun, answering, .. } => {
            begun.iter_mut().chain(answering).for_each(|(_, sctp)| visit(sctp));
        }
        State::Up(_, sctp) => visit(sctp),
        State::Ended => {}
    }
}

fn transport(limits: &Limits) -> TransportConfig {
    // ICE decides when the other side is gone. At its limit rtc-sctp 0.21.1 does not end the
    // association, it stops repeating, and what was under way is stuck for ever.
    let timers = TimerConfig {
        max_t1_init_retrans: usize::MAX,
        max_t1_cookie_retrans: usize::MAX,
        max_t3_rtx_retrans: usize::MAX,
        max_reconfig_retrans: usize::MAX,
        ..TimerConfig::default()
    };
    TransportConfig::default()
        .with_timer_config(timers)
        .with_max_receive_buffer_size(limits.receive_window)
        .with_max_message_size(limits.send_message)
}
