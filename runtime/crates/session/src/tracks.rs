//! From packets of a track to frames of a source.
//!
//! The tracks of a stream are aligned by when their packets come: the first frame of a further one
//! lies where the stream has got to then, on the grid of its samples. That is as exact as the network
//! was even at that moment: a millisecond or two where it is good, as much as its jitter where it is
//! not. From then on a track follows its own timestamps; after a pause in which these stood still it
//! is aligned anew. Sound cards that drift apart are not brought together.

use std::sync::Arc;
use std::time::Duration;

use remotemedia_core::{ErrorCode, FrameMeta, Key, Micros, Piece};
use remotemedia_executor::Executor;
use remotemedia_media::{Frame, Receiver, ReceiverConfig};

use crate::participant::{End, MAX_TRACKS, Participant, Track};
use crate::session::Session;
use crate::sources::AudioSource;
use crate::streams::StreamEntry;

/// A track of several is looked at again when its packets come so far apart.
const PAUSE: Duration = Duration::from_millis(250);

/// It is aligned anew where it has fallen behind by more than this meanwhile.
const TOLERANCE: Duration = Duration::from_millis(200);

/// Takes up a track that sends for the first time; nothing where there are too many.
pub(crate) fn open_track(
    now: Micros,
    key: Key,
    participant: &mut Participant,
    session: &mut Session,
    executor: &mut Executor,
    mid: &Arc<str>,
) -> Option<usize> {
    let sources = session.sources.audio.len();
    if sources == 0 || participant.tracks.len() >= MAX_TRACKS.max(sources) {
        return None;
    }
    let place = participant.places.of(mid)?;
    let source = place % sources;
    let receiver = match Receiver::new(ReceiverConfig::new(session.sources.audio[source].format)) {
        Ok(receiver) => receiver,
        Err(error) => {
            let reason = format!("a track cannot be decoded: {error}");
            participant.fail(End::error(ErrorCode::Internal, reason));
            return None;
        }
    };
    let stream = session.open_stream(now, executor, key, participant, place / sources)?.id;
    participant.tracks.push(Track {
        mid: mid.clone(),
        stream,
        source,
        shift_us: None,
        arrived: now,
        receiver,
        heard: now,
    });
    Some(participant.tracks.len() - 1)
}

/// Hands a track's finished frames to the executor.
pub(crate) fn push_frames(
    now: Micros,
    track: &mut Track,
    session: &mut Session,
    executor: &mut Executor,
) {
    let AudioSource { index, format, .. } = session.sources.audio[track.source];
    let several = session.sources.audio.len() > 1;
    while let Some(frame) = track.receiver.poll_frame() {
        let Some(entry) = session.stream_mut(track.stream) else { return };
        let length = frame.samples.len() / format.channels.get();
        let length_us = format.rate.micros_of(length as u64);
        // What was made up lies before the packet that brought it.
        let paused = several && !frame.concealed && frame.arrival.since(track.arrived) >= PAUSE;
        let shift_us = match track.shift_us.filter(|_| !paused) {
            Some(shift_us) => shift_us,
            None => {
                let samples = format.rate.samples_in(due(entry, &frame, length_us));
                let found = format.rate.micros_of(samples);
                track.shift_us = match track.shift_us {
                    Some(before) if found <= before + TOLERANCE.as_micros() as u64 => Some(before),
                    _ => Some(found),
                };
                track.shift_us.unwrap_or(found)
            }
        };
        let pts_us = frame.pts_us + shift_us;
        if !frame.concealed {
            track.arrived = frame.arrival;
            entry.last = Some((frame.arrival, pts_us + length_us));
        }
        let meta = FrameMeta {
            stream: track.stream,
            seq: entry.count_of(track.source),
            pts_us,
            rtp_timestamp: frame.rtp_timestamp,
            arrival: frame.arrival,
            capture_ntp_us: frame.capture_ntp_us,
            deadline: None,
            epoch: 0,
            trace: 0,
            concealed: frame.concealed,
            format,
        };
        executor.push_to(now, session.instance, index, &meta, Piece::Audio(frame.samples));
        track.heard = now;
    }
}

/// Where the media time of a track must begin for a frame to lie where its stream has got to.
fn due(stream: &StreamEntry, frame: &Frame<'_>, length_us: u64) -> u64 {
    let begins = match stream.last {
        // A packet is sent when it is full.
        Some((arrival, end_us)) => (end_us + frame.arrival.0).saturating_sub(arrival.0 + length_us),
        None => stream.pts_us(frame.arrival),
    };
    begins.saturating_sub(frame.pts_us)
}
