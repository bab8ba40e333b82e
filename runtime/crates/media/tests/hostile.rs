//! Whatever arrives, whenever: nothing panics, media time never falls back, and no more is made up
//! than time passes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Sender, check_order, drain};
use proptest::prelude::*;
use remotemedia_core::{AudioFormat, ChannelCount, Micros, SampleRate};
use remotemedia_media::{Receiver, ReceiverConfig, RtpHeader};

/// One call to the receiver.
#[derive(Clone, Debug)]
enum Call {
    /// After `wait_us`, a packet whose header differs from the last one's by these steps.
    Packet {
        wait_us: u64,
        ssrc: u32,
        number_step: u16,
        timestamp_step: u32,
        payload: Payload,
    },
    Wait {
        wait_us: u64,
    },
    /// Time may also be told wrongly.
    Back,
    SenderReport {
        ssrc: u32,
        ntp: u64,
        timestamp: u32,
    },
    Report,
}

#[derive(Clone, Debug)]
enum Payload {
    Opus(usize),
    Damaged { packet: usize, at: usize, byte: u8 },
    Bytes(Vec<u8>),
    Huge,
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        6 => (0..40_usize).prop_map(Payload::Opus),
        2 => (0..40_usize, 0..60_usize, any::<u8>())
            .prop_map(|(packet, at, byte)| Payload::Damaged { packet, at, byte }),
        2 => prop::collection::vec(any::<u8>(), 0..80).prop_map(Payload::Bytes),
        1 => Just(Payload::Huge),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let number_step = prop_oneof![
        8 => Just(1_u16), 2 => 0..5_u16, 2 => Just(u16::MAX), 1 => any::<u16>()
    ];
    let timestamp_step = prop_oneof![
        8 => Just(960_u32), 2 => 0..10_000_u32, 1 => Just(0_u32.wrapping_sub(960)),
        1 => any::<u32>()
    ];
    let wait_us = prop_oneof![
        8 => Just(20_000_u64), 2 => 0..100_000_u64, 1 => 0..10_000_000_u64
    ];
    prop_oneof![
        12 => (wait_us, prop_oneof![9 => Just(1_u32), 1 => 0..3_u32], number_step, timestamp_step,
               payload())
            .prop_map(|(wait_us, ssrc, number_step, timestamp_step, payload)| Call::Packet {
                wait_us, ssrc, number_step, timestamp_step, payload
            }),
        3 => (0..2_000_000_u64).prop_map(|wait_us| Call::Wait { wait_us }),
        1 => Just(Call::Back),
        1 => (0..3_u32, any::<u64>(), any::<u32>())
            .prop_map(|(ssrc, ntp, timestamp)| Call::SenderReport { ssrc, ntp, timestamp }),
        1 => Just(Call::Report),
    ]
}

/// Valid packets of all sorts, made once.
fn opus() -> &'static [Vec<u8>] {
    static PACKETS: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    PACKETS.get_or_init(|| {
        let mut dtx = Sender::with_dtx();
        let silence = (0..15).map(|_| dtx.packet(0.0));
        Sender::with_fec().packets(25).into_iter().chain(silence).map(|sent| sent.payload).collect()
    })
}

fn bytes_of(payload: &Payload) -> Vec<u8> {
    match payload {
        Payload::Opus(packet) => opus()[*packet].clone(),
        Payload::Damaged { packet, at, byte } => {
            let mut bytes = opus()[*packet].clone();
            let at = at % bytes.len();
            bytes[at] = *byte;
            bytes
        }
        Payload::Bytes(bytes) => bytes.clone(),
        Payload::Huge => vec![0x08; 2_000],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_arrives_does_harm(
        calls in prop::collection::vec(call(), 1..120),
        number in any::<u16>(), timestamp in any::<u32>(), drained in any::<bool>(),
        (rate, channels) in prop_oneof![
            3 => Just((16_000, 1)), 1 => Just((48_000, 2)), 1 => Just((44_100, 1))
        ],
    ) {
        let format = AudioFormat {
            rate: SampleRate::new(rate).unwrap(),
            channels: ChannelCount::new(channels).unwrap(),
        };
        let mut receiver = Receiver::new(ReceiverConfig::new(format)).unwrap();
        let values_a_second = u64::from(rate) * u64::from(channels);
        let mut header =
            RtpHeader { ssrc: 1, sequence_number: number, timestamp, marker: false };
        let mut now = Micros(5_000_000);
        let start = now;
        let mut got = Vec::new();
        for call in &calls {
            match call {
                Call::Packet { wait_us, ssrc, number_step, timestamp_step, payload } => {
                    now = Micros(now.0 + wait_us);
                    header.ssrc = *ssrc;
                    header.sequence_number = header.sequence_number.wrapping_add(*number_step);
                    header.timestamp = header.timestamp.wrapping_add(*timestamp_step);
                    receiver.handle_rtp(now, &header, &bytes_of(payload));
                }
                Call::Wait { wait_us } => {
                    now = Micros(now.0 + wait_us);
                    receiver.handle_timeout(now);
                }
                Call::Back => receiver.handle_timeout(Micros(now.0 / 2)),
                Call::SenderReport { ssrc, ntp, timestamp } => {
                    receiver.handle_sender_report(now, *ssrc, *ntp, *timestamp);
                }
                Call::Report => {
                    receiver.report(now);
                }
            }
            if drained {
                drain(&mut receiver, now, &mut got);
                // A driver that sleeps until the timeout does not spin.
                prop_assert!(receiver.poll_timeout().is_none_or(|due| due > now));
            }
            prop_assert!(receiver.stats().pending <= 64);
        }
        drain(&mut receiver, now, &mut got);
        check_order(&got, values_a_second);
        check_bounds(&receiver, &got, values_a_second, now.since(start).as_micros() as u64)?;
    }
}

fn check_bounds(
    receiver: &Receiver,
    got: &[common::Got],
    values_a_second: u64,
    passed_us: u64,
) -> Result<(), TestCaseError> {
    let mut made_up = 0;
    for frame in got {
        prop_assert!(frame.samples.iter().all(|sample| (-1.0..=1.0).contains(sample)));
        // 120 ms, and what a resampler held back.
        let most = values_a_second as usize / 1_000 * 125;
        prop_assert!(!frame.samples.is_empty() && frame.samples.len() <= most);
        if frame.concealed {
            made_up += frame.samples.len() as u64 * 1_000_000 / values_a_second;
        }
    }
    // Silent packets are concealed frames that did arrive: at most 120 ms each.
    let silent_packets = receiver.stats().packets_received * 120_000;
    prop_assert!(made_up <= 2 * passed_us + 1_000_000 + silent_packets);
    Ok(())
}
