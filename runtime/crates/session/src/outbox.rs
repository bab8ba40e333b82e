//! One participant's results on their way out: which channel, what may wait, what may be replaced,
//! and when a reader is too slow.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use remotemedia_core::{Micros, StreamId};
use remotemedia_peer::{ChannelId, SendError};

/// Live results outstanding on their channel, in bytes; past this the newest of each kind is kept
/// and the others are replaced, counted.
pub const MAX_LIVE_BYTES: usize = 256 * 1024;

/// Events outstanding on the results channel, in bytes; past this the reader is too slow and its
/// connection is closed.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// How long an event may stay undelivered before the reader is too slow.
pub const MAX_EVENT_AGE: Duration = Duration::from_secs(10);

/// Events kept for a channel that was negotiated and has not opened yet; then the oldest goes,
/// counted.
pub const MAX_BACKLOG: usize = 64;

/// Kinds of live results (by type, node and stream) of which the newest is kept while a channel is
/// full; further ones are lost, counted.
const MAX_KEPT: usize = 256;

/// Events are dated this finely.
const MARK_STEP: Duration = Duration::from_millis(100);

/// A channel's sending side.
pub(crate) trait Link {
    /// Hands a text message to a channel.
    fn send(&mut self, channel: ChannelId, text: &[u8]) -> Result<(), SendError>;
    /// Bytes that the other side has not acknowledged.
    fn buffered(&mut self, channel: ChannelId) -> usize;
}

/// What a live result is about: a newer one of the same replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LiveKey<'a> {
    pub(crate) kind: &'static str,
    pub(crate) node: &'a str,
    pub(crate) stream: Option<StreamId>,
}

/// The reader is too slow; the text says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlowReader(pub(crate) &'static str);

struct Kept {
    kind: &'static str,
    node: Arc<str>,
    stream: Option<StreamId>,
    text: Vec<u8>,
}

/// What an outbox has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutboxStats {
    /// Messages handed to a channel, copies not counted.
    pub(crate) messages: u64,
    /// Live results replaced by newer ones.
    pub(crate) coalesced: u64,
    /// Messages lost: events before the channel opened, and what is larger than the other side
    /// takes.
    pub(crate) dropped: u64,
    /// Of these, those larger than the other side takes.
    pub(crate) too_large: u64,
}

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Outbox {
    results: Option<ChannelId>,
    live: Option<ChannelId>,
    /// A channel was negotiated and none has opened yet.
    waiting_for_channel: bool,
    backlog: VecDeque<Vec<u8>>,
    /// Events that the channel had no room for.
    queued: VecDeque<Vec<u8>>,
    queued_bytes: usize,
    /// Bytes that the results channel took since it opened.
    sent: u64,
    /// Undelivered events: where they end in the stream of bytes, and since when they wait.
    marks: VecDeque<(u64, Micros)>,
    kept: Vec<Kept>,
    /// Nothing is heard of the other side: events wait for it and age no further.
    absent: bool,
    unreported: u64,
    stats: OutboxStats,
}

impl Outbox {
    pub(crate) fn new(expects_channel: bool) -> Outbox {
        Outbox { waiting_for_channel: expects_channel, ..Outbox::default() }
    }

    pub(crate) fn results(&self) -> Option<ChannelId> {
        self.results
    }

    pub(crate) fn live_channel(&self) -> Option<ChannelId> {
        self.live
    }

    pub(crate) fn stats(&self) -> OutboxStats {
        self.stats
    }

    /// A negotiation added a channel or took the hope for one.
    pub(crate) fn expect_channel(&mut self, expected: bool) {
        self.waiting_for_channel = expected && self.results.is_none();
    }

    /// Results go to this channel from now on. The caller sends `ready`, then calls
    /// [`Outbox::release_backlog`].
    pub(crate) fn open_results(&mut self, channel: ChannelId) {
        self.results = Some(channel);
        self.waiting_for_channel = false;
        self.sent = 0;
        self.marks.clear();
        self.queued.clear();
        self.queued_bytes = 0;
    }

    pub(crate) fn open_live(&mut self, channel: ChannelId) {
        self.live = Some(channel);
    }

    pub(crate) fn close_channel(&mut self, channel: ChannelId) {
        if self.live == Some(channel) {
            self.live = None;
        }
        if self.results == Some(channel) {
            self.results = None;
            self.stats.dropped += self.queued.len() as u64;
            self.queued.clear();
            self.queued_bytes = 0;
            self.marks.clear();
        }
        if self.results.is_none() {
            self.kept.clear();
        }
    }

    /// Sends the events that came before the channel did.
    pub(crate) fn release_backlog(
        &mut self,
        now: Micros,
        link: &mut impl Link,
    ) -> Result<(), SlowReader> {
        while let Some(text) = self.backlog.pop_front() {
            self.event(now, link, &text)?;
        }
        Ok(())
    }

    /// Where live results go. Nothing goes anywhere before `ready` went to the results channel.
    fn live_target(&self) -> Option<ChannelId> {
        self.results.map(|results| self.live.unwrap_or(results))
    }

    /// Sends one of the results that come per window: to the live channel where there is one.
    pub(crate) fn live(&mut self, link: &mut impl Link, key: LiveKey<'_>, text: &[u8]) {
        let Some(channel) = self.live_target() else { return };
        let behind_events = self.results == Some(channel) && !self.queued.is_empty();
        let full = link.buffered(channel) + text.len() > MAX_LIVE_BYTES;
        if full || behind_events || !self.kept.is_empty() {
            self.keep(key, text);
            return;
        }
        match link.send(channel, text) {
            Ok(()) => self.count(channel, text.len()),
            Err(SendError::Full) => self.keep(key, text),
            Err(SendError::Closed) => self.close_channel(channel),
            Err(SendError::TooLarge) => self.too_large(),
        }
    }

    /// Counts a message that is larger than the other side takes.
    pub(crate) fn too_large(&mut self) {
        self.stats.dropped += 1;
        self.stats.too_large += 1;
    }

    fn count(&mut self, channel: ChannelId, bytes: usize) {
        self.stats.messages += 1;
        if self.results == Some(channel) {
            self.sent += bytes as u64;
        }
    }

    fn keep(&mut self, key: LiveKey<'_>, text: &[u8]) {
        let same = |kept: &&mut Kept| {
            kept.kind == key.kind && kept.stream == key.stream && *kept.node == *key.node
        };
        if let Some(kept) = self.kept.iter_mut().find(same) {
            kept.text.clear();
            kept.text.extend_from_slice(text);
            self.coalesced();
        } else if self.kept.len() < MAX_KEPT {
            self.kept.push(Kept {
                kind: key.kind,
                node: key.node.into(),
                stream: key.stream,
                text: text.to_vec(),
            });
        } else {
            self.coalesced();
        }
    }

    fn coalesced(&mut self) {
        self.stats.coalesced += 1;
        self.unreported += 1;
    }

    /// Sends what must not be lost: on the results channel, with a copy on the live one.
    pub(crate) fn event(
        &mut self,
        now: Micros,
        link: &mut impl Link,
        text: &[u8],
    ) -> Result<(), SlowReader> {
        if self.results.is_none() {
            if self.waiting_for_channel {
                if self.backlog.len() >= MAX_BACKLOG {
                    self.backlog.pop_front();
                    self.stats.dropped += 1;
                }
                self.backlog.push_back(text.to_vec());
            }
            return Ok(());
        }
        if let Some(live) = self.live
            && link.buffered(live) + text.len() <= MAX_LIVE_BYTES
        {
            // Only a copy, so that loss does not delay it: the reliable channel has it too.
            let _ = link.send(live, text);
        }
        self.reply(now, link, text)
    }

    /// Sends what must not be lost on the results channel alone.
    pub(crate) fn reply(
        &mut self,
        now: Micros,
        link: &mut impl Link,
        text: &[u8],
    ) -> Result<(), SlowReader> {
        let Some(channel) = self.results else { return Ok(()) };
        if link.buffered(channel) + self.queued_bytes + text.len() > MAX_EVENT_BYTES {
            return Err(SlowReader("1 MiB of events could not be delivered"));
        }
        if !self.queued.is_empty() {
            self.queue(now, text);
            return Ok(());
        }
        match link.send(channel, text) {
            Ok(()) => {
                self.count(channel, text.len());
                self.mark(now, 0);
            }
            Err(SendError::Full) => self.queue(now, text),
            Err(SendError::Closed) => self.close_channel(channel),
            Err(SendError::TooLarge) => self.too_large(),
        }
        Ok(())
    }

    fn queue(&mut self, now: Micros, text: &[u8]) {
        self.queued_bytes += text.len();
        self.queued.push_back(text.to_vec());
        self.mark(now, self.queued_bytes as u64);
    }

    fn mark(&mut self, now: Micros, beyond: u64) {
        let end = self.sent + beyond;
        match self.marks.back_mut() {
            Some((last, since)) if now.since(*since) < MARK_STEP => *last = end,
            _ => self.marks.push_back((end, now)),
        }
    }

    /// Sends what waits as far as there is room now. Call it when the other side may have read.
    ///
    /// Returns how many live results were replaced, once the channel is free again and the newest
    /// are on their way.
    pub(crate) fn pump(
        &mut self,
        now: Micros,
        link: &mut impl Link,
    ) -> Result<Option<u64>, SlowReader> {
        self.pump_events(now, link)?;
        let Some(channel) = self.live_target() else { return Ok(None) };
        let behind_events = self.results == Some(channel) && !self.queued.is_empty();
        if self.kept.is_empty() || behind_events || link.buffered(channel) > MAX_LIVE_BYTES / 2 {
            return Ok(None);
        }
        let mut kept = std::mem::take(&mut self.kept);
        let mut sent = 0;
        for one in &kept {
            match link.send(channel, &one.text) {
                Ok(()) => self.count(channel, one.text.len()),
                Err(SendError::TooLarge) => self.too_large(),
                Err(SendError::Full | SendError::Closed) => break,
            }
            sent += 1;
        }
        kept.drain(..sent);
        self.kept = kept;
        if !self.kept.is_empty() || self.unreported == 0 {
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut self.unreported)))
    }

    fn pump_events(&mut self, now: Micros, link: &mut impl Link) -> Result<(), SlowReader> {
        let Some(channel) = self.results else { return Ok(()) };
        while let Some(text) = self.queued.front() {
            match link.send(channel, text) {
                Ok(()) => self.count(channel, text.len()),
                Err(SendError::TooLarge) => self.too_large(),
                Err(SendError::Full) => break,
                Err(SendError::Closed) => {
                    self.close_channel(channel);
                    return Ok(());
                }
            }
            if let Some(text) = self.queued.pop_front() {
                self.queued_bytes -= text.len();
            }
        }
        let delivered = self.sent.saturating_sub(link.buffered(channel) as u64);
        while self.marks.front().is_some_and(|(end, _)| *end <= delivered) {
            self.marks.pop_front();
        }
        match self.marks.front() {
            Some((_, since)) if !self.absent && now.since(*since) > MAX_EVENT_AGE => {
                Err(SlowReader("an event could not be delivered for 10 s"))
            }
            _ => Ok(()),
        }
    }

    /// Nothing is heard of the other side, or it is again. One that is away is not slow: how long
    /// it is waited for is for consent to decide.
    pub(crate) fn set_absent(&mut self, now: Micros, absent: bool) {
        if self.absent && !absent {
            self.marks.iter_mut().for_each(|(_, since)| *since = now);
        }
        self.absent = absent;
    }

    /// Whether the other side has everything that must not be lost.
    pub(crate) fn is_drained(&self, link: &mut impl Link) -> bool {
        match self.results {
            Some(channel) => self.queued.is_empty() && link.buffered(channel) == 0,
            None => true,
        }
    }
}

#[cfg(test)]
mod tests;
