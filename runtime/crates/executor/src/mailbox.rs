//! Frames on their way to a Python node, and the breaker that rests a node which keeps failing.

use std::collections::VecDeque;
use std::time::Duration;

use remotemedia_core::{AudioFrame, Key, Micros};

use crate::nodes::PythonNode;

/// Frames of one mailbox that the lane holds at most; the others wait here, where the oldest can
/// still be dropped.
pub const MAX_IN_FLIGHT: usize = 16;

/// Failures in a row that open a node's breaker.
pub const BREAKER_FAILURES: u32 = 5;

/// How long an open breaker skips the node's frames before it lets one through.
pub const BREAKER_PAUSE: Duration = Duration::from_secs(5);

/// A mailbox reports lost frames at most this often.
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breaker {
    /// Frames pass; so many failed in a row.
    Closed(u32),
    /// Frames are skipped until then.
    Open(Micros),
    /// One frame is being tried.
    Trying,
}

/// What became of a frame that a mailbox was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It waits.
    Taken,
    /// It waits and so many others were lost for it, or it was lost itself.
    Overrun(u64),
}

/// The mailbox of one Python node of one instance.
#[derive(Debug)]
pub(crate) struct Mailbox {
    waiting: VecDeque<(Micros, AudioFrame)>,
    in_flight: Vec<Key>,
    frames: usize,
    time: Duration,
    breaker: Breaker,
    /// It is in the executor's list of mailboxes with work.
    pub(crate) listed: bool,
    /// Lost frames that no error told about yet, and when the last error did.
    unreported: u64,
    reported: Option<Micros>,
}

impl Mailbox {
    pub(crate) fn new(node: &PythonNode) -> Mailbox {
        Mailbox {
            waiting: VecDeque::new(),
            in_flight: Vec::new(),
            frames: node.mailbox_frames,
            time: node.mailbox_time,
            breaker: Breaker::Closed(0),
            listed: false,
            unreported: 0,
            reported: None,
        }
    }

    /// Whether the breaker lets the next frame wait. Asked before the frame is copied.
    pub(crate) fn admits(&mut self, now: Micros) -> bool {
        match self.breaker {
            Breaker::Closed(_) => true,
            // The frame that was tried may have been lost to an interrupt: then this one is.
            Breaker::Trying => self.waiting.is_empty() && self.in_flight.is_empty(),
            Breaker::Open(until) => {
                if now < until {
                    return false;
                }
                self.breaker = Breaker::Trying;
                true
            }
        }
    }

    /// Queues a frame. Where `live`, the oldest goes when there are too many or they wait too long.
    pub(crate) fn offer(&mut self, now: Micros, frame: AudioFrame, live: bool) -> Offered {
        let mut lost = 0;
        if live {
            lost += self.expire(now);
            while self.waiting.len() + self.in_flight.len() >= self.frames {
                lost += 1;
                if self.waiting.pop_front().is_none() {
                    self.unreported += lost;
                    return Offered::Overrun(lost);
                }
            }
        }
        self.waiting.push_back((now, frame));
        self.unreported += lost;
        if lost == 0 { Offered::Taken } else { Offered::Overrun(lost) }
    }

    fn expire(&mut self, now: Micros) -> u64 {
        let mut lost = 0;
        while let Some((since, frame)) = self.waiting.front() {
            let late = frame.meta.deadline.is_some_and(|deadline| deadline < now);
            if !late && now.since(*since) <= self.time {
                break;
            }
            self.waiting.pop_front();
            lost += 1;
        }
        lost
    }

    /// How many lost frames an error should report now, if any.
    pub(crate) fn report(&mut self, now: Micros) -> Option<u64> {
        let due = self.reported.is_none_or(|last| now.since(last) >= REPORT_INTERVAL);
        if self.unreported == 0 || !due {
            return None;
        }
        self.reported = Some(now);
        Some(std::mem::take(&mut self.unreported))
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.waiting.is_empty() && self.in_flight.len() < self.limit()
    }

    fn limit(&self) -> usize {
        MAX_IN_FLIGHT.min(self.frames.div_ceil(2))
    }

    /// The next frame for the lane; `register` gives it a token. Where `live`, frames that waited
    /// too long are lost first and counted in `lost`.
    pub(crate) fn take(
        &mut self,
        now: Micros,
        live: bool,
        lost: &mut u64,
        register: impl FnOnce(&AudioFrame) -> Key,
    ) -> Option<(Key, AudioFrame)> {
        if !self.has_work() {
            return None;
        }
        if live {
            let expired = self.expire(now);
            self.unreported += expired;
            *lost += expired;
        }
        let (_, frame) = self.waiting.pop_front()?;
        let key = register(&frame);
        self.in_flight.push(key);
        Some((key, frame))
    }

    /// The lane is done with `key`.
    pub(crate) fn settle(&mut self, key: Key) {
        self.in_flight.retain(|other| *other != key);
    }

    /// A frame was processed.
    pub(crate) fn succeeded(&mut self) {
        if !matches!(self.breaker, Breaker::Open(_)) {
            self.breaker = Breaker::Closed(0);
        }
    }

    /// A frame failed. True when that opened the breaker; the frames that waited are then skipped,
    /// and their number is added to `skipped`.
    pub(crate) fn failed(&mut self, now: Micros, skipped: &mut u64) -> bool {
        let failures = match self.breaker {
            Breaker::Closed(failures) => failures + 1,
            Breaker::Trying => BREAKER_FAILURES,
            Breaker::Open(_) => return false,
        };
        if failures < BREAKER_FAILURES {
            self.breaker = Breaker::Closed(failures);
            return false;
        }
        self.breaker = Breaker::Open(now + BREAKER_PAUSE);
        *skipped += self.clear();
        true
    }

    /// Forgets what waits; returns how many frames that were.
    pub(crate) fn clear(&mut self) -> u64 {
        let count = self.waiting.len() as u64;
        self.waiting.clear();
        count
    }

    /// Frames that wait or that the lane holds.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.in_flight.len()
    }

    pub(crate) fn in_flight(&self) -> &[Key] {
        &self.in_flight
    }
}
