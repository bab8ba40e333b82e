//! Nanoseconds for one result message into a kept buffer: `cargo bench -p remotemedia-wire`.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use remotemedia_wire::{ResultBody, ResultHeader, write_result};

fn main() {
    const ROUNDS: u32 = 2_000_000;
    let mut out = Vec::with_capacity(512);
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        for round in 0..ROUNDS {
            out.clear();
            let header = ResultHeader {
                session: "0b54f1a2c6d84e6f9a7b1c2d3e4f5061",
                participant: "7f1a2b3c4d5e6f708192a3b4c5d6e7f8",
                stream: "audio",
                node: "vad",
                seq: u64::from(round),
                pts_us: u64::from(round) * 32_000,
                rtp_timestamp: round.wrapping_mul(960),
                latency_us: 431,
            };
            let body = ResultBody::Vad { speech: round & 64 == 0, probability: 0.9731 };
            write_result(&mut out, black_box(&header), black_box(&body));
            black_box(&out);
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS));
    }
    println!("write_result: {best:.0} ns a message of {} bytes", out.len());
}
