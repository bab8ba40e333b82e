//! Audio of any length cut into frames.

use remotemedia_core::{AudioFormat, FrameMeta, SampleRate, StreamId};

/// A jump of media time below this is rounding: what is pushed follows on.
const JUMP_TOLERANCE_US: u64 = 1_000;

/// Cuts what is pushed to one source; what fills no frame waits for more.
pub(crate) struct Framer {
    /// What the source takes; for a source of data it names the time of values alone.
    format: AudioFormat,
    /// Samples per channel of a frame.
    length: usize,
    /// The frame that fills, channel after channel.
    frame: Vec<f32>,
    filled: usize,
    /// Media time of the first sample since the last jump, and samples cut since then.
    base_us: u64,
    cut: u64,
    seq: u64,
}

impl Framer {
    pub(crate) fn new(format: AudioFormat, frame_ms: u32) -> Framer {
        let length = format.rate.samples_in(u64::from(frame_ms) * 1_000).max(1);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let frame = vec![0.0; length * format.channels.get()];
        Framer { format, length, frame, filled: 0, base_us: 0, cut: 0, seq: 0 }
    }

    /// Takes planar samples and gives the frames that are full. Of mono audio those that lie whole
    /// in `samples` are not copied.
    pub(crate) fn push(
        &mut self,
        samples: &[f32],
        pts_us: Option<u64>,
        mut give: impl FnMut(FrameMeta, &[f32]),
    ) {
        if let Some(pts_us) = pts_us {
            let held = self.cut + self.filled as u64;
            let expected = self.base_us + self.format.rate.micros_of(held);
            if pts_us.abs_diff(expected) > JUMP_TOLERANCE_US {
                self.end(&mut give);
                (self.base_us, self.cut) = (pts_us, 0);
            }
        }
        let channels = self.format.channels.get();
        let count = samples.len() / channels;
        let mut at = 0;
        while at < count {
            if channels == 1 && self.filled == 0 && count - at >= self.length {
                let meta = self.next(self.length);
                give(meta, &samples[at..at + self.length]);
                at += self.length;
                continue;
            }
            let take = (count - at).min(self.length - self.filled);
            for channel in 0..channels {
                let to = channel * self.length + self.filled;
                let from = channel * count + at;
                self.frame[to..to + take].copy_from_slice(&samples[from..from + take]);
            }
            (at, self.filled) = (at + take, self.filled + take);
            if self.filled == self.length {
                self.filled = 0;
                let meta = self.next(self.length);
                give(meta, &self.frame);
            }
        }
    }

    /// Gives the rest.
    pub(crate) fn end(&mut self, mut give: impl FnMut(FrameMeta, &[f32])) {
        let filled = std::mem::take(&mut self.filled);
        if filled == 0 {
            return;
        }
        let channels = self.frame.chunks_exact(self.length);
        let rest: Vec<f32> = channels.flat_map(|channel| &channel[..filled]).copied().collect();
        let meta = self.next(filled);
        give(meta, &rest);
    }

    /// Names a frame of so many samples: zero for a value.
    pub(crate) fn next(&mut self, samples: usize) -> FrameMeta {
        let rate = self.format.rate;
        let clock = SampleRate::HZ_48000;
        let ticks = clock.samples_in(self.base_us)
            + (u128::from(self.cut) * u128::from(clock.hz()) / u128::from(rate.hz())) as u64;
        let pts_us = self.base_us.saturating_add(rate.micros_of(self.cut));
        let meta = FrameMeta {
            // As of the packet with this sample (RFC 7587, section 4.1); they wrap.
            rtp_timestamp: ticks as u32,
            ..FrameMeta::new(StreamId(0), self.seq, pts_us, self.format)
        };
        self.seq += 1;
        self.cut += samples as u64;
        meta
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use remotemedia_core::ChannelCount;

    use super::*;

    fn stereo() -> AudioFormat {
        AudioFormat { channels: ChannelCount::STEREO, ..AudioFormat::MONO_16K }
    }

    fn cut(format: AudioFormat, samples: &[f32], pieces: &[usize]) -> Vec<(u64, Vec<f32>)> {
        let channels = format.channels.get();
        let count = samples.len() / channels;
        let mut framer = Framer::new(format, 1);
        let mut frames = Vec::new();
        let mut at = 0;
        for piece in pieces.iter().copied().chain([count]) {
            let end = (at + piece).min(count);
            let planar: Vec<f32> =
                samples.chunks(count).flat_map(|channel| &channel[at..end]).copied().collect();
            framer.push(&planar, None, |meta, samples| frames.push((meta.pts_us, samples.into())));
            at = end;
        }
        framer.end(|meta, samples| frames.push((meta.pts_us, samples.into())));
        frames
    }

    proptest! {
        #[test]
        fn pieces_of_any_length_give_the_same_frames(
            pieces in prop::collection::vec(0_usize..50, 0..20), two: bool,
        ) {
            let format = if two { stereo() } else { AudioFormat::MONO_16K };
            let samples: Vec<f32> = (0..404).map(|n| n as f32).collect();
            let whole = cut(format, &samples, &[]);
            prop_assert_eq!(&cut(format, &samples, &pieces), &whole);
            let lengths: Vec<usize> = whole.iter().map(|frame| frame.1.len()).collect();
            prop_assert_eq!(lengths.iter().sum::<usize>(), 404);
        }
    }

    #[test]
    fn a_jump_of_media_time_ends_the_frame_that_fills() {
        let mut framer = Framer::new(AudioFormat::MONO_16K, 20);
        let mut frames = Vec::new();
        let mut give = |meta: FrameMeta, samples: &[f32]| {
            frames.push((meta.seq, meta.pts_us, meta.rtp_timestamp, samples.len()));
        };
        framer.push(&[0.0; 400], Some(0), &mut give);
        framer.push(&[0.0; 240], Some(25_500), &mut give);
        framer.push(&[0.0; 320], Some(1_000_000), &mut give);
        assert_eq!(frames, [(0, 0, 0, 320), (1, 20_000, 960, 320), (2, 1_000_000, 48_000, 320)]);
    }
}
