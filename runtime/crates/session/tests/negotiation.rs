//! Offers: good ones, bad ones, and the same connection twice.

mod common;

use std::time::Duration;

use common::{SERVER, Wish, World, energy, ms};
use remotemedia_core::ErrorCode;
use remotemedia_session::{Audience, OFFER_INTERVAL, OFFERS_AT_ONCE, OfferRequest};

const SECOND: Duration = Duration::from_secs(1);

fn request(sdp: &str) -> OfferRequest {
    let plan = energy();
    OfferRequest {
        pc_id: "pc".into(),
        session_id: "s".into(),
        new_session: true,
        pipeline: plan.name().clone(),
        plan,
        sdp: sdp.into(),
        restart: false,
        audience: Audience::All,
    }
}

#[test]
fn bad_offers_are_refused_and_leave_nothing() {
    let mut world = World::new(1);
    let codes: Vec<ErrorCode> = ["", "hello", "v=0\r\n", "v=0\r\nm=audio\r\n"]
        .iter()
        .map(|sdp| world.server.offer(world.now, request(sdp)).unwrap_err().code)
        .collect();
    assert!(codes.iter().all(|code| *code == ErrorCode::InvalidSdp), "{codes:?}");
    let listening = world.try_open(&energy(), Wish::listening()).unwrap_err();
    assert_eq!(listening.code, ErrorCode::NoCommonCodec, "nobody gives audio: {listening}");
    world.exchange();
    world.assert_nothing_left();
    assert_eq!(world.notifications, []);
}

#[test]
fn ids_that_are_not_there_are_refused() {
    let mut world = World::new(2);
    let client = world.open(&energy(), Wish::speaking());
    let sdp = world.clients[client].offer.clone();
    let join = OfferRequest { new_session: false, ..request(&sdp) };
    assert_eq!(world.server.offer(world.now, join).unwrap_err().code, ErrorCode::UnknownId);
    let now = world.now;
    let candidates = world.server.add_candidates(now, "nobody", &["candidate:1".into()]);
    assert_eq!(candidates.unwrap_err().code, ErrorCode::UnknownId);
    assert_eq!(world.server.close_peer(now, "nobody").unwrap_err().code, ErrorCode::UnknownId);
    assert_eq!(world.server.close_session(now, "x", "").unwrap_err().code, ErrorCode::UnknownId);
    assert_eq!(world.server.observe("x", true).unwrap_err().code, ErrorCode::UnknownId);
}

#[test]
fn a_taken_session_id_is_a_conflict() {
    let mut world = World::new(3);
    let client = world.open(&energy(), Wish::speaking());
    let sdp = world.clients[client].offer.clone();
    let session_id = world.clients[client].reply().session_id.to_string();
    let again = OfferRequest { session_id, ..request(&sdp) };
    assert_eq!(world.server.offer(world.now, again).unwrap_err().code, ErrorCode::Conflict);
}

#[test]
fn sessions_and_participants_are_limited() {
    let mut world = World::with(4, |config| {
        (config.max_sessions, config.max_participants) = (2, 2);
    });
    let plan = energy();
    let first = world.open(&plan, Wish::speaking());
    world.open(&plan, Wish::speaking());
    assert_eq!(world.try_open(&plan, Wish::speaking()).unwrap_err().code, ErrorCode::ServerFull);
    world.join(first, &plan, Wish::listening()).unwrap();
    let refused = world.join(first, &plan, Wish::listening()).unwrap_err();
    assert_eq!(refused.code, ErrorCode::ServerFull);
    let now = world.now;
    world.clients[first].peer.close(now);
    world.run(31 * SECOND);
    assert!(world.try_open(&plan, Wish::speaking()).is_err(), "the listener is still in it");
}

#[test]
fn a_second_offer_on_the_same_id_renegotiates() {
    let mut world = World::new(5);
    let plan = energy();
    let client = world.open(&plan, Wish::speaking());
    world.run(2 * SECOND);
    let sdp = world.clients[client].offer.clone();
    let reply = world.offer_again(client, &plan, sdp, false).unwrap();
    assert_eq!(reply.participant, world.clients[client].reply().participant);
    let before = world.clients[client].count("vad");
    world.run(2 * SECOND);
    assert!(world.clients[client].count("vad") > before + 80, "results go on");
    assert_eq!((world.server.live().sessions, world.server.live().peers), (1, 1));
    let bad = world.offer_again(client, &plan, "hello".into(), false).unwrap_err();
    assert_eq!(bad.code, ErrorCode::InvalidSdp);
    world.run(SECOND);
    assert_eq!(world.server.live().peers, 1, "a bad offer harms nobody");
}

#[test]
fn a_restart_replaces_the_connection_and_keeps_the_participant() {
    let mut world = World::new(6);
    let plan = energy();
    let old = world.open(&plan, Wish::speaking());
    let listener = world.join(old, &plan, Wish::listening()).unwrap();
    world.run(2 * SECOND);
    world.clients[old].gone = true;
    // A fresh client on the old one's id.
    let number = world.number();
    let mut fresh = common::Client::new(&mut world, number, Wish::speaking());
    let reply = world.offer_again(old, &plan, fresh.offer.clone(), true).unwrap();
    assert_eq!(reply.participant, world.clients[old].reply().participant);
    assert_eq!(reply.session_id, world.clients[old].reply().session_id);
    fresh.accept(world.now, reply);
    world.clients.push(fresh);
    world.run(3 * SECOND);
    let fresh = world.clients.last().unwrap();
    assert!(fresh.count("vad") > 50);
    assert_eq!(fresh.count("ready"), 1);
    assert_eq!(world.server.live().peers, 2);
    let listener = &world.clients[listener];
    assert!(world.now.since(listener.of_type("vad").last().unwrap().at) < ms(100));
    assert_eq!(world.ends(), [""; 0]);
}

#[test]
fn hundreds_of_candidates_are_bounded() {
    let mut world = World::new(7);
    let client = world.open(&energy(), Wish::speaking());
    let pc_id = world.clients[client].reply().pc_id.clone();
    let candidates: Vec<String> = (0..300)
        .map(|index| {
            format!(
                "candidate:{index} 1 udp 2130706431 203.0.113.{} {} typ host",
                index % 250,
                2_000 + index
            )
        })
        .collect();
    let refused = world.server.add_candidates(world.now, &pc_id, &candidates).unwrap_err();
    assert_eq!(refused.code, ErrorCode::TooManyCandidates);
    let bad = world.server.add_candidates(world.now, &pc_id, &["nonsense".into()]).unwrap_err();
    assert_eq!(bad.code, ErrorCode::InvalidCandidate);
    world.run(2 * SECOND);
    assert!(world.clients[client].count("vad") > 20, "it connects all the same");
}

#[test]
fn an_answer_announces_the_servers_address() {
    let mut world = World::new(8);
    let client = world.open(&energy(), Wish::speaking());
    let answer = &world.clients[client].reply().sdp;
    assert!(answer.contains(&format!("{} {}", SERVER.ip(), SERVER.port())), "{answer}");
}

#[test]
fn restarts_and_renegotiations_of_one_connection_are_limited_and_come_back() {
    for restart in [true, false] {
        let mut world = World::new(9);
        let plan = energy();
        let client = world.open(&plan, Wish::speaking());
        let other = world.open(&plan, Wish::speaking());
        world.run(SECOND);
        let sdp = world.clients[client].offer.clone();
        for turn in 0..OFFERS_AT_ONCE {
            let offer = world.offer_again(client, &plan, sdp.clone(), restart);
            assert!(offer.is_ok(), "restart {restart}, offer {turn}: {offer:?}");
        }
        let refused = world.offer_again(client, &plan, sdp.clone(), restart).unwrap_err();
        assert_eq!(refused.code, ErrorCode::TooManyOffers);
        assert_eq!(world.server.live().peers, 2, "the connection of before stays");
        let theirs = world.clients[other].offer.clone();
        world.offer_again(other, &plan, theirs, false).expect("others are not concerned");
        world.run(OFFER_INTERVAL);
        world.offer_again(client, &plan, sdp.clone(), restart).unwrap();
        let refused = world.offer_again(client, &plan, sdp, restart).unwrap_err();
        assert_eq!(refused.code, ErrorCode::TooManyOffers, "one more each interval");
    }
}

#[test]
fn an_offer_every_other_second_is_taken_for_ever() {
    let mut world = World::new(10);
    let plan = energy();
    let client = world.open(&plan, Wish::speaking());
    let sdp = world.clients[client].offer.clone();
    for turn in 0..3 * OFFERS_AT_ONCE {
        world.run(2 * OFFER_INTERVAL);
        let offer = world.offer_again(client, &plan, sdp.clone(), false);
        assert!(offer.is_ok(), "{turn}: {offer:?}");
    }
}
