//! Packets to a receiver: any sequence number and time, any payload as Opus.
//!
//! Each packet of the input is: length, change of sequence number, change of timestamp in
//! milliseconds, payload.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use remotemedia_core::{AudioFormat, ChannelCount, Micros, SampleRate};
use remotemedia_media::{Receiver, ReceiverConfig, RtpHeader};

fuzz_target!(|bytes: &[u8]| {
    let format = AudioFormat { rate: SampleRate::HZ_16000, channels: ChannelCount::MONO };
    let mut receiver = Receiver::new(ReceiverConfig::new(format)).expect("a rate of Opus");
    let (mut now, mut sequence_number, mut timestamp) = (Micros::ZERO, 0_u16, 0_u32);
    let mut rest = bytes;
    while let [length, step, ticks, tail @ ..] = rest {
        let (payload, next) = tail.split_at(usize::from(*length).min(tail.len()));
        sequence_number = sequence_number.wrapping_add_signed(i16::from(step.cast_signed()));
        timestamp = timestamp.wrapping_add_signed(i32::from(ticks.cast_signed()) * 48);
        let header = RtpHeader { ssrc: 1, sequence_number, timestamp, marker: false };
        receiver.handle_rtp(now, &header, payload);
        while let Some(frame) = receiver.poll_frame() {
            assert!(frame.samples.iter().all(|sample| sample.is_finite()));
        }
        now += Duration::from_millis(20);
        receiver.handle_timeout(now);
        rest = next;
    }
});
