//! Whatever happens in whatever order, some things hold.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

use proptest::prelude::*;
use remotemedia_core::Micros;

use super::link::{address, agent, credentials};
use crate::Transmit;
use crate::ice::checklist::MAX_PAIRS;
use crate::ice::stun::{Key, Writer};
use crate::ice::{IceAgent, IceEvent, IceRole, StunOutcome};

/// One thing that the world does to an agent.
#[derive(Clone, Debug)]
enum Step {
    /// Time passes; the agent is driven or, rarely, late.
    Wait {
        millis: u64,
        late: bool,
    },
    /// A verified request.
    Request {
        from: u8,
        nominate: bool,
        controlling: bool,
        tie_breaker: u64,
    },
    /// An answer to the oldest check that is still unanswered, or an error.
    Answer {
        error: Option<u16>,
        local: Option<u8>,
    },
    /// The checks so far are lost.
    Lose,
    Candidate {
        host: u8,
    },
    Restart {
        with_remote: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (prop_oneof![0u64..50, 0u64..8_000], prop::bool::weighted(0.1))
            .prop_map(|(millis, late)| Step::Wait { millis, late }),
        4 => (0u8..6, any::<bool>(), any::<bool>(), any::<u64>()).prop_map(
            |(from, nominate, controlling, tie_breaker)| {
                Step::Request { from, nominate, controlling, tie_breaker }
            }
        ),
        6 => (prop_oneof![5 => Just(None), 1 => prop_oneof![Just(487), Just(400)].prop_map(Some)],
              prop::option::of(1u8..3))
            .prop_map(|(error, local)| Step::Answer { error, local }),
        1 => Just(Step::Lose),
        2 => (0u8..6).prop_map(|host| Step::Candidate { host }),
        1 => any::<bool>().prop_map(|with_remote| Step::Restart { with_remote }),
    ];
    prop::collection::vec(step, 1..120)
}

struct World {
    agent: IceAgent,
    now: Micros,
    checks: VecDeque<Transmit>,
    generation: usize,
    /// Addresses that the agent may send to.
    known: BTreeSet<SocketAddr>,
    /// Addresses that have answered a check.
    proven: BTreeSet<SocketAddr>,
    failed: bool,
}

fn host(number: u8) -> SocketAddr {
    address(&format!("192.0.2.{}:1000", 100 + number))
}

impl World {
    fn names(&self) -> [String; 2] {
        ["us", "them"].map(|side| format!("{side}{}", self.generation))
    }

    fn step(&mut self, step: &Step) {
        let [us, them] = self.names().map(|name| credentials(&name));
        match *step {
            Step::Wait { millis, late } => self.wait(millis, late),
            Step::Request { from, nominate, controlling, tie_breaker } => {
                let bytes = Writer::request(&[from; 12])
                    .username(&us.ufrag, &them.ufrag)
                    .priority(u32::from(from))
                    .role(controlling, tie_breaker)
                    .use_candidate(nominate)
                    .signed(&mut Key::new(&us.pwd));
                self.known.insert(host(from));
                self.agent.handle_stun(self.now, host(from), None, &bytes);
            }
            Step::Answer { error, local } => {
                let Some(check) = self.checks.pop_front() else { return };
                let id = check.payload[8..20].try_into().unwrap();
                let answer = match error {
                    Some(error) => Writer::error(&id, error),
                    None => Writer::success(&id).mapped(address("203.0.113.1:1")),
                };
                let answer = answer.signed(&mut Key::new(&them.pwd));
                let local = local.map(|n| address(&format!("192.0.2.{n}:2000")).ip());
                let outcome = self.agent.handle_stun(self.now, check.to, local, &answer);
                if outcome == StunOutcome::Verified && error.is_none() {
                    self.proven.insert(check.to);
                }
            }
            Step::Lose => self.checks.clear(),
            Step::Candidate { host: number } => {
                let line = format!("candidate:1 1 udp 7 192.0.2.{} 1000 typ host", 100 + number);
                self.known.insert(host(number));
                let _ = self.agent.add_remote_candidate(self.now, &line);
            }
            Step::Restart { with_remote } => {
                self.generation += 1;
                self.failed = false;
                let [us, them] = self.names().map(|name| credentials(&name));
                self.agent.restart(self.now, us, with_remote.then_some(them));
            }
        }
    }

    fn wait(&mut self, millis: u64, late: bool) {
        let end = Micros(self.now.0 + millis * 1000);
        let mut rounds = 0;
        while let Some(at) = self.agent.poll_timeout().filter(|at| !late && *at <= end) {
            self.now = self.now.max(at);
            self.agent.handle_timeout(self.now);
            self.check();
            rounds += 1;
            assert!(rounds < 20_000, "time stands still");
        }
        self.now = end;
        self.agent.handle_timeout(self.now);
    }

    fn check(&mut self) {
        while let Some(transmit) = self.agent.poll_transmit() {
            assert!(self.known.contains(&transmit.to), "sent to a stranger");
            if transmit.payload[0] == 0 {
                self.checks.push_back(transmit);
            }
        }
        while let Some(event) = self.agent.poll_event() {
            match event {
                IceEvent::Selected(path) => assert!(self.proven.contains(&path.remote)),
                IceEvent::Failed(_) => self.failed = true,
                IceEvent::Checking | IceEvent::Disconnected => {}
            }
        }
        assert_eq!(self.agent.poll_timeout().is_none(), self.failed);
        assert!(self.agent.verified().count() <= 2 * MAX_PAIRS);
        if let Some(path) = self.agent.selected() {
            assert!(self.proven.contains(&path.remote), "data would go to a stranger");
            assert!(self.agent.is_verified(path.remote));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn data_goes_only_where_an_answer_came_from(steps in steps(), controlling: bool, seed: u64) {
        let role = if controlling { IceRole::Controlling } else { IceRole::Controlled };
        let ours = [address("192.0.2.1:2000"), address("192.0.2.2:2000")];
        let mut agent = agent("us0", role, &ours, seed);
        agent.set_remote(Micros::ZERO, credentials("them0"));
        let mut world = World {
            agent,
            now: Micros::ZERO,
            checks: VecDeque::new(),
            generation: 0,
            known: BTreeSet::new(),
            proven: BTreeSet::new(),
            failed: false,
        };
        for step in &steps {
            world.step(step);
            world.check();
        }
        // Left alone, it ends, and says so.
        if !world.failed {
            world.checks.clear();
            world.wait(70_000, false);
            world.check();
            prop_assert!(world.failed);
        }
    }
}
