use std::time::Duration;

use remotemedia_peer::{CloseReason, PeerEvent, SendError};

use crate::world::{ANSWERER, Link, OFFERER, World};

#[test]
fn close_tells_the_other_side() {
    for side in [OFFERER, ANSWERER] {
        let (mut world, id) = World::connected(60, Link::CLEAN);
        world.peers[side].send(world.now, id, true, b"last words").unwrap();
        world.peers[side].close(world.now);
        world.pass(Duration::from_millis(100));
        assert_eq!(world.events[side].last(), Some(&PeerEvent::Closed(CloseReason::Local)));
        assert_eq!(world.events[1 - side].last(), Some(&PeerEvent::Closed(CloseReason::Remote)));
        assert_eq!(world.messages(1 - side, id).len(), 1);
        assert!(world.peers.iter().all(|peer| peer.poll_timeout().is_none()));
        assert_eq!(world.peers[side].send(world.now, id, true, b"x"), Err(SendError::Closed));
    }
}

#[test]
fn half_a_minute_of_silence_ends_it() {
    let (mut world, _) = World::connected(61, Link::CLEAN);
    world.filter = Box::new(|_, _, _| false);
    let start = world.now;
    let ended = world.run(Duration::from_secs(60), |world| {
        world.peers.iter().all(remotemedia_peer::Peer::is_closed)
    });
    assert!(ended);
    let took = world.now - start;
    assert!((Duration::from_secs(25)..Duration::from_secs(37)).contains(&took), "{took:?}");
    for events in &world.events {
        assert!(events.contains(&PeerEvent::Disconnected));
        assert_eq!(events.last(), Some(&PeerEvent::Closed(CloseReason::ConsentLost)));
    }
}

#[test]
fn a_pause_of_ten_seconds_is_survived() {
    let (mut world, id) = World::connected(62, Link::CLEAN);
    world.filter = Box::new(|_, _, _| false);
    world.peers[ANSWERER].send(world.now, id, true, b"late").unwrap();
    world.pass(Duration::from_secs(10));
    world.filter = Box::new(|_, _, _| true);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.messages(OFFERER, id).len(), 1);
    assert!(world.peers.iter().all(remotemedia_peer::Peer::is_connected));
}

#[test]
fn closing_before_the_connection_is_up_is_quiet() {
    let mut world = World::new(63, Link::CLEAN);
    let now = world.now;
    world.peers[ANSWERER].close(now);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.events[ANSWERER], [PeerEvent::Closed(CloseReason::Local)]);
    assert!(world.peers[ANSWERER].poll_timeout().is_none());
}
