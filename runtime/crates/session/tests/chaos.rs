//! Anything in any order: nothing is left, nobody hears what is not theirs.

mod common;

use std::time::Duration;

use common::{Path, SERVER, Speaker, Wish, World, anything, energy, python, silero, text, two};
use proptest::prelude::*;
use remotemedia_executor::{NodeFailure, NodeValue};
use remotemedia_session::Notification;

/// One thing that happens; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Act {
    Open { plan: usize, lossy: bool, live: bool },
    Join { who: usize, speaks: bool },
    Leave { who: usize },
    Vanish { who: usize },
    ClosePeer { who: usize },
    CloseSession { who: usize },
    Renegotiate { who: usize, without: usize },
    Whistle { who: usize, track: usize, on: bool },
    Say { who: usize, what: usize },
    Stall { who: usize },
    Observe { who: usize, on: bool },
    Garbage { who: usize, bytes: Vec<u8> },
    Wait { ms: u64 },
}

const SAYINGS: [&str; 7] = [
    r#"{"type":"ping"}"#,
    r#"{"type":"flush"}"#,
    r#"{"type":"interrupt"}"#,
    r#"{"type":"configure","node":"vad","params":{"min_speech_ms":0}}"#,
    r#"{"type":"input","node":"vad","data":1}"#,
    r#"{"type":"input","data":"hello"}"#,
    "{",
];

fn act() -> impl Strategy<Value = Act> {
    let who = 0..100_usize;
    prop_oneof![
        4 => (0..6_usize, any::<bool>(), any::<bool>())
            .prop_map(|(plan, lossy, live)| Act::Open { plan, lossy, live }),
        3 => (who.clone(), any::<bool>()).prop_map(|(who, speaks)| Act::Join { who, speaks }),
        1 => who.clone().prop_map(|who| Act::Leave { who }),
        1 => who.clone().prop_map(|who| Act::Vanish { who }),
        1 => who.clone().prop_map(|who| Act::ClosePeer { who }),
        1 => who.clone().prop_map(|who| Act::CloseSession { who }),
        2 => (who.clone(), 0..4_usize)
            .prop_map(|(who, without)| Act::Renegotiate { who, without }),
        4 => (who.clone(), 0..3_usize, any::<bool>())
            .prop_map(|(who, track, on)| Act::Whistle { who, track, on }),
        3 => (who.clone(), 0..SAYINGS.len()).prop_map(|(who, what)| Act::Say { who, what }),
        1 => who.clone().prop_map(|who| Act::Stall { who }),
        1 => (who.clone(), any::<bool>()).prop_map(|(who, on)| Act::Observe { who, on }),
        1 => (who, prop::collection::vec(any::<u8>(), 0..100))
            .prop_map(|(who, bytes)| Act::Garbage { who, bytes }),
        8 => (1_u64..600).prop_map(|ms| Act::Wait { ms }),
    ]
}

fn play(world: &mut World, act: Act) {
    let plans = [energy(), silero(), python(), text(), anything(), two()];
    let now = world.now;
    let count = world.clients.len();
    let of = |who: usize| who % count.max(1);
    match act {
        Act::Open { plan, lossy, live } => {
            let path = if lossy { Path::lossy(0.03) } else { Path::default() };
            let speaker = Some(Speaker { first: plan * 50, count: usize::MAX });
            let further = if plan == 5 { 3 } else { 0 };
            let wish = Wish { path, live, speaker, further, ..Wish::speaking() };
            let _ = world.try_open(&plans[plan], wish);
        }
        Act::Wait { ms } => world.run(Duration::from_millis(ms)),
        _ if count == 0 => {}
        Act::Join { who, speaks } => {
            let speaking = Wish { further: 1, ..Wish::speaking() };
            let wish = if speaks { speaking } else { Wish::listening() };
            let _ = world.join(of(who), &plans[0], wish);
        }
        Act::Leave { who } => world.clients[of(who)].peer.close(now),
        Act::Vanish { who } => world.clients[of(who)].gone = true,
        Act::ClosePeer { who } => {
            let pc_id = world.clients[of(who)].reply().pc_id.clone();
            let _ = world.server.close_peer(now, &pc_id);
        }
        Act::CloseSession { who } => {
            let id = world.clients[of(who)].reply().session_id.clone();
            let _ = world.server.close_session(now, &id, "chaos");
        }
        Act::Renegotiate { who, without } => {
            // Some of the tracks are taken away, or none.
            let offer = &world.clients[of(who)].offer;
            let mut sections = offer.split("a=sendonly");
            let mut sdp = sections.next().unwrap_or_default().to_owned();
            for (index, section) in sections.enumerate() {
                let on = without == 0 || index % 3 != without - 1;
                sdp += if on { "a=sendonly" } else { "a=inactive" };
                sdp += section;
            }
            let _ = world.offer_again(of(who), &plans[0], sdp, false);
        }
        Act::Whistle { who, track, on } => {
            let tracks = &mut world.clients[of(who)].tracks;
            let count = tracks.len().max(1);
            match tracks.get_mut(track % count) {
                Some(track) if on => track.whistle(now, 500.0),
                Some(track) => track.hush(),
                None => {}
            }
        }
        Act::Say { who, what } => {
            let client = &mut world.clients[of(who)];
            if let Some(channel) = client.results {
                let _ = client.peer.send(now, channel, true, SAYINGS[what].as_bytes());
            }
        }
        Act::Stall { who } => {
            let path = &mut world.clients[of(who)].path;
            path.largest_down = if path.largest_down == 130 { usize::MAX } else { 130 };
        }
        Act::Observe { who, on } => {
            let id = world.clients[of(who)].reply().session_id.clone();
            let _ = world.server.observe(&id, on);
        }
        Act::Garbage { who, bytes } => {
            let from = world.clients[of(who)].address;
            world.network.inject(now, from, SERVER, &bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_left_and_nobody_hears_what_is_not_theirs(
        seed in any::<u64>(),
        acts in prop::collection::vec(act(), 1..60),
    ) {
        let mut world = World::new(seed);
        let mut frames = seed;
        world.python = Box::new(move |_| {
            frames = frames.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            match frames >> 60 {
                0..3 => None,
                3 => Some(Err(NodeFailure::default())),
                _ => Some(Ok(vec![NodeValue::Json("{}".into())])),
            }
        });
        for act in acts {
            play(&mut world, act);
        }
        for client in &world.clients {
            let own = client.reply().session_id.to_string();
            for received in client.received.iter().filter(|one| one.json.get("seq").is_some()) {
                prop_assert_eq!(received.json["session"].as_str(), Some(own.as_str()));
            }
        }
        world.clients.iter_mut().for_each(|client| client.gone = true);
        world.run(Duration::from_secs(65));
        world.assert_nothing_left();
        let started = world
            .notifications
            .iter()
            .filter(|one| matches!(one, Notification::SessionStarted { .. }))
            .count();
        prop_assert_eq!(started, world.ends().len());
    }
}
