//! Whatever ends a session, it says why and leaves nothing.

mod common;

use std::time::Duration;

use common::{Path, Speaker, Wish, World, energy, ms, python, silero};
use remotemedia_core::ErrorCode;
use remotemedia_executor::NodeValue;
use remotemedia_peer::CloseReason;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_closed_session_says_bye_and_leaves_nothing() {
    let mut world = World::new(1);
    let plan = silero();
    let first = world.open(&plan, Wish::speaking());
    let second = world.join(first, &plan, Wish::listening()).unwrap();
    world.run(2 * SECOND);
    let id = world.clients[first].reply().session_id.clone();
    world.server.close_session(world.now, &id, "the show is over").unwrap();
    world.run(SECOND);
    for index in [first, second] {
        let client = &world.clients[index];
        let bye = client.of_type("bye");
        assert_eq!(bye.len(), 1);
        assert_eq!(bye[0].json["data"]["reason"], "the show is over");
        assert_eq!(
            client.received.iter().rfind(|one| one.channel == "results").unwrap().kind(),
            "bye"
        );
        assert_eq!(client.closed, Some(CloseReason::Remote));
    }
    assert_eq!(world.ends(), ["the show is over"]);
    world.assert_nothing_left();
}

#[test]
fn speech_under_way_is_stopped_before_bye() {
    let mut world = World::new(2);
    let client = world.open(&energy(), Wish::speaking());
    world.run_until(5 * SECOND, |world| world.clients[client].count("speech_started") > 0);
    let id = world.clients[client].reply().session_id.clone();
    world.server.close_session(world.now, &id, "enough").unwrap();
    world.run(SECOND);
    let client = &world.clients[client];
    let order: Vec<&str> = client
        .received
        .iter()
        .filter(|one| one.channel == "results")
        .map(|one| one.kind())
        .collect();
    assert!(order.ends_with(&["speech_stopped", "bye"]), "{order:?}");
}

#[test]
fn a_session_ends_with_its_last_participant() {
    let mut world = World::new(3);
    let plan = energy();
    let first = world.open(&plan, Wish::speaking());
    let second = world.join(first, &plan, Wish::speaking()).unwrap();
    world.run(SECOND);
    let pc_id = world.clients[first].reply().pc_id.clone();
    world.server.close_peer(world.now, &pc_id).unwrap();
    world.run(SECOND);
    assert_eq!((world.server.live().sessions, world.server.live().peers), (1, 1));
    assert!(world.server.close_peer(world.now, &pc_id).is_err(), "it is gone");
    let now = world.now;
    world.clients[second].peer.close(now);
    world.run(SECOND);
    assert_eq!(world.ends(), ["the participant left"]);
    world.assert_nothing_left();
}

#[test]
fn bye_is_the_last_thing_that_who_leaves_hears() {
    let mut world = World::new(14);
    let plan = energy();
    let path = Path { delay_us: 60_000, ..Path::default() };
    let first = world.open(&plan, Wish::speaking());
    let leaver = world.join(first, &plan, Wish { path, ..Wish::listening() }).unwrap();
    world.run(2 * SECOND);
    let pc_id = world.clients[leaver].reply().pc_id.clone();
    world.server.close_peer(world.now, &pc_id).unwrap();
    world.run(SECOND);
    let received = &world.clients[leaver].received;
    assert_eq!(received.last().unwrap().kind(), "bye");
    assert!(received.len() > 50);
}

#[test]
fn who_stays_learns_that_the_other_ones_speech_has_stopped() {
    let mut world = World::new(4);
    let plan = energy();
    let first = world.open(&plan, Wish::speaking());
    let listener = world.join(first, &plan, Wish::listening()).unwrap();
    world.run_until(5 * SECOND, |world| {
        let listener = &world.clients[listener];
        listener.count("speech_started") > listener.count("speech_stopped")
    });
    let now = world.now;
    world.clients[first].peer.close(now);
    world.run(SECOND);
    let listener = &world.clients[listener];
    assert_eq!(listener.count("speech_started"), listener.count("speech_stopped"));
    assert_eq!(listener.count("bye"), 0);
}

#[test]
fn a_client_that_vanishes_is_ended_after_thirty_seconds() {
    let mut world = World::new(5);
    let client = world.open(&energy(), Wish::speaking());
    world.run(2 * SECOND);
    world.clients[client].gone = true;
    world.run(25 * SECOND);
    assert_eq!(world.server.live().sessions, 1, "it might come back");
    world.run(12 * SECOND);
    assert_eq!(world.ends().len(), 1);
    world.assert_nothing_left();
}

#[test]
fn a_client_that_never_finishes_ice_is_ended() {
    let mut world = World::new(6);
    let path = Path { up: false, ..Path::default() };
    world.open(&energy(), Wish { path, ..Wish::speaking() });
    world.run(31 * SECOND);
    assert_eq!(world.ends(), ["ICE found no path in time"]);
    world.assert_nothing_left();
}

#[test]
fn a_client_that_never_finishes_its_handshake_is_ended() {
    let mut world = World::new(7);
    // Checks are small, certificates are not.
    let path = Path { largest_down: 160, ..Path::default() };
    world.open(&energy(), Wish { path, ..Wish::speaking() });
    world.run(40 * SECOND);
    assert_eq!(world.ends().len(), 1);
    world.assert_nothing_left();
}

#[test]
fn a_reader_that_is_gone_delays_a_close_by_half_a_second_at_most() {
    let mut world = World::new(8);
    let client = world.open(&energy(), Wish::speaking());
    world.run(2 * SECOND);
    world.clients[client].gone = true;
    let id = world.clients[client].reply().session_id.clone();
    world.server.close_session(world.now, &id, "enough").unwrap();
    world.run(ms(400));
    assert_eq!(world.server.live().sessions, 1);
    world.run(ms(110));
    world.assert_nothing_left();
}

#[test]
fn draining_ends_everyone_and_refuses_the_next() {
    let mut world = World::new(9);
    let plan = energy();
    for _ in 0..5 {
        world.open(&plan, Wish::speaking());
    }
    world.run(SECOND);
    world.server.drain(world.now);
    let refused = world.try_open(&plan, Wish::speaking()).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Draining);
    world.run(SECOND);
    world.assert_nothing_left();
    for client in &world.clients {
        assert_eq!(client.of_type("bye")[0].json["data"]["code"], "RM-6002");
    }
}

#[test]
fn a_close_before_anything_is_connected_leaves_nothing() {
    let mut world = World::new(10);
    let client = world.open(&energy(), Wish::speaking());
    let id = world.clients[client].reply().session_id.clone();
    world.server.close_session(world.now, &id, "never mind").unwrap();
    world.server.close_session(world.now, &id, "again").ok();
    world.run(SECOND);
    assert_eq!(world.ends(), ["never mind"]);
    world.assert_nothing_left();
}

#[test]
fn nobody_enters_a_session_that_ends() {
    let mut world = World::new(11);
    let plan = energy();
    let client = world.open(&plan, Wish::speaking());
    world.run(SECOND);
    let id = world.clients[client].reply().session_id.clone();
    world.server.close_session(world.now, &id, "enough").unwrap();
    let refused = world.join(client, &plan, Wish::listening()).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Conflict);
    world.run(SECOND);
    assert_eq!(
        world.join(client, &plan, Wish::listening()).unwrap_err().code,
        ErrorCode::UnknownId
    );
}

#[test]
fn frames_that_python_holds_are_waited_for_and_then_not() {
    for answers in [true, false] {
        let mut world = World::new(12);
        let client = world.open(&python(), Wish::speaking());
        world.run_until(3 * SECOND, |world| world.held.len() > 3);
        let id = world.clients[client].reply().session_id.clone();
        world.server.close_session(world.now, &id, "enough").unwrap();
        world.run(ms(100));
        assert_eq!(world.server.live().sessions, 1, "it waits for Python");
        if answers {
            for work in std::mem::take(&mut world.held) {
                let value = NodeValue::Json("{\"late\":true}".into());
                world.server.complete_lane(world.now, work.token, Ok(vec![value.into()]));
            }
            world.python = Box::new(|_| Some(Ok(Vec::new())));
            world.run(ms(20));
            world.assert_nothing_left();
        }
        world.run(ms(600));
        world.assert_nothing_left();
        let client = &world.clients[client];
        assert_eq!(client.count("node") > 3, answers);
        assert_eq!(client.count("bye"), 1);
    }
}

#[test]
fn a_hundred_sessions_come_and_go_and_nothing_stays() {
    let mut world = World::new(13);
    let plan = energy();
    for round in 0..20 {
        let speaker = Some(Speaker { first: round * 20, count: 10 });
        let clients: Vec<usize> =
            (0..5).map(|_| world.open(&plan, Wish { speaker, ..Wish::speaking() })).collect();
        world.run(ms(300));
        for client in clients {
            let now = world.now;
            world.clients[client].peer.close(now);
        }
        world.run(ms(300));
        world.clients.clear();
        world.assert_nothing_left();
    }
    assert_eq!(world.ends().len(), 100);
}
