use super::*;

const NOW: Micros = Micros(1_000_000);
const DTLS: [u8; 20] = [22; 20];
const MEDIA: [u8; 20] = [128; 20];

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn key(index: u64) -> Key {
    Key::from_bits(index)
}

/// A STUN message of a type with a transaction.
fn stun(kind: [u8; 2], transaction: u8) -> Vec<u8> {
    let mut bytes = vec![kind[0], kind[1], 0, 0, 0x21, 0x12, 0xa4, 0x42];
    bytes.extend([transaction; 12]);
    bytes
}

#[test]
fn media_of_an_unknown_address_reaches_nobody() {
    let mut router = Router::default();
    assert_eq!(router.route(NOW, address(1), None, &MEDIA), None);
    assert_eq!(router.strays, 1);
}

#[test]
fn an_address_goes_to_who_verified_it_last() {
    let mut router = Router::default();
    let (mut one, mut two) = (Routes::default(), Routes::default());
    router.learn(NOW, &mut one, key(1), address(1));
    assert_eq!(router.route(NOW, address(1), None, &MEDIA), Some(key(1)));
    router.learn(NOW, &mut two, key(2), address(1));
    assert_eq!(router.route(NOW, address(1), None, &MEDIA), Some(key(2)));
    router.remove(key(1), one);
    assert_eq!(router.route(NOW, address(1), None, &MEDIA), Some(key(2)), "not taken along");
    router.remove(key(2), two);
    assert_eq!((router.addresses(), router.route(NOW, address(1), None, &MEDIA)), (0, None));
}

#[test]
fn an_answer_finds_who_asked_once() {
    let mut router = Router::default();
    router.sent(NOW, key(1), &stun(STUN_REQUEST, 7));
    let answer = stun([0x01, 0x01], 7);
    assert_eq!(router.route(NOW, address(9), None, &answer), Some(key(1)));
    assert_eq!(router.route(NOW, address(9), None, &answer), None);
}

#[test]
fn answers_are_awaited_for_a_while_only() {
    let mut router = Router::default();
    let mut now = NOW + CHECK_GENERATION;
    router.sent(now, key(1), &stun(STUN_REQUEST, 1));
    for other in 2..4 {
        now += CHECK_GENERATION;
        router.sent(now, key(1), &stun(STUN_REQUEST, other));
    }
    assert_eq!(router.route(now, address(9), None, &stun([0x01, 0x01], 1)), None);
    assert_eq!(router.route(now, address(9), None, &stun([0x01, 0x11], 2)), Some(key(1)));
}

#[test]
fn a_handshake_that_overtakes_its_check_is_handed_on() {
    let mut router = Router::default();
    let mut routes = Routes::default();
    assert_eq!(router.route(NOW, address(1), None, &DTLS), None);
    assert_eq!(router.route(NOW, address(2), None, &DTLS), None);
    let early = router.learn(NOW, &mut routes, key(1), address(1));
    assert_eq!(early.iter().map(|held| held.from).collect::<Vec<_>>(), [address(1)]);
    assert_eq!(router.held.len(), 1);
}

#[test]
fn what_is_held_is_bounded_and_ages() {
    let mut router = Router::default();
    for port in 0..100 {
        router.route(NOW, address(port), None, &DTLS);
    }
    router.route(NOW, address(1), None, &[22; 1_501]);
    assert_eq!(router.held.len(), MAX_HELD);
    let late = NOW + HOLD + Duration::from_millis(1);
    let mut routes = Routes::default();
    assert_eq!(router.learn(late, &mut routes, key(1), address(99)).len(), 0);
}

#[test]
fn a_peer_that_wanders_keeps_its_last_addresses() {
    let mut router = Router::default();
    let mut routes = Routes::default();
    for port in 0..100 {
        router.learn(NOW, &mut routes, key(1), address(port));
    }
    assert_eq!(router.addresses(), MAX_ADDRESSES);
    assert_eq!(router.route(NOW, address(99), None, &MEDIA), Some(key(1)));
    router.remove(key(1), routes);
    assert_eq!(router.addresses(), 0);
}

#[test]
fn garbage_and_truncated_stun_reach_nobody() {
    let mut router = Router::default();
    router.sent(NOW, key(1), &stun(STUN_REQUEST, 7)[..10]);
    for length in 0..20 {
        assert_eq!(router.route(NOW, address(1), None, &stun([0x01, 0x01], 7)[..length]), None);
        assert_eq!(router.route(NOW, address(1), None, &stun([0x00, 0x01], 7)[..length]), None);
    }
    assert_eq!(router.route(NOW, address(1), None, &[]), None);
}
