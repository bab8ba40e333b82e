//! A server, clients and the network between them, in virtual time.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod ear;
mod network;
mod plans;
mod tracks;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use remotemedia_core::Micros;
use remotemedia_executor::{NodeFailure, NodeValue, Plan};
use remotemedia_peer::{Identity, Seed};
use remotemedia_session::{
    Audience, LaneWork, LiveObjects, Notification, OfferReply, OfferRequest, SessionError,
    Sessions, SessionsConfig,
};
use serde_json::Value;

pub use client::{Client, Received, Speaker, Wish, packets};
pub use ear::{Ear, Whistle};
pub use network::{Network, Path};
pub use plans::{
    anything, echo, energy, hears_and_reads, level, level_and_text, python, python_text, silero,
    talker, text, two,
};

pub const SERVER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 9_000);

/// What a Python node answers; `None` keeps the frame for ever.
type Python = Box<dyn FnMut(&LaneWork) -> Option<Result<Vec<NodeValue>, NodeFailure>>>;

pub struct World {
    pub now: Micros,
    pub server: Sessions,
    pub clients: Vec<Client>,
    pub network: Network,
    pub notifications: Vec<Notification>,
    pub held: Vec<LaneWork>,
    pub python: Python,
    /// Datagrams that the server sent, by client.
    pub anchor: Instant,
    seed: u64,
    next_id: u64,
}

/// One certificate for all tests of a process: making one takes a while.
pub fn identity() -> Arc<Identity> {
    static IDENTITY: OnceLock<Arc<Identity>> = OnceLock::new();
    IDENTITY.get_or_init(|| Arc::new(Identity::generate().unwrap())).clone()
}

pub fn client_identity() -> Arc<Identity> {
    static IDENTITY: OnceLock<Arc<Identity>> = OnceLock::new();
    IDENTITY.get_or_init(|| Arc::new(Identity::generate().unwrap())).clone()
}

/// Says `text` and returns the answer.
pub fn ask(world: &mut World, client: usize, text: &str) -> Value {
    let now = world.now;
    let before = world.clients[client].received.len();
    world.clients[client].say(now, text);
    let mut reply = None;
    world.run_until(Duration::from_secs(1), |world| {
        reply = world.clients[client].received[before..]
            .iter()
            .find(|one| one.json.get("seq").is_none())
            .map(|one| one.json.clone());
        reply.is_some()
    });
    reply.expect("the loop ends when there is one")
}

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl World {
    pub fn new(seed: u64) -> World {
        World::with(seed, |_| {})
    }

    pub fn with(seed: u64, change: impl FnOnce(&mut SessionsConfig)) -> World {
        let anchor = Instant::now();
        let now = Micros(1_000_000);
        let mut config = SessionsConfig {
            identity: identity(),
            candidates: vec![SERVER],
            anchor,
            seed: Seed::guessable(seed),
            max_sessions: 100,
            max_participants: 8,
            batch_wait: ms(1),
        };
        change(&mut config);
        World {
            now,
            server: Sessions::new(config, now),
            clients: Vec::new(),
            network: Network::new(seed),
            notifications: Vec::new(),
            held: Vec::new(),
            python: Box::new(|_| None),
            anchor,
            seed,
            next_id: 0,
        }
    }

    /// A number for ids and seeds.
    pub fn number(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// A client opens a session of its own; returns its index.
    pub fn open(&mut self, plan: &Arc<Plan>, wish: Wish) -> usize {
        self.try_open(plan, wish).unwrap()
    }

    pub fn try_open(&mut self, plan: &Arc<Plan>, wish: Wish) -> Result<usize, SessionError> {
        self.enter(plan, wish, None, |offer| offer)
    }

    /// The same with an offer that is changed on its way.
    pub fn open_with(
        &mut self,
        plan: &Arc<Plan>,
        wish: Wish,
        change: impl FnOnce(String) -> String,
    ) -> usize {
        self.enter(plan, wish, None, change).unwrap()
    }

    /// A client enters the session of another.
    pub fn join(
        &mut self,
        other: usize,
        plan: &Arc<Plan>,
        wish: Wish,
    ) -> Result<usize, SessionError> {
        let session = self.clients[other].reply().session_id.to_string();
        self.enter(plan, wish, Some(session), |offer| offer)
    }

    fn enter(
        &mut self,
        plan: &Arc<Plan>,
        wish: Wish,
        join: Option<String>,
        change: impl FnOnce(String) -> String,
    ) -> Result<usize, SessionError> {
        let number = self.number();
        let mut client = Client::new(self, number, wish);
        let request = OfferRequest {
            pc_id: format!("pc-{number}"),
            session_id: join.clone().unwrap_or_else(|| format!("s-{number}")),
            new_session: join.is_none(),
            plan: plan.clone(),
            pipeline: plan.name().clone(),
            sdp: change(client.offer.clone()),
            restart: false,
            audience: client.wish.audience,
        };
        let reply = self.server.offer(self.now, request)?;
        client.accept(self.now, reply);
        self.clients.push(client);
        Ok(self.clients.len() - 1)
    }

    /// Offers again on a client's connection id.
    pub fn offer_again(
        &mut self,
        index: usize,
        plan: &Arc<Plan>,
        sdp: String,
        restart: bool,
    ) -> Result<OfferReply, SessionError> {
        let reply = self.clients[index].reply().clone();
        let request = OfferRequest {
            pc_id: reply.pc_id.to_string(),
            session_id: reply.session_id.to_string(),
            new_session: false,
            plan: plan.clone(),
            pipeline: plan.name().clone(),
            sdp,
            restart,
            audience: Audience::All,
        };
        self.server.offer(self.now, request)
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until `done`, at most for `time`; panics when it does not come.
    #[track_caller]
    pub fn run_until(&mut self, time: Duration, mut done: impl FnMut(&World) -> bool) {
        let end = self.now + time;
        while !done(self) {
            assert!(self.step(end), "it did not come within {time:?}");
        }
    }

    /// Goes to the next thing that happens; false when nothing does until `end`.
    fn step(&mut self, end: Micros) -> bool {
        self.exchange();
        let next = self
            .network
            .next()
            .into_iter()
            .chain(self.server.poll_timeout())
            .chain(self.clients.iter().filter_map(Client::next))
            .min();
        let Some(next) = next.filter(|next| *next <= end) else { return false };
        self.now = self.now.max(next);
        let now = self.now;
        while let Some(datagram) = self.network.take(now) {
            if datagram.to == SERVER {
                self.server.handle_datagram(now, datagram.from, Some(SERVER.ip()), &datagram.bytes);
            } else if let Some(client) =
                self.clients.iter_mut().find(|client| client.address == datagram.to && !client.gone)
            {
                client.peer.handle_datagram(now, datagram.from, None, &datagram.bytes);
            }
        }
        if self.server.poll_timeout().is_some_and(|at| at <= now) {
            self.server.handle_timeout(now);
        }
        for client in &mut self.clients {
            client.turn(now);
        }
        self.exchange();
        true
    }

    /// The server's turn, and everything that is to be sent.
    pub fn exchange(&mut self) {
        let now = self.now;
        loop {
            self.server.turn(now);
            let mut worked = false;
            while let Some(work) = self.server.poll_lane() {
                match (self.python)(&work) {
                    Some(result) => {
                        let result =
                            result.map(|values| values.into_iter().map(Into::into).collect());
                        self.server.complete_lane(now, work.token, result);
                        worked = true;
                    }
                    None => self.held.push(work),
                }
            }
            if !worked {
                break;
            }
        }
        while let Some(transmit) = self.server.poll_transmit() {
            let client = self.clients.iter().find(|client| client.address == transmit.to);
            let path = client.map_or(Path::default(), |client| client.path);
            self.network.send(now, SERVER, transmit.to, &transmit.payload, path, true);
        }
        for client in &mut self.clients {
            client.collect(now);
            while let Some(transmit) = client.peer.poll_transmit() {
                if !client.gone {
                    let (from, path) = (client.address, client.path);
                    self.network.send(now, from, transmit.to, &transmit.payload, path, false);
                }
            }
        }
        while let Some(notification) = self.server.poll_notification() {
            self.notifications.push(notification);
        }
    }

    /// Why sessions ended, in order.
    pub fn ends(&self) -> Vec<&str> {
        self.notifications
            .iter()
            .filter_map(|notification| match notification {
                Notification::SessionEnded { reason, .. } => Some(reason.as_str()),
                _ => None,
            })
            .collect()
    }

    #[track_caller]
    pub fn assert_nothing_left(&self) {
        assert_eq!(self.server.live(), LiveObjects::default());
    }
}
