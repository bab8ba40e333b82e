//! The receiver in virtual time: order, loss, silence, and what it reports.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::{Sender, check_order, deliver, drain, network, receiver, wait};
use remotemedia_core::{AudioFormat, ChannelCount, Micros, SampleRate};
use remotemedia_media::opus::OpusError;
use remotemedia_media::{MediaError, Receiver, ReceiverConfig};

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

#[test]
fn packets_in_order_are_given_out_on_arrival() {
    let packets = Sender::plain().packets(50);
    let mut receiver = receiver();
    for (index, packet) in packets.iter().enumerate() {
        receiver.handle_rtp(packet.at, &packet.header, &packet.payload);
        let frame = receiver.poll_frame().unwrap();
        assert_eq!((frame.seq, frame.pts_us), (index as u64, index as u64 * 20_000));
        assert_eq!((frame.rtp_timestamp, frame.arrival), (packet.header.timestamp, packet.at));
        assert_eq!((frame.samples.len(), frame.concealed), (320, false));
        assert!(receiver.poll_frame().is_none());
        assert_eq!(receiver.poll_timeout(), None);
    }
}

#[test]
fn swapped_packets_are_put_in_order_as_soon_as_the_first_is_there() {
    let mut packets = Sender::plain().packets(40);
    packets.swap(30, 31);
    packets[31].at = Micros(packets[30].at.0 + 3_000);
    let mut receiver = receiver();
    let got = deliver(&mut receiver, &packets);
    check_order(&got, 16_000);
    assert_eq!(got.len(), 40);
    assert!(got.iter().all(|frame| !frame.concealed));
    assert_eq!((got[30].at, got[31].at), (packets[31].at, packets[31].at));
    assert_eq!(receiver.stats().reordered, 1);
}

#[test]
fn a_lost_packet_is_recovered_from_the_next_one() {
    let packets = Sender::with_fec().packets(40);
    let mut whole = receiver();
    let expected = deliver(&mut whole, &packets);
    let mut lossy = packets.clone();
    lossy.remove(21);
    let mut receiver = receiver();
    let got = deliver(&mut receiver, &lossy);
    check_order(&got, 16_000);
    assert_eq!(got.len(), 40);
    assert_eq!((receiver.stats().recovered, receiver.stats().concealed), (1, 0));
    assert!(!got[21].concealed);
    assert!((got[21].rms() / expected[21].rms() - 1.0).abs() < 0.3);
    assert_eq!(got[22].pts_us, 22 * 20_000);
}

#[test]
fn without_a_copy_a_lost_packet_is_concealed() {
    let mut packets = Sender::plain().packets(40);
    packets.remove(30);
    let mut receiver = receiver();
    let got = deliver(&mut receiver, &packets);
    check_order(&got, 16_000);
    let concealed: Vec<u64> =
        got.iter().filter(|frame| frame.concealed).map(|frame| frame.seq).collect();
    assert_eq!(concealed, [30]);
    assert_eq!(got[30].rtp_timestamp, packets[29].header.timestamp);
    assert!(got[30].rms() > 0.3 * got[29].rms(), "{}", got[30].rms());
}

#[test]
fn a_gap_is_waited_for_no_longer_than_the_jitter_warrants() {
    let mut packets = Sender::plain().packets(200);
    packets.remove(150);
    let mut receiver = receiver();
    let got = deliver(&mut receiver, &packets);
    let shown = packets[150].at;
    assert_eq!(got[150].at, shown + ms(5), "without jitter");

    let packets = Sender::plain().packets(400);
    let mut jittery = network(7, 0.0, 12_000, 0.0, &packets);
    jittery.retain(|packet| packet.header.sequence_number != 100 + 300);
    let got = deliver(&mut common::receiver(), &jittery);
    let shown = jittery.iter().find(|p| p.header.sequence_number == 100 + 301).unwrap().at;
    let waited = got[300].at.since(shown);
    assert!(waited > ms(8) && waited < ms(25), "{waited:?} with jitter");
}

#[test]
fn the_wait_is_bounded() {
    let packets = Sender::plain().packets(600);
    let mut receiver = receiver();
    deliver(&mut receiver, &network(3, 0.05, 400_000, 0.0, &packets));
    assert_eq!(receiver.stats().wait, ms(60));
}

#[test]
fn a_burst_is_concealed_for_120_ms_and_then_silent() {
    let mut packets = Sender::plain().packets(80);
    packets.drain(30..50);
    let mut receiver = receiver();
    let got = deliver(&mut receiver, &packets);
    check_order(&got, 16_000);
    assert_eq!(got.len(), 80);
    assert_eq!(got[50].pts_us, 50 * 20_000);
    assert!(got[30..50].iter().all(|frame| frame.concealed));
    assert!(got[30].rms() > 0.0);
    assert!(got[36..50].iter().all(|frame| frame.rms() == 0.0));
}

#[test]
fn a_longer_gap_is_a_jump() {
    let mut packets = Sender::plain().packets(300);
    packets.drain(30..180);
    let mut receiver = receiver();
    let got = deliver(&mut receiver, &packets);
    check_order(&got, 16_000);
    assert_eq!(got.iter().filter(|frame| frame.concealed).count(), 6);
    assert_eq!(got[36].pts_us, 180 * 20_000);
    assert_eq!(receiver.stats().jumps, 1);
}

#[test]
fn a_timestamp_that_jumps_hours_is_a_jump_in_media_time() {
    let mut sender = Sender::plain();
    let mut packets = sender.packets(30);
    let hours = 5 * 3_600 * 48_000_u32;
    sender.header.timestamp = sender.header.timestamp.wrapping_add(hours);
    packets.extend(sender.packets(30));
    let got = deliver(&mut receiver(), &packets);
    check_order(&got, 16_000);
    assert!(got.len() <= 66);
    assert_eq!(got.last().unwrap().pts_us, 5 * 3_600_000_000 + 59 * 20_000);
}

#[test]
fn a_timestamp_that_falls_back_does_not_stop_the_stream() {
    let mut sender = Sender::plain();
    let mut packets = sender.packets(30);
    sender.header.timestamp = sender.header.timestamp.wrapping_sub(100 * 48_000);
    packets.extend(sender.packets(30));
    let got = deliver(&mut receiver(), &packets);
    check_order(&got, 16_000);
    assert_eq!((got.len(), got[59].pts_us), (60, 59 * 20_000));
}

#[test]
fn numbers_and_timestamps_wrap() {
    let mut sender = Sender::plain();
    sender.header.sequence_number = u16::MAX - 20;
    sender.header.timestamp = u32::MAX - 20 * 960;
    let mut packets = sender.packets(60);
    packets.remove(21);
    packets.swap(18, 19);
    let got = deliver(&mut receiver(), &packets);
    check_order(&got, 16_000);
    assert_eq!((got.len(), got[59].pts_us), (60, 59 * 20_000));
}

#[test]
fn silence_advances_media_time_by_a_timer() {
    let mut sender = Sender::with_dtx();
    let mut receiver = receiver();
    let mut got = Vec::new();
    let mut sent = 0;
    let mut silent_before = false;
    let start = sender.now;
    // A second of voice, three of silence in which a sender leaves out packets, voice again.
    for index in 0..250 {
        let loud = if (50..200).contains(&index) { 0.0 } else { 0.3 };
        let packet = sender.packet(loud);
        wait(&mut receiver, packet.at, &mut got);
        let silent = packet.payload.len() <= 2;
        if silent && silent_before {
            // Not sent: the next one has its number.
            sender.header.sequence_number = sender.header.sequence_number.wrapping_sub(1);
            continue;
        }
        silent_before = silent;
        sent += 1;
        receiver.handle_rtp(packet.at, &packet.header, &packet.payload);
        drain(&mut receiver, packet.at, &mut got);
        let media = got.last().unwrap().pts_us;
        assert!(media <= packet.at.since(start).as_micros() as u64);
    }
    check_order(&got, 16_000);
    assert!(sent < 150, "{sent} packets");
    assert_eq!(got.len(), 250);
    assert_eq!(got[249].pts_us, 249 * 20_000);
    let stats = receiver.stats();
    assert_eq!((stats.concealed, stats.jumps, stats.packets_lost), (0, 0, 0));
    // In the pause media time kept up with the clock, but for the wait.
    let behind = got[150].at.since(start).as_micros() as u64 - got[150].pts_us;
    assert!(behind <= 45_000, "{behind} us");
    assert!(got[190].rms() < 0.01);
}

#[test]
fn the_timer_stops_when_a_silent_sender_is_gone() {
    let mut sender = Sender::with_dtx();
    let mut receiver = receiver();
    let mut got = Vec::new();
    let last = loop {
        let packet = sender.packet(0.0);
        receiver.handle_rtp(packet.at, &packet.header, &packet.payload);
        drain(&mut receiver, packet.at, &mut got);
        if packet.payload.len() <= 2 {
            break packet;
        }
    };
    let before = got.len();
    wait(&mut receiver, last.at + ms(60_000), &mut got);
    assert!((45..=50).contains(&(got.len() - before)), "{}", got.len() - before);
    assert_eq!(receiver.poll_timeout(), None);
}

#[test]
fn without_dtx_nothing_is_made_up_while_nothing_arrives() {
    let packets = Sender::plain().packets(30);
    let mut receiver = receiver();
    let mut got = deliver(&mut receiver, &packets);
    wait(&mut receiver, packets[29].at + ms(10_000), &mut got);
    assert_eq!(got.len(), 30);
}

#[test]
fn a_new_ssrc_goes_on_in_media_time() {
    let mut first = Sender::plain();
    let mut second = Sender::plain();
    second.header.ssrc = 2;
    second.header.sequence_number = 60_000;
    second.header.timestamp = 9_999;
    let mut packets = first.packets(30);
    second.now = Micros(first.now.0 + 300_000);
    packets.extend(second.packets(30));
    // One of the old source comes afterwards.
    let mut straggler = first.packet(0.3);
    straggler.at = Micros(packets[40].at.0 + 1);
    packets.insert(41, straggler);
    let mut receiver = receiver();
    let got = deliver(&mut receiver, &packets);
    check_order(&got, 16_000);
    assert_eq!(got.len(), 60);
    assert_eq!(got[30].pts_us, 30 * 20_000 + 300_000);
    let stats = receiver.stats();
    assert_eq!((stats.source_changes, stats.late, stats.concealed), (1, 1, 0));
}

#[test]
fn late_packets_and_duplicates_are_dropped_and_counted() {
    let mut packets = Sender::plain().packets(60);
    let mut late = packets.remove(30);
    late.at = Micros(packets[34].at.0 + 1);
    packets.insert(35, late.clone());
    let mut again = packets[50].clone();
    again.at = Micros(again.at.0 + 1);
    packets.insert(51, again);
    let mut receiver = receiver();
    let got = deliver(&mut receiver, &packets);
    check_order(&got, 16_000);
    assert_eq!(got.len(), 60);
    let stats = receiver.stats();
    assert_eq!((stats.late, stats.duplicates, stats.concealed), (1, 1, 1));
    // The late one made the receiver more patient, as far as it may be.
    assert!(stats.wait > ms(50), "{:?}", stats.wait);
}

#[test]
fn packets_without_media_fill_their_place() {
    let mut sender = Sender::plain();
    let mut receiver = receiver();
    let mut got = Vec::new();
    for index in 0..40 {
        let mut packet = sender.packet(0.3);
        if index == 20 {
            packet.payload.clear();
            sender.header.timestamp = packet.header.timestamp;
        }
        receiver.handle_rtp(packet.at, &packet.header, &packet.payload);
        drain(&mut receiver, packet.at, &mut got);
    }
    assert_eq!((got.len(), receiver.stats().concealed), (39, 0));
    assert!(got.iter().all(|frame| !frame.concealed));
}

#[test]
fn a_damaged_packet_is_as_good_as_lost() {
    let mut packets = Sender::plain().packets(40);
    packets[20].payload = vec![0xff, 0xff, 0xff];
    let mut receiver = receiver();
    let got = deliver(&mut receiver, &packets);
    check_order(&got, 16_000);
    assert_eq!(got.len(), 40);
    assert!(got[20].concealed);
    assert_eq!((receiver.stats().undecodable, receiver.stats().concealed), (1, 1));
}

#[test]
fn sender_reports_give_capture_times() {
    let packets = Sender::plain().packets(40);
    let mut receiver = receiver();
    let ntp = 3_900_000_000_u64 << 32;
    // Before the first packet, of another source, and of this one.
    receiver.handle_sender_report(Micros(1), 77, 1 << 32, 0);
    receiver.handle_sender_report(Micros(1), 1, ntp, packets[0].header.timestamp);
    let mut lossy = packets.clone();
    lossy.remove(30);
    let got = deliver(&mut receiver, &lossy);
    for (index, frame) in got.iter().enumerate() {
        let expected = 3_900_000_000_000_000 + index as u64 * 20_000;
        assert_eq!(frame.capture_ntp_us, Some(expected), "frame {index}");
    }
}

#[test]
fn a_report_tells_losses_jitter_and_the_last_sender_report() {
    let mut packets = Sender::plain().packets(100);
    packets.drain(50..60);
    let mut receiver = receiver();
    assert_eq!(receiver.report(Micros(1)), None);
    receiver.handle_sender_report(Micros(900_000), 1, 0xaaaa_0001_8000_bbbb, 0);
    deliver(&mut receiver, &packets);
    let now = packets[89].at + ms(500);
    let report = receiver.report(now).unwrap();
    assert_eq!((report.ssrc, report.cumulative_lost), (1, 10));
    assert_eq!((report.fraction_lost, report.jitter), (25, 0));
    assert_eq!(report.extended_highest_sequence_number, 199);
    assert_eq!(report.last_sr, 0x0001_8000);
    let since = now.since(Micros(900_000)).as_micros() as u64;
    assert_eq!(u64::from(report.delay_since_last_sr), since * 65_536 / 1_000_000);
    assert_eq!(receiver.report(now).unwrap().fraction_lost, 0);
}

#[test]
fn a_bad_network_loses_no_media_time() {
    for seed in 0..4 {
        let packets = Sender::with_fec().packets(500);
        let mut arrived = network(seed, 0.1, 50_000, 0.02, &packets);
        let known = [packets[0].header.sequence_number, packets[499].header.sequence_number];
        arrived.retain(|packet| !known.contains(&packet.header.sequence_number));
        arrived.insert(0, packets[0].clone());
        let last = Micros(arrived[arrived.len() - 1].at.0 + 20_000);
        arrived.push(common::Sent { at: last.max(packets[499].at), ..packets[499].clone() });
        let mut receiver = receiver();
        let got = deliver(&mut receiver, &arrived);
        check_order(&got, 16_000);
        assert_eq!((got.len(), got[499].pts_us), (500, 499 * 20_000), "seed {seed}");
        let stats = receiver.stats();
        let lost = stats.packets_lost as u64 + stats.duplicates + stats.late;
        assert_eq!(stats.concealed + stats.recovered, lost, "seed {seed}: {stats:?}");
        assert!(stats.recovered > stats.concealed, "seed {seed}: {stats:?}");
        let delay = got.iter().map(|frame| frame.at.since(frame.arrival)).max().unwrap();
        assert!(delay <= ms(60), "{delay:?}");
    }
}

#[test]
fn long_packets_and_stereo_are_taken() {
    let format = AudioFormat { rate: SampleRate::HZ_48000, channels: ChannelCount::STEREO };
    let mut receiver = Receiver::new(ReceiverConfig::new(format)).unwrap();
    let packets = Sender::plain().packets(10);
    let got = deliver(&mut receiver, &packets);
    assert!(got.iter().all(|frame| frame.samples.len() == 2 * 960));
    let (left, right) = got[9].samples.split_at(960);
    assert_eq!(left, right);
}

#[test]
fn a_config_out_of_range_is_refused() {
    let format =
        AudioFormat { rate: SampleRate::HZ_16000, channels: ChannelCount::new(4).unwrap() };
    let error = Receiver::new(ReceiverConfig::new(format)).unwrap_err();
    assert!(matches!(error, MediaError::Opus(OpusError::Channels(4))));
    let slow = ReceiverConfig { max_wait: ms(5_000), ..ReceiverConfig::new(AudioFormat::MONO_16K) };
    assert!(matches!(Receiver::new(slow), Err(MediaError::Config { field: "max_wait", .. })));
}

#[test]
fn rates_that_opus_lacks_go_through_a_resampler() {
    let rate = SampleRate::new(44_100).unwrap();
    let format = AudioFormat { rate, channels: ChannelCount::STEREO };
    let packets = Sender::plain().packets(100);
    let mut direct = Receiver::new(ReceiverConfig::new(AudioFormat {
        rate: SampleRate::HZ_48000,
        channels: ChannelCount::MONO,
    }))
    .unwrap();
    let expected: f32 =
        deliver(&mut direct, &packets).iter().map(|frame| frame.rms()).sum::<f32>() / 100.0;
    let mut receiver = Receiver::new(ReceiverConfig::new(format)).unwrap();
    let mut lossy = packets.clone();
    lossy.remove(40);
    let got = deliver(&mut receiver, &lossy);
    let mut samples = 0;
    for (index, frame) in got.iter().enumerate() {
        assert_eq!(frame.seq, index as u64);
        assert_eq!(frame.pts_us, samples * 1_000_000 / 44_100);
        samples += frame.samples.len() as u64 / 2;
    }
    // Two seconds less the resampler's latency.
    assert!((88_200 - samples) < 441, "{samples}");
    let level = got.iter().map(|frame| frame.rms()).sum::<f32>() / got.len() as f32;
    assert!((level / expected - 1.0).abs() < 0.1, "{level} {expected}");
}

#[test]
fn a_jump_restarts_the_resampler_at_the_right_time() {
    let format =
        AudioFormat { rate: SampleRate::new(22_050).unwrap(), channels: ChannelCount::MONO };
    let mut packets = Sender::plain().packets(300);
    packets.drain(30..180);
    let got = deliver(&mut Receiver::new(ReceiverConfig::new(format)).unwrap(), &packets);
    let after = got.iter().find(|frame| frame.pts_us >= 180 * 20_000).unwrap();
    assert_eq!(after.pts_us, 180 * 20_000);
    for pair in got.windows(2) {
        let end = pair[0].pts_us + pair[0].samples.len() as u64 * 1_000_000 / 22_050;
        assert!(pair[1].pts_us + 1 >= end);
    }
}
