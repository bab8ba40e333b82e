use std::collections::BTreeMap;

use super::*;

const RESULTS: ChannelId = ChannelId(0);
const LIVE: ChannelId = ChannelId(2);
const NOW: Micros = Micros(1_000_000);

/// Channels that take `capacity` bytes each until they are read.
struct FakeLink {
    capacity: usize,
    largest: usize,
    waiting: BTreeMap<ChannelId, Vec<String>>,
    read: BTreeMap<ChannelId, Vec<String>>,
}

impl FakeLink {
    fn new(capacity: usize) -> FakeLink {
        FakeLink { capacity, largest: 64 * 1024, waiting: BTreeMap::new(), read: BTreeMap::new() }
    }

    /// The other side reads everything of a channel.
    fn read_all(&mut self, channel: ChannelId) {
        let texts = self.waiting.remove(&channel).unwrap_or_default();
        self.read.entry(channel).or_default().extend(texts);
    }

    fn read(&self, channel: ChannelId) -> &[String] {
        self.read.get(&channel).map_or(&[], Vec::as_slice)
    }
}

impl Link for FakeLink {
    fn send(&mut self, channel: ChannelId, text: &[u8]) -> Result<(), SendError> {
        if text.len() > self.largest {
            return Err(SendError::TooLarge);
        }
        if self.buffered(channel) + text.len() > self.capacity {
            return Err(SendError::Full);
        }
        let text = String::from_utf8(text.to_vec()).unwrap();
        self.waiting.entry(channel).or_default().push(text);
        Ok(())
    }

    fn buffered(&mut self, channel: ChannelId) -> usize {
        self.waiting.get(&channel).map_or(0, |texts| texts.iter().map(String::len).sum())
    }
}

fn open(live: bool) -> Outbox {
    let mut outbox = Outbox::new(true);
    outbox.open_results(RESULTS);
    if live {
        outbox.open_live(LIVE);
    }
    outbox
}

fn key(node: &str) -> LiveKey<'_> {
    LiveKey { kind: "vad", node, stream: Some(StreamId(0)) }
}

/// A text of `len` bytes that begins with `name`.
fn text(name: &str, len: usize) -> Vec<u8> {
    let mut text = name.to_owned();
    text.extend(std::iter::repeat_n('.', len - name.len()));
    text.into_bytes()
}

fn names(texts: &[String]) -> Vec<&str> {
    texts.iter().map(|text| text.trim_end_matches('.')).collect()
}

#[test]
fn events_go_to_results_with_a_copy_on_live() {
    let (mut outbox, mut link) = (open(true), FakeLink::new(1 << 24));
    outbox.event(NOW, &mut link, b"start").unwrap();
    outbox.live(&mut link, key("vad"), b"window");
    link.read_all(RESULTS);
    link.read_all(LIVE);
    assert_eq!(link.read(RESULTS), ["start"]);
    assert_eq!(link.read(LIVE), ["start", "window"]);
    assert_eq!(outbox.stats().messages, 2);
}

#[test]
fn without_a_live_channel_everything_goes_to_results() {
    let (mut outbox, mut link) = (open(false), FakeLink::new(1 << 24));
    outbox.live(&mut link, key("vad"), b"window");
    outbox.event(NOW, &mut link, b"start").unwrap();
    link.read_all(RESULTS);
    assert_eq!(link.read(RESULTS), ["window", "start"]);
}

#[test]
fn a_full_channel_keeps_the_newest_of_each_kind_and_counts_the_others() {
    let (mut outbox, mut link) = (open(false), FakeLink::new(1 << 24));
    let count = MAX_LIVE_BYTES / 1_000;
    for index in 0..count + 10 {
        outbox.live(&mut link, key("vad"), &text(&format!("v{index}"), 1_000));
    }
    outbox.live(&mut link, key("other"), &text("other", 1_000));
    assert!(link.buffered(RESULTS) <= MAX_LIVE_BYTES);
    assert_eq!(outbox.stats().coalesced, 9);
    assert_eq!(outbox.pump(NOW, &mut link), Ok(None), "still full");
    link.read_all(RESULTS);
    assert_eq!(outbox.pump(NOW, &mut link), Ok(Some(9)), "reported once");
    assert_eq!(outbox.pump(NOW, &mut link), Ok(None));
    link.read_all(RESULTS);
    let newest = format!("v{}", count + 9);
    assert_eq!(names(&link.read(RESULTS)[count..]), [newest.as_str(), "other"]);
}

#[test]
fn a_channel_full_of_windows_still_takes_every_event() {
    let (mut outbox, mut link) = (open(false), FakeLink::new(1 << 24));
    for index in 0..1_000 {
        outbox.live(&mut link, key("vad"), &text("window", 1_000));
        if index % 100 == 0 {
            outbox.event(NOW, &mut link, format!("event {index}").as_bytes()).unwrap();
        }
    }
    link.read_all(RESULTS);
    let events = link.read(RESULTS).iter().filter(|text| text.starts_with("event")).count();
    assert_eq!(events, 10);
}

#[test]
fn events_wait_here_when_the_channel_takes_no_more_and_keep_their_order() {
    let (mut outbox, mut link) = (open(false), FakeLink::new(2_500));
    for index in 0..5 {
        outbox.event(NOW, &mut link, &text(&format!("e{index}"), 1_000)).unwrap();
    }
    for _ in 0..3 {
        link.read_all(RESULTS);
        outbox.pump(NOW, &mut link).unwrap();
    }
    assert_eq!(names(link.read(RESULTS)), ["e0", "e1", "e2", "e3", "e4"]);
    assert!(outbox.is_drained(&mut link));
}

#[test]
fn a_megabyte_of_undelivered_events_is_too_much() {
    for capacity in [1 << 24, 10_000] {
        let (mut outbox, mut link) = (open(true), FakeLink::new(capacity));
        let mut taken = 0;
        while outbox.event(NOW, &mut link, &text("e", 10_000)).is_ok() {
            taken += 10_000;
        }
        assert!(taken <= MAX_EVENT_BYTES && taken > MAX_EVENT_BYTES - 10_000, "{taken}");
    }
}

#[test]
fn an_event_that_waits_ten_seconds_is_too_much() {
    for capacity in [1 << 24, 100] {
        let (mut outbox, mut link) = (open(false), FakeLink::new(capacity));
        outbox.event(NOW, &mut link, &text("first", 80)).unwrap();
        outbox.event(NOW, &mut link, &text("second", 80)).unwrap();
        assert!(outbox.pump(NOW + MAX_EVENT_AGE, &mut link).is_ok());
        let late = NOW + MAX_EVENT_AGE + Duration::from_millis(1);
        assert!(outbox.pump(late, &mut link).is_err());
    }
}

#[test]
fn a_reader_that_always_has_something_to_read_is_not_slow() {
    let (mut outbox, mut link) = (open(false), FakeLink::new(1 << 24));
    let mut now = NOW;
    for index in 0..200 {
        outbox.event(now, &mut link, format!("e{index}").as_bytes()).unwrap();
        now += Duration::from_millis(200);
        // All but the last two are read: the channel is never empty.
        let waiting = link.waiting.entry(RESULTS).or_default();
        let read = waiting.len().saturating_sub(2);
        waiting.drain(..read);
        outbox.pump(now, &mut link).unwrap();
    }
}

#[test]
fn windows_alone_never_make_a_reader_slow() {
    let (mut outbox, mut link) = (open(false), FakeLink::new(1 << 24));
    for second in 0..60 {
        outbox.live(&mut link, key("vad"), &text("window", 10_000));
        outbox.pump(NOW + Duration::from_secs(second), &mut link).unwrap();
    }
}

#[test]
fn events_before_the_channel_opens_are_kept_within_bounds() {
    let (mut outbox, mut link) = (Outbox::new(true), FakeLink::new(1 << 24));
    for index in 0..MAX_BACKLOG + 3 {
        outbox.event(NOW, &mut link, format!("e{index}").as_bytes()).unwrap();
    }
    outbox.live(&mut link, key("vad"), b"window");
    outbox.open_results(RESULTS);
    outbox.event(NOW, &mut link, b"ready").unwrap();
    outbox.release_backlog(NOW, &mut link).unwrap();
    link.read_all(RESULTS);
    assert_eq!(link.read(RESULTS)[..2], ["ready", "e3"]);
    assert_eq!((link.read(RESULTS).len(), outbox.stats().dropped), (MAX_BACKLOG + 1, 3));
}

#[test]
fn without_a_negotiated_channel_nothing_is_kept() {
    let (mut outbox, mut link) = (Outbox::new(false), FakeLink::new(1 << 24));
    outbox.event(NOW, &mut link, b"start").unwrap();
    assert!(outbox.backlog.is_empty() && outbox.is_drained(&mut link));
    assert_eq!(outbox.stats(), OutboxStats::default());
}

#[test]
fn a_message_larger_than_the_other_side_takes_is_counted() {
    let (mut outbox, mut link) = (open(false), FakeLink::new(1 << 24));
    link.largest = 10;
    outbox.event(NOW, &mut link, &text("event", 20)).unwrap();
    outbox.live(&mut link, key("vad"), &text("window", 20));
    let OutboxStats { messages, dropped, too_large, .. } = outbox.stats();
    assert_eq!((messages, dropped, too_large), (0, 2, 2));
}

#[test]
fn a_closed_channel_frees_what_waited() {
    let (mut outbox, mut link) = (open(false), FakeLink::new(100));
    outbox.event(NOW, &mut link, &text("first", 80)).unwrap();
    outbox.event(NOW, &mut link, &text("second", 80)).unwrap();
    outbox.live(&mut link, key("vad"), b"window");
    outbox.close_channel(RESULTS);
    assert!(outbox.kept.is_empty() && outbox.queued.is_empty() && outbox.marks.is_empty());
    assert_eq!(outbox.stats().dropped, 1);
}

#[test]
fn who_is_away_is_not_slow() {
    let (mut outbox, mut link) = (open(false), FakeLink::new(1 << 24));
    outbox.event(NOW, &mut link, b"event").unwrap();
    outbox.set_absent(NOW + Duration::from_secs(5), true);
    assert!(outbox.pump(NOW + Duration::from_secs(25), &mut link).is_ok());
    outbox.set_absent(NOW + Duration::from_secs(25), false);
    assert!(outbox.pump(NOW + Duration::from_secs(34), &mut link).is_ok());
    assert!(outbox.pump(NOW + Duration::from_secs(36), &mut link).is_err());
}
