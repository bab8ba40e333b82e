//! Frames on their way to a Python node, and the breaker that rests a node which keeps failing.

use std::collections::VecDeque;
use std::time::Duration;

use remotemedia_core::{FrameMeta, Key, Micros, Payload};

use crate::nodes::PythonNode;
use crate::output::{NodeFailure, NodeResult};
use crate::work::Checked;

/// Frames of one mailbox that the lane holds at most; the others wait here, where the oldest can
/// still be dropped.
pub const MAX_IN_FLIGHT: usize = 16;

/// Failures in a row that open a node's breaker.
pub const BREAKER_FAILURES: u32 = 5;

/// How long an open breaker skips the node's frames before it lets one through.
pub const BREAKER_PAUSE: Duration = Duration::from_secs(5);

/// How long a frame that failed transiently waits before each further try; only offline. Up to a
/// fifth is added.
pub const RETRY_PAUSES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400)];

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

/// A frame for a Python node.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    /// Number of the input port; `None` for the end of all inputs.
    pub(crate) port: Option<u8>,
    pub(crate) meta: FrameMeta,
    pub(crate) payload: Payload,
    /// How often it failed already.
    pub(crate) tries: usize,
}

/// What a node made of a letter.
pub(crate) struct Done {
    pub(crate) meta: FrameMeta,
    pub(crate) end: bool,
    /// Parts of the result that came before and had to wait.
    pub(crate) parts: Vec<Checked>,
    pub(crate) result: Result<Vec<NodeResult>, NodeFailure>,
}

impl Done {
    pub(crate) fn of(letter: &Letter, result: Result<Vec<NodeResult>, NodeFailure>) -> Done {
        Done { meta: letter.meta, end: letter.port.is_none(), parts: Vec::new(), result }
    }
}

/// A letter that was handed out, in the order of handing out.
enum Flight {
    /// The lane holds it. What it gave so far waits for those before it; only offline, as order.
    Running(Key, Vec<Checked>),
    /// It failed and is tried again then.
    Pausing(Micros, Letter),
    /// It may be handed out again.
    Due(Letter),
    /// It is done, but one before it is not; only offline, where order is worth waiting for.
    Done(Done),
}

impl Flight {
    fn runs(&self, key: Key) -> bool {
        matches!(self, Flight::Running(other, _) if *other == key)
    }
}

/// The mailbox of one Python node of one instance.
pub(crate) struct Mailbox {
    waiting: VecDeque<(Micros, Letter)>,
    flights: VecDeque<Flight>,
    frames: usize,
    time: Duration,
    breaker: Breaker,
    /// It hands out nothing for now.
    pub(crate) held: bool,
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
            flights: VecDeque::new(),
            frames: node.mailbox_frames,
            time: node.mailbox_time,
            breaker: Breaker::Closed(0),
            held: false,
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
            Breaker::Trying => self.waiting.is_empty() && self.flights.is_empty(),
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
    pub(crate) fn offer(&mut self, now: Micros, letter: Letter, live: bool) -> Offered {
        let mut lost = 0;
        if live {
            lost += self.expire(now);
            while self.waiting.len() + self.flights.len() >= self.frames {
                lost += 1;
                // The end of another stream's input is never lost.
                let oldest = self.waiting.iter().position(|(_, letter)| letter.port.is_some());
                if oldest.and_then(|oldest| self.waiting.remove(oldest)).is_none() {
                    self.unreported += lost;
                    return Offered::Overrun(lost);
                }
            }
        }
        self.waiting.push_back((now, letter));
        self.unreported += lost;
        if lost == 0 { Offered::Taken } else { Offered::Overrun(lost) }
    }

    fn expire(&mut self, now: Micros) -> u64 {
        let mut lost = 0;
        while let Some((since, letter)) = self.waiting.front() {
            let late = letter.meta.deadline.is_some_and(|deadline| deadline < now);
            let waits = !late && now.since(*since) <= self.time;
            if waits || letter.port.is_none() {
                break;
            }
            self.waiting.pop_front();
            lost += 1;
        }
        lost
    }

    /// So many frames that it handed out were lost on their way.
    pub(crate) fn lose(&mut self, lost: u64) {
        self.unreported += lost;
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
        if self.held {
            return false;
        }
        let retry = self.flights.iter().any(|flight| matches!(flight, Flight::Due(_)));
        let next = self.waiting.front().is_some_and(|(_, letter)| {
            // The end comes when everything before it is done, further tries too.
            if letter.port.is_none() {
                self.flights.is_empty()
            } else {
                self.flights.len() < self.limit()
            }
        });
        retry || next
    }

    fn limit(&self) -> usize {
        MAX_IN_FLIGHT.min(self.frames.div_ceil(2))
    }

    /// The next frame for the lane, those to be tried again first; `register` gives it a token.
    /// Where `live`, frames that waited too long are lost first and counted in `lost`.
    pub(crate) fn take(
        &mut self,
        now: Micros,
        live: bool,
        lost: &mut u64,
        register: impl FnOnce(&Letter) -> Key,
    ) -> Option<(Key, Letter)> {
        let again = self.flights.iter_mut().find(|flight| matches!(flight, Flight::Due(_)));
        if let Some(flight) = again
            && let Flight::Due(letter) = &*flight
        {
            let letter = letter.clone();
            let key = register(&letter);
            *flight = Flight::Running(key, Vec::new());
            return Some((key, letter));
        }
        if !self.has_work() {
            return None;
        }
        if live {
            let expired = self.expire(now);
            self.unreported += expired;
            *lost += expired;
        }
        let (_, letter) = self.waiting.pop_front()?;
        let key = register(&letter);
        self.flights.push_back(Flight::Running(key, Vec::new()));
        Some((key, letter))
    }

    /// The lane is done with `key`, and its result does not wait for others.
    pub(crate) fn settle(&mut self, key: Key) {
        self.flights.retain(|flight| !flight.runs(key));
    }

    /// The lane is done with `key`: its result waits for those before it. See
    /// [`Mailbox::next_done`].
    pub(crate) fn keep(&mut self, key: Key, mut done: Done) {
        if let Some(flight) = self.flights.iter_mut().find(|flight| flight.runs(key)) {
            if let Flight::Running(_, parts) = flight {
                done.parts = std::mem::take(parts);
            }
            *flight = Flight::Done(done);
        }
    }

    /// A part of the result of `key`, whose frame stays under way: it waits for the frames before
    /// it. See [`Mailbox::first_parts`].
    pub(crate) fn keep_part(&mut self, key: Key, values: Vec<Checked>) {
        let flight = self.flights.iter_mut().find(|flight| flight.runs(key));
        if let Some(Flight::Running(_, parts)) = flight {
            parts.extend(values);
        }
    }

    /// What the first frame gave so far, if it is still under way.
    pub(crate) fn first_parts(&mut self) -> Option<(Key, Vec<Checked>)> {
        match self.flights.front_mut() {
            Some(Flight::Running(key, parts)) if !parts.is_empty() => {
                Some((*key, std::mem::take(parts)))
            }
            _ => None,
        }
    }

    /// The frame of `key` is to be handed out again at `due`.
    pub(crate) fn again(&mut self, key: Key, due: Micros, letter: Letter) {
        if let Some(flight) = self.flights.iter_mut().find(|flight| flight.runs(key)) {
            *flight = Flight::Pausing(due, letter);
        }
    }

    /// The next result in order.
    pub(crate) fn next_done(&mut self) -> Option<Done> {
        if !matches!(self.flights.front(), Some(Flight::Done(_))) {
            return None;
        }
        match self.flights.pop_front() {
            Some(Flight::Done(done)) => Some(done),
            _ => None,
        }
    }

    /// Ends the pauses that are over.
    pub(crate) fn wake(&mut self, now: Micros) {
        for flight in &mut self.flights {
            if let Flight::Pausing(due, letter) = flight
                && *due <= now
            {
                *flight = Flight::Due(letter.clone());
            }
        }
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
        *skipped += self.clear(None);
        true
    }

    /// Forgets what waits or is to be tried again, but for the end of the input, which gets the new
    /// `epoch`; returns how many frames that were.
    pub(crate) fn clear(&mut self, epoch: Option<u32>) -> u64 {
        let before = self.waiting.len() + self.flights.len();
        let renew = |letter: &mut Letter| {
            letter.meta.epoch = epoch.unwrap_or(letter.meta.epoch);
            letter.port.is_none()
        };
        self.waiting.retain_mut(|(_, letter)| renew(letter));
        self.flights.retain_mut(|flight| match flight {
            Flight::Running(_, parts) => {
                parts.clear();
                true
            }
            Flight::Pausing(_, letter) | Flight::Due(letter) => renew(letter),
            Flight::Done(done) => done.end,
        });
        (before - self.waiting.len() - self.flights.len()) as u64
    }

    /// Frames that wait or that the lane holds.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.flights.len()
    }

    pub(crate) fn in_flight(&self) -> impl Iterator<Item = Key> {
        self.flights.iter().filter_map(|flight| match flight {
            Flight::Running(key, _) => Some(*key),
            _ => None,
        })
    }
}
