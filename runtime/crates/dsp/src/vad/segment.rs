//! From probabilities per window to the start and end of speech.

use std::time::Duration;

/// When speech starts and ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SegmentParams {
    /// A window at least this probable is speech.
    pub threshold: f32,
    /// Speech goes on until a window is less probable than this; not above `threshold`.
    pub negative_threshold: f32,
    /// Speech shorter than this is not reported. Dips shorter than `min_silence` count.
    pub min_speech: Duration,
    /// Silence shorter than this does not end speech.
    pub min_silence: Duration,
    /// What is added to both ends of the reported speech.
    pub speech_pad: Duration,
}

impl Default for SegmentParams {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            negative_threshold: 0.35,
            min_speech: Duration::from_millis(250),
            min_silence: Duration::from_millis(100),
            speech_pad: Duration::from_millis(30),
        }
    }
}

/// A start or an end of speech. All times are microseconds of media time.
///
/// Of one stream, starts and stops alternate, and the reported spans neither overlap nor reach
/// beyond what has been heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SpeechEvent {
    /// Speech has lasted for `min_speech`.
    Started {
        /// The onset less the padding, but not before the previous stop.
        at_us: u64,
        /// Start of the first window of the speech.
        onset_us: u64,
        /// Of the window that decided.
        probability: f32,
    },
    /// Silence has lasted for `min_silence`, or the stream has ended.
    Stopped {
        /// The end plus the padding, but not later than now.
        at_us: u64,
        /// `at_us` of the start.
        started_at_us: u64,
        /// End of the last window of the speech.
        end_us: u64,
    },
}

/// Finds speech in the windows of one stream: [`Segmenter::push`] each in order, then
/// [`Segmenter::flush`].
///
/// A time between two windows that no window covers counts as silence.
#[derive(Clone, Debug, Default)]
pub struct Segmenter {
    params: SegmentParams,
    /// The decision with hysteresis alone.
    active: bool,
    run: Option<Run>,
    heard_until_us: u64,
    stopped_at_us: u64,
}

/// Speech that has not ended.
#[derive(Clone, Copy, Debug)]
struct Run {
    onset_us: u64,
    /// `at_us` of the start, once that was reported.
    started_at_us: Option<u64>,
    /// Where the silence after the last speech starts, while there is one.
    silent_from_us: Option<u64>,
}

impl Segmenter {
    /// A segmenter at the start of a stream.
    #[must_use]
    pub fn new(params: SegmentParams) -> Self {
        Self { params, ..Self::default() }
    }

    /// What it was told.
    #[must_use]
    pub fn params(&self) -> &SegmentParams {
        &self.params
    }

    /// Changes the parameters from the next window on; speech that is under way stays so.
    pub fn set_params(&mut self, params: SegmentParams) {
        self.params = params;
    }

    /// Takes the next window, from `start_us` to `end_us` of media time.
    ///
    /// Gives whether the window is speech (thresholds with hysteresis alone, without a wait for
    /// `min_speech` or `min_silence`) and the event that falls due with it. There is at most one:
    /// where a gap ends one run of speech and the window already suffices to start the next, the
    /// start comes with the window after. A probability that is not a number is silence.
    pub fn push(
        &mut self,
        start_us: u64,
        end_us: u64,
        probability: f32,
    ) -> (bool, Option<SpeechEvent>) {
        let mut event = None;
        if start_us > self.heard_until_us {
            event = self.silence(self.heard_until_us, start_us);
        }
        self.heard_until_us = self.heard_until_us.max(end_us);
        let least =
            if self.active { self.params.negative_threshold } else { self.params.threshold };
        self.active = probability >= least;
        if self.active {
            let started = self.speech(start_us, end_us, probability, event.is_none());
            event = event.or(started);
        } else {
            event = event.or(self.silence(start_us, end_us));
        }
        (self.active, event)
    }

    /// Ends the stream at `end_us`: speech that was reported as started is stopped there, or
    /// where silence had begun.
    pub fn flush(&mut self, end_us: u64) -> Option<SpeechEvent> {
        self.active = false;
        let run = self.run.take()?;
        let now_us = end_us.max(self.heard_until_us);
        self.stop(run, run.silent_from_us.unwrap_or(now_us), now_us)
    }

    fn speech(
        &mut self,
        start_us: u64,
        end_us: u64,
        probability: f32,
        may_start: bool,
    ) -> Option<SpeechEvent> {
        let run = self.run.get_or_insert(Run {
            onset_us: start_us,
            started_at_us: None,
            silent_from_us: None,
        });
        run.silent_from_us = None;
        let long_enough = end_us.saturating_sub(run.onset_us) >= micros(self.params.min_speech);
        if run.started_at_us.is_some() || !long_enough || !may_start {
            return None;
        }
        let padded = run.onset_us.saturating_sub(micros(self.params.speech_pad));
        let at_us = padded.max(self.stopped_at_us);
        run.started_at_us = Some(at_us);
        Some(SpeechEvent::Started { at_us, onset_us: run.onset_us, probability })
    }

    fn silence(&mut self, start_us: u64, end_us: u64) -> Option<SpeechEvent> {
        let run = self.run.as_mut()?;
        let from_us = *run.silent_from_us.get_or_insert(start_us);
        if end_us.saturating_sub(from_us) < micros(self.params.min_silence) {
            return None;
        }
        let run = self.run.take()?;
        self.active = false;
        self.stop(run, from_us, end_us)
    }

    fn stop(&mut self, run: Run, speech_end_us: u64, now_us: u64) -> Option<SpeechEvent> {
        let started_at_us = run.started_at_us?;
        let padded = speech_end_us.saturating_add(micros(self.params.speech_pad));
        self.stopped_at_us = padded.min(now_us);
        Some(SpeechEvent::Stopped {
            at_us: self.stopped_at_us,
            started_at_us,
            end_us: speech_end_us,
        })
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
