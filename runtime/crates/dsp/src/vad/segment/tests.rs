use proptest::prelude::*;

use super::SpeechEvent::{Started, Stopped};
use super::*;

/// Windows of the tests, in microseconds.
const WINDOW: u64 = 20_000;

fn ms(millis: u64) -> u64 {
    millis * 1_000
}

fn params(min_speech: u64, min_silence: u64, speech_pad: u64) -> SegmentParams {
    SegmentParams {
        min_speech: Duration::from_millis(min_speech),
        min_silence: Duration::from_millis(min_silence),
        speech_pad: Duration::from_millis(speech_pad),
        ..SegmentParams::default()
    }
}

/// Feeds windows from time `from`; gives each event with the end of the window it came with.
fn feed(segmenter: &mut Segmenter, from: u64, probabilities: &[f32]) -> Vec<(u64, SpeechEvent)> {
    let mut events = Vec::new();
    for (n, probability) in (0..).zip(probabilities) {
        let start = from + n * WINDOW;
        let (_, event) = segmenter.push(start, start + WINDOW, *probability);
        events.extend(event.map(|event| (start + WINDOW, event)));
    }
    events
}

/// `counts` windows of speech, silence, speech, ...
fn pattern(counts: &[usize]) -> Vec<f32> {
    let levels = [0.9, 0.1].into_iter().cycle();
    counts.iter().zip(levels).flat_map(|(count, level)| vec![level; *count]).collect()
}

#[test]
fn speech_starts_once_it_has_lasted_and_stops_once_silence_has() {
    let mut segmenter = Segmenter::new(params(60, 100, 30));
    let events = feed(&mut segmenter, ms(100), &pattern(&[10, 10]));
    assert_eq!(
        events,
        [
            (ms(160), Started { at_us: ms(70), onset_us: ms(100), probability: 0.9 }),
            (ms(400), Stopped { at_us: ms(330), started_at_us: ms(70), end_us: ms(300) }),
        ]
    );
}

#[test]
fn the_padding_does_not_reach_before_the_stream() {
    let mut segmenter = Segmenter::new(params(20, 100, 30));
    let events = feed(&mut segmenter, ms(10), &[0.9]);
    assert_eq!(events, [(ms(30), Started { at_us: 0, onset_us: ms(10), probability: 0.9 })]);
}

#[test]
fn the_padding_does_not_reach_into_the_previous_speech() {
    let mut segmenter = Segmenter::new(params(20, 40, 30));
    let events = feed(&mut segmenter, 0, &pattern(&[2, 2, 2]));
    assert_eq!(
        events,
        [
            (ms(20), Started { at_us: 0, onset_us: 0, probability: 0.9 }),
            (ms(80), Stopped { at_us: ms(70), started_at_us: 0, end_us: ms(40) }),
            (ms(100), Started { at_us: ms(70), onset_us: ms(80), probability: 0.9 }),
        ]
    );
}

#[test]
fn the_padding_does_not_reach_into_the_future() {
    let mut segmenter = Segmenter::new(params(20, 40, 500));
    let events = feed(&mut segmenter, 0, &pattern(&[2, 2]));
    assert_eq!(events[1], (ms(80), Stopped { at_us: ms(80), started_at_us: 0, end_us: ms(40) }));
}

#[test]
fn speech_that_is_too_short_is_not_reported() {
    let mut segmenter = Segmenter::new(params(60, 100, 30));
    assert_eq!(feed(&mut segmenter, 0, &pattern(&[2, 20])), []);
    assert_eq!(segmenter.flush(ms(440)), None);
}

#[test]
fn speech_of_exactly_the_least_length_is_reported() {
    let mut segmenter = Segmenter::new(params(60, 100, 0));
    assert_eq!(feed(&mut segmenter, 0, &pattern(&[3])).len(), 1);
}

#[test]
fn short_bursts_far_apart_do_not_add_up() {
    let mut segmenter = Segmenter::new(params(60, 100, 0));
    assert_eq!(feed(&mut segmenter, 0, &pattern(&[2, 5, 2, 5, 2, 5])), []);
}

#[test]
fn a_dip_before_the_start_is_part_of_the_speech() {
    let mut segmenter = Segmenter::new(params(100, 100, 0));
    let events = feed(&mut segmenter, 0, &pattern(&[2, 2, 2]));
    assert_eq!(events, [(ms(100), Started { at_us: 0, onset_us: 0, probability: 0.9 })]);
}

#[test]
fn speech_does_not_start_in_a_silent_window() {
    let mut segmenter = Segmenter::new(params(60, 100, 0));
    assert_eq!(feed(&mut segmenter, 0, &pattern(&[2, 4])), []);
}

#[test]
fn silence_that_is_too_short_does_not_stop_speech() {
    let mut segmenter = Segmenter::new(params(20, 100, 0));
    let events = feed(&mut segmenter, 0, &pattern(&[3, 4, 3, 5]));
    assert_eq!(
        events[1..],
        [(ms(300), Stopped { at_us: ms(200), started_at_us: 0, end_us: ms(200) })]
    );
}

#[test]
fn between_the_thresholds_the_last_decision_holds() {
    let mut segmenter = Segmenter::new(params(0, 1_000, 0));
    let decisions: Vec<bool> = (0..)
        .zip([0.4, 0.5, 0.4, 0.35, 0.34, 0.4, 0.49, 0.5])
        .map(|(n, p)| segmenter.push(n * WINDOW, (n + 1) * WINDOW, p).0)
        .collect();
    assert_eq!(decisions, [false, true, true, true, false, false, false, true]);
}

#[test]
fn only_the_upper_threshold_ends_a_silence() {
    let mut segmenter = Segmenter::new(params(0, 60, 0));
    let events = feed(&mut segmenter, 0, &[0.9, 0.1, 0.4, 0.4, 0.9]);
    assert_eq!(
        events[1..],
        [
            (ms(80), Stopped { at_us: ms(20), started_at_us: 0, end_us: ms(20) }),
            (ms(100), Started { at_us: ms(80), onset_us: ms(80), probability: 0.9 }),
        ]
    );
}

#[test]
fn without_least_lengths_every_change_is_an_event() {
    let mut segmenter = Segmenter::new(params(0, 0, 0));
    let events = feed(&mut segmenter, 0, &pattern(&[1, 1, 1, 1]));
    assert_eq!(
        events,
        [
            (ms(20), Started { at_us: 0, onset_us: 0, probability: 0.9 }),
            (ms(40), Stopped { at_us: ms(20), started_at_us: 0, end_us: ms(20) }),
            (ms(60), Started { at_us: ms(40), onset_us: ms(40), probability: 0.9 }),
            (ms(80), Stopped { at_us: ms(60), started_at_us: ms(40), end_us: ms(60) }),
        ]
    );
}

#[test]
fn the_end_of_the_stream_stops_speech() {
    let mut segmenter = Segmenter::new(params(20, 100, 30));
    feed(&mut segmenter, 0, &pattern(&[5]));
    let stopped = Stopped { at_us: ms(100), started_at_us: 0, end_us: ms(100) };
    assert_eq!(segmenter.flush(ms(100)), Some(stopped));
    assert_eq!(segmenter.flush(ms(100)), None);
}

#[test]
fn the_end_of_the_stream_within_a_silence_stops_speech_where_that_began() {
    let mut segmenter = Segmenter::new(params(20, 100, 30));
    feed(&mut segmenter, 0, &pattern(&[5, 3]));
    let stopped = Stopped { at_us: ms(130), started_at_us: 0, end_us: ms(100) };
    assert_eq!(segmenter.flush(ms(160)), Some(stopped));
}

#[test]
fn a_stream_goes_on_after_a_flush() {
    let mut segmenter = Segmenter::new(params(20, 100, 30));
    feed(&mut segmenter, 0, &pattern(&[5]));
    segmenter.flush(ms(100));
    let events = feed(&mut segmenter, ms(100), &[0.9]);
    let started = Started { at_us: ms(100), onset_us: ms(100), probability: 0.9 };
    assert_eq!(events, [(ms(120), started)]);
}

#[test]
fn a_flush_before_the_first_window_is_nothing() {
    assert_eq!(Segmenter::default().flush(0), None);
}

#[test]
fn a_long_gap_between_windows_stops_speech() {
    let mut segmenter = Segmenter::new(params(20, 100, 30));
    feed(&mut segmenter, 0, &pattern(&[5]));
    let (speech, event) = segmenter.push(ms(5_000), ms(5_020), 0.9);
    assert!(speech);
    assert_eq!(event, Some(Stopped { at_us: ms(130), started_at_us: 0, end_us: ms(100) }));
    let (_, event) = segmenter.push(ms(5_020), ms(5_040), 0.8);
    let started = Started { at_us: ms(4_970), onset_us: ms(5_000), probability: 0.8 };
    assert_eq!(event, Some(started));
}

#[test]
fn a_gap_forgets_the_hysteresis() {
    let mut segmenter = Segmenter::new(params(20, 100, 30));
    feed(&mut segmenter, 0, &pattern(&[5]));
    assert!(!segmenter.push(ms(5_000), ms(5_020), 0.4).0);
}

#[test]
fn a_short_gap_between_windows_is_a_dip() {
    let mut segmenter = Segmenter::new(params(20, 100, 30));
    feed(&mut segmenter, 0, &pattern(&[5]));
    assert_eq!(segmenter.push(ms(150), ms(170), 0.9), (true, None));
    assert_eq!(feed(&mut segmenter, ms(170), &pattern(&[0, 4])), []);
    let events = feed(&mut segmenter, ms(250), &[0.1]);
    assert_eq!(events, [(ms(270), Stopped { at_us: ms(200), started_at_us: 0, end_us: ms(170) })]);
}

#[test]
fn a_gap_and_the_silence_after_it_add_up() {
    let mut segmenter = Segmenter::new(params(20, 100, 0));
    feed(&mut segmenter, 0, &pattern(&[5]));
    let events = feed(&mut segmenter, ms(160), &[0.1, 0.1]);
    assert_eq!(events, [(ms(200), Stopped { at_us: ms(100), started_at_us: 0, end_us: ms(100) })]);
}

#[test]
fn a_probability_that_is_no_number_is_silence() {
    let mut segmenter = Segmenter::new(params(20, 20, 0));
    feed(&mut segmenter, 0, &[0.9, 0.9]);
    let (speech, event) = segmenter.push(ms(40), ms(60), f32::NAN);
    assert!(!speech);
    assert_eq!(event, Some(Stopped { at_us: ms(40), started_at_us: 0, end_us: ms(40) }));
}

#[test]
fn parameters_change_while_speech_is_under_way() {
    let mut segmenter = Segmenter::new(params(20, 1_000, 0));
    feed(&mut segmenter, 0, &pattern(&[2, 2]));
    segmenter.set_params(params(20, 60, 0));
    let events = feed(&mut segmenter, ms(80), &[0.1]);
    assert_eq!(events, [(ms(100), Stopped { at_us: ms(40), started_at_us: 0, end_us: ms(40) })]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes, starts and stops alternate in order, none overlaps another, and none
    /// reaches beyond what was heard.
    #[test]
    fn events_are_always_in_order(
        windows in prop::collection::vec((0.0_f32..1.0, 0_u64..4), 0..200),
        (min_speech, min_silence, speech_pad) in (0_u64..200, 0_u64..200, 0_u64..200),
    ) {
        let mut segmenter = Segmenter::new(params(min_speech, min_silence, speech_pad));
        let mut now = 0;
        let mut events = Vec::new();
        for (probability, gap) in windows {
            let start = now + if gap == 3 { ms(70) } else { 0 };
            now = start + WINDOW;
            events.extend(segmenter.push(start, now, probability).1.map(|event| (now, event)));
        }
        events.extend(segmenter.flush(now).map(|event| (now, event)));
        let mut last = 0;
        let mut open = None;
        for (now, event) in events {
            match event {
                Started { at_us, onset_us, .. } => {
                    prop_assert!(open.is_none());
                    prop_assert!(last <= at_us && at_us <= onset_us && onset_us < now);
                    open = Some(at_us);
                    last = at_us;
                }
                Stopped { at_us, started_at_us, end_us } => {
                    prop_assert_eq!(open.take(), Some(started_at_us));
                    prop_assert!(last <= at_us && end_us <= at_us && at_us <= now);
                    last = at_us;
                }
            }
        }
        prop_assert!(open.is_none());
    }
}
