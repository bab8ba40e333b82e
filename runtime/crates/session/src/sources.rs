//! What feeds a plan: the tracks and the messages of each participant.
//!
//! A plan has sources that take audio and sources that take data; one that takes anything is both.
//! With `n` sources of audio, the tracks of a participant are numbered in the order of the sections
//! that send: track `k` feeds source `k mod n` of the participant's stream `k / n`. So with one
//! source each track is a stream of its own, and with two the first two tracks are the two sources
//! of the stream `audio`. A track keeps its number while its section sends; then the number is free
//! for the next.

use std::sync::Arc;

use remotemedia_core::{AudioFormat, ChannelCount, ErrorCode, PortFormat, SampleRate};
use remotemedia_executor::Plan;
use remotemedia_media::{Receiver, ReceiverConfig};
use remotemedia_peer::sdp::Want;

use crate::api::SessionError;

/// A source that tracks feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AudioSource {
    /// Among all sources of the plan.
    pub(crate) index: usize,
    pub(crate) id: Arc<str>,
    /// What its tracks are decoded to.
    pub(crate) format: AudioFormat,
}

/// A source that messages feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DataSource {
    /// Among all sources of the plan.
    pub(crate) index: usize,
    pub(crate) id: Arc<str>,
}

/// The sources of a plan, both kinds in the order of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sources {
    pub(crate) audio: Vec<AudioSource>,
    pub(crate) data: Vec<DataSource>,
    /// Some take audio and nothing else.
    needs_audio: bool,
}

impl Sources {
    /// # Errors
    /// `NoCommonCodec` where no track can be decoded to what a source takes.
    pub(crate) fn of(plan: &Plan) -> Result<Sources, SessionError> {
        let mut sources = Sources { audio: Vec::new(), data: Vec::new(), needs_audio: false };
        for (index, (id, format)) in plan.sources().enumerate() {
            let id = id.clone();
            if format.carries_data() {
                sources.data.push(DataSource { index, id: id.clone() });
            }
            sources.needs_audio |= matches!(format, PortFormat::Audio(_));
            let Some(format) = format.audio() else { continue };
            if let Err(error) = Receiver::new(ReceiverConfig::new(format)) {
                let message = format!("the source \"{id}\" cannot be fed by a track: {error}");
                return Err(SessionError::new(ErrorCode::NoCommonCodec, message));
            }
            sources.audio.push(AudioSource { index, id, format });
        }
        Ok(sources)
    }

    /// How much who opens a session must send audio.
    pub(crate) fn want(&self) -> Want {
        match (self.needs_audio, self.audio.is_empty()) {
            (true, _) => Want::Required,
            (false, false) => Want::Optional,
            (false, true) => Want::None,
        }
    }

    /// The same for whoever else takes part: somebody else may send it.
    pub(crate) fn want_of_others(&self) -> Want {
        if self.audio.is_empty() { Want::None } else { Want::Optional }
    }

    /// What of a track is of use: the highest rate and the most channels.
    pub(crate) fn receive(&self) -> AudioFormat {
        let formats = || self.audio.iter().map(|source| source.format);
        AudioFormat {
            rate: formats().map(|format| format.rate).max().unwrap_or(SampleRate::HZ_48000),
            channels: formats().map(|format| format.channels).max().unwrap_or(ChannelCount::MONO),
        }
    }
}
