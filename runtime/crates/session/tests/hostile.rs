//! What comes to the media port and should not.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Path, SERVER, Wish, World, energy};
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};

const SECOND: Duration = Duration::from_secs(1);
const STRANGER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9)), 4_444);

#[test]
fn garbage_reaches_nobody_and_leaves_nothing() {
    let mut world = World::new(1);
    let client = world.open(&energy(), Wish::speaking());
    world.run(SECOND);
    let addresses = world.server.live().addresses;
    let mut rng = SmallRng::seed_from_u64(1);
    for index in 0..3_000_u64 {
        let mut bytes = vec![0; rng.random_range(0..1_500)];
        rng.fill_bytes(&mut bytes);
        // From strangers, and in the client's name.
        let from = if index % 2 == 0 { STRANGER } else { world.clients[client].address };
        world.network.inject(world.now, from, SERVER, &bytes);
    }
    world.run(2 * SECOND);
    assert_eq!(world.server.live().addresses, addresses);
    assert!(world.server.losses().stray_datagrams > 1_000);
    let last = world.clients[client].of_type("vad").last().unwrap().at;
    assert!(world.now.since(last) < Duration::from_millis(100), "results go on");
}

#[test]
fn truncated_and_altered_copies_of_real_datagrams_harm_nobody() {
    let mut world = World::new(2);
    let path = Path { delay_us: 2_000, ..Path::default() };
    let client = world.open(&energy(), Wish { path, ..Wish::speaking() });
    let mut rng = SmallRng::seed_from_u64(2);
    for _ in 0..400 {
        world.run(Duration::from_millis(5));
        for (from, mut bytes) in world.network.under_way_to(SERVER) {
            let cut = rng.random_range(0..=bytes.len());
            if rng.random_bool(0.5) {
                bytes.truncate(cut);
            } else if let Some(byte) = bytes.get_mut(cut) {
                *byte ^= 1 << rng.random_range(0..8);
            }
            let from = if rng.random_bool(0.5) { from } else { STRANGER };
            world.network.inject(world.now, from, SERVER, &bytes);
        }
    }
    world.run(SECOND);
    assert!(world.clients[client].count("vad") > 50);
    assert_eq!(world.ends(), [""; 0]);
    let to_stranger = world.network.sent_to(STRANGER);
    assert_eq!(to_stranger, 0, "media or results went to a stranger");
}

#[test]
fn a_check_with_the_right_name_and_a_wrong_integrity_teaches_nothing() {
    let mut world = World::new(3);
    let path = Path { delay_us: 2_000, ..Path::default() };
    let client = world.open(&energy(), Wish { path, ..Wish::speaking() });
    world.exchange();
    let (_, mut check) = world.network.under_way_to(SERVER).remove(0);
    assert_eq!(check[..2], [0x00, 0x01], "a binding request");
    // Within the integrity: the fingerprint is the last 8 bytes.
    let place = check.len() - 20;
    check[place] ^= 0xff;
    for _ in 0..100 {
        world.network.inject(world.now, STRANGER, SERVER, &check);
    }
    let ufrags = world.server.live().addresses;
    world.run(Duration::from_millis(1));
    assert_eq!(world.server.live().addresses, ufrags);
    world.run(2 * SECOND);
    assert!(world.clients[client].count("vad") > 20);
}

#[test]
fn a_wrong_fingerprint_is_refused_before_anything_passes() {
    let mut world = World::new(4);
    let number = world.number();
    let mut client = common::Client::new(&mut world, number, Wish::speaking());
    let line = client.offer.lines().find(|line| line.starts_with("a=fingerprint:")).unwrap();
    let last = if line.ends_with('0') { "1" } else { "0" };
    let wrong = format!("{}{last}", &line[..line.len() - 1]);
    let offer = client.offer.replace(line, &wrong);
    let plan = energy();
    let request = remotemedia_session::OfferRequest {
        pc_id: "pc".into(),
        session_id: "s".into(),
        new_session: true,
        pipeline: plan.name().clone(),
        plan,
        sdp: offer,
        restart: false,
        audience: remotemedia_session::Audience::All,
    };
    let reply = world.server.offer(world.now, request).unwrap();
    client.accept(world.now, reply);
    world.clients.push(client);
    world.run(5 * SECOND);
    let ends = world.ends();
    assert!(ends.len() == 1 && ends[0].contains("fingerprint"), "{ends:?}");
    assert_eq!(world.clients[0].received.len(), 0);
    world.assert_nothing_left();
}

#[test]
fn a_client_that_changes_its_address_goes_on() {
    let mut world = World::new(5);
    let client = world.open(&energy(), Wish::speaking());
    world.run(2 * SECOND);
    world.clients[client].address = SocketAddr::from(([198, 51, 100, 77], 5_555));
    world.run(10 * SECOND);
    let client = &world.clients[client];
    let last = client.of_type("vad").last().unwrap().at;
    assert!(world.now.since(last) < Duration::from_millis(100), "results go to the new address");
}

#[test]
fn an_address_that_is_used_again_reaches_the_new_session_only() {
    let mut world = World::new(6);
    let plan = energy();
    let old = world.open(&plan, Wish::speaking());
    world.run(2 * SECOND);
    world.clients[old].gone = true;
    let heard = |world: &mut World, session: &str| {
        world
            .server
            .get(world.now, session)
            .map(|one| one.participants[0].streams[0].packets_received)
    };
    let old_session = world.clients[old].reply().session_id.clone();
    let before = heard(&mut world, &old_session);
    let new = world.open(&plan, Wish::speaking());
    world.clients[new].address = world.clients[old].address;
    world.run(5 * SECOND);
    assert!(world.clients[new].count("vad") > 100);
    assert_eq!(heard(&mut world, &old_session), before);
}
