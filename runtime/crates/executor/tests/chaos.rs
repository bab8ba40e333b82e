//! Anything in any order: nothing panics, nothing is left.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{STREAM, any, audio, compile, data, drain, graph, meta_of, ported, python_params};
use proptest::prelude::*;
use remotemedia_core::{Micros, Opaque, Piece};
use remotemedia_executor::{
    Executor, ExecutorConfig, InstanceId, NodeFailure, NodeResult, NodeValue, Plan, PythonWork,
};
use serde_json::{Value, json};

#[derive(Clone, Debug)]
enum Act {
    Audio {
        source: usize,
        samples: usize,
        skip_us: u64,
    },
    Data {
        source: usize,
        deep: bool,
    },
    Object {
        source: usize,
    },
    Take,
    Complete {
        held: usize,
        result: u8,
        port: u8,
    },
    Give {
        held: usize,
        result: u8,
        port: u8,
    },
    Wait(u64),
    Batch,
    Interrupt,
    Configure(i32),
    Flush,
    /// Live alone: offline nothing may come after it.
    End {
        source: usize,
    },
    Reopen,
    Stale(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (0_usize..4, 0_usize..2_000, prop_oneof![4 => Just(0), 1 => 0_u64..5_000_000])
            .prop_map(|(source, samples, skip_us)| Act::Audio { source, samples, skip_us }),
        4 => (0_usize..4, proptest::arbitrary::any::<bool>()).prop_map(|(source, deep)| Act::Data { source, deep }),
        2 => (0_usize..4).prop_map(|source| Act::Object { source }),
        8 => Just(Act::Take),
        8 => (proptest::arbitrary::any::<usize>(), 0_u8..8, 0_u8..4)
            .prop_map(|(held, result, port)| Act::Complete { held, result, port }),
        4 => (proptest::arbitrary::any::<usize>(), 2_u8..8, 0_u8..4)
            .prop_map(|(held, result, port)| Act::Give { held, result, port }),
        2 => (0_u64..2_000_000).prop_map(Act::Wait),
        2 => Just(Act::Batch),
        1 => Just(Act::Interrupt),
        1 => (-130_i32..70).prop_map(Act::Configure),
        1 => Just(Act::Flush),
        2 => (0_usize..4).prop_map(|source| Act::End { source }),
        1 => Just(Act::Reopen),
        1 => proptest::arbitrary::any::<u64>().prop_map(Act::Stale),
    ]
}

fn plan() -> Arc<Plan> {
    let (mono, stereo) = (audio(16_000, 1), audio(16_000, 2));
    let same = |id: &str, kind: &str, params: Value, format: &Value| {
        ported(id, kind, params, &[("in", format.clone())], &[("out", format.clone())])
    };
    let sides = [("left", mono.clone()), ("right", mono.clone())];
    let mixed = [("in-1", mono.clone()), ("in-2", mono.clone()), ("in-3", mono.clone())];
    let outs = [("out", any(16_000)), ("text", any(16_000)), ("sound", mono.clone())];
    let text = json!({"operation": "words"});
    let nodes = [
        ported("split", "split", json!({}), &[("in", stereo.clone())], &sides),
        ported("mix", "mix", json!({"gains_db": [0, 1, 2]}), &mixed, &[("out", mono.clone())]),
        same("gain", "gain", json!({"gain_db": 3}), &mono),
        same("buffer", "buffer", json!({"duration_ms": 30, "overlap_ms": 10}), &mono),
        common::vad("energy", "energy"),
        common::vad("silero", "silero"),
        ported("join", "python", python_params(), &[("a", any(16_000)), ("b", data())], &outs),
        same("words", "text", text, &data()),
        same("pass", "pass_through", json!({}), &any(16_000)),
        ported("last", "python", python_params(), &[("in", any(16_000))], &[("out", any(16_000))]),
    ];
    let links = [
        ("$source.stereo", "split.in"),
        ("split.left", "mix.in-1"),
        ("split.right", "mix.in-2"),
        ("$source.mono", "mix.in-3"),
        ("mix.out", "gain.in"),
        ("gain.out", "buffer.in"),
        ("gain.out", "energy.in"),
        ("energy.out", "silero.in"),
        ("silero.out", "join.a"),
        ("$source.data", "join.b"),
        ("join.text", "words.in"),
        ("$source.any", "pass.in"),
        ("pass.out", "last.in"),
    ];
    let sources = [("stereo", stereo), ("mono", mono), ("data", data()), ("any", any(16_000))];
    Arc::new(compile(&graph(&sources, &nodes, &links)).expect("the graph is valid"))
}

struct World {
    executor: Executor,
    id: InstanceId,
    now: Micros,
    held: Vec<PythonWork>,
    at_us: [u64; 4],
    seq: u64,
    live: bool,
}

impl World {
    fn new(plan: &Arc<Plan>, live: bool) -> World {
        let config = if live { ExecutorConfig::live() } else { ExecutorConfig::offline() };
        let mut executor = Executor::new(ExecutorConfig { clock: Some(|| 1), ..config });
        let id = executor.create(plan.clone());
        executor.open_stream(id, STREAM);
        World { executor, id, now: Micros(0), held: Vec::new(), at_us: [0; 4], seq: 0, live }
    }

    fn push(&mut self, source: usize, channels: u8, piece: Piece<'_>) {
        let meta = meta_of(16_000, channels, self.seq, self.at_us[source]);
        self.seq += 1;
        self.executor.push_to(self.now, self.id, source, &meta, piece);
    }

    fn take(&mut self) {
        self.held.extend(std::iter::from_fn(|| self.executor.poll_work(self.now)).take(7));
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Audio { source, samples, skip_us } => {
                let channels = if source == 0 { 2 } else { 1 };
                self.at_us[source] += skip_us;
                let planar = vec![0.25; samples * usize::from(channels)];
                self.push(source, channels, Piece::Audio(&planar));
                self.at_us[source] += samples as u64 * 125 / 2;
            }
            Act::Data { source, deep } => {
                let value = if deep { json!({"text": [["a"]]}) } else { json!("a b") };
                self.push(source, 1, Piece::Data(&Arc::new(value)));
            }
            Act::Object { source } => self.push(source, 1, Piece::Opaque(&Opaque::new(1))),
            Act::Take => self.take(),
            Act::Complete { held, result, port } => {
                if !self.held.is_empty() {
                    let work = self.held.swap_remove(held % self.held.len());
                    self.executor.complete(self.now, work.token, result_of(result, port));
                }
            }
            Act::Give { held, result, port } => {
                if !self.held.is_empty() {
                    let token = self.held[held % self.held.len()].token;
                    let results = result_of(result, port).expect("no failure is given");
                    self.executor.give(self.now, token, results);
                }
            }
            Act::Wait(us) => {
                self.now += Duration::from_micros(us);
                self.executor.handle_timeout(self.now);
            }
            Act::Batch => self.executor.run_batches(self.now),
            Act::Interrupt => {
                self.executor.interrupt(self.id);
            }
            Act::Configure(gain) => {
                let changed = self.executor.configure(self.id, "gain", &json!({"gain_db": gain}));
                assert_eq!(changed.is_ok(), (-120..=60).contains(&gain));
            }
            Act::Flush => self.executor.flush(self.now, self.id),
            Act::End { source } => {
                if self.live {
                    self.executor.end_source(self.now, self.id, STREAM, Some(source));
                }
            }
            Act::Reopen => {
                self.executor.close_stream(self.now, self.id, STREAM);
                self.executor.open_stream(self.id, STREAM);
            }
            Act::Stale(token) => self.executor.complete(self.now, token, Ok(Vec::new())),
        }
        drain(&mut self.executor);
    }
}

fn result_of(result: u8, port: u8) -> Result<Vec<NodeResult>, NodeFailure> {
    let port = [None, Some("text"), Some("sound"), Some("nowhere")][usize::from(port)];
    let value = match result {
        0 => return Err(NodeFailure::default()),
        1 => return Err(NodeFailure { transient: true, ..NodeFailure::default() }),
        2 => return Ok(Vec::new()),
        3 => NodeValue::Json("{\"text\": \"a b\"}".into()),
        4 => NodeValue::Json("{".into()),
        5 => NodeValue::Data(Arc::new(json!("a b c"))),
        6 => NodeValue::Opaque(Opaque::new(2)),
        _ => NodeValue::Audio { channels: 1, samples: vec![0.5; 320].into() },
    };
    Ok(vec![NodeResult { port: port.map(Into::into), value }; 2])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_panics_and_everything_ends(
        acts in prop::collection::vec(act(), 0..80),
        live: bool,
    ) {
        let plan = plan();
        let mut world = World::new(&plan, live);
        for act in acts {
            world.act(act);
        }
        world.executor.end_source(world.now, world.id, STREAM, None);
        for _ in 0..10_000 {
            world.act(Act::Wait(500_000));
            world.take();
            if world.held.is_empty() && world.executor.work_pending(world.id) == 0 {
                break;
            }
            for work in std::mem::take(&mut world.held) {
                world.executor.complete(world.now, work.token, Ok(Vec::new()));
            }
            if world.executor.failure(world.id).is_some() {
                break;
            }
        }
        if world.executor.failure(world.id).is_none() {
            prop_assert!(world.executor.has_ended(world.id, STREAM));
            prop_assert_eq!(world.executor.work_pending(world.id), 0);
            prop_assert_eq!(world.executor.poll_timeout(), None);
        }
        world.executor.remove(world.id);
        let stats = world.executor.stats();
        prop_assert_eq!((stats.instances, stats.streams, stats.in_flight), (0, 0, 0));
        prop_assert_eq!(stats.model_states, 0);
    }
}
