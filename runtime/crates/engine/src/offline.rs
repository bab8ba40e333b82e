use std::sync::Arc;
use std::time::Duration;

use remotemedia_core::{
    ErrorCode, FrameMeta, ManifestError, Micros, ResolvedManifest, SampleRate, StreamId,
};
use remotemedia_executor::{Executor, ExecutorConfig, Plan};
use remotemedia_session::result_body;
use remotemedia_wire::{ResultHeader, write_result};

use crate::EngineError;

/// Offline there is one stream of one participant, named as a live one would be.
const PARTICIPANT: &str = "p1";
const STREAM: &str = "audio";
const SESSION: &str = "offline";

/// Checks a resolved manifest as [`crate::Engine::add_pipeline`] would.
///
/// # Errors
/// The manifest's error, with the path of the field.
pub fn check_manifest(resolved_json: &str) -> Result<(), EngineError> {
    Plan::compile(&ResolvedManifest::from_json(resolved_json)?)?;
    Ok(())
}

/// Runs mono samples at the source's rate through a pipeline of native nodes, in frames of
/// `frame_ms`, on the calling thread. Returns the result messages of a live session, without its
/// waiting: `latency_ms` is 0 and `rtp_ts` is the media time on Opus' clock of 48 kHz.
///
/// # Errors
/// A manifest that is not valid, takes more than one channel, or has Python nodes.
pub fn run_offline(
    manifest: &ResolvedManifest,
    samples: &[f32],
    frame_ms: u32,
) -> Result<Vec<String>, EngineError> {
    let plan = Arc::new(Plan::compile(manifest)?);
    let format = plan.source_format();
    if format.channels.get() != 1 {
        return Err(ManifestError::new(
            ErrorCode::NotInThisVersion,
            "sources[0].format.channels",
            "offline runs take one channel in this version",
        )
        .into());
    }
    if plan.has_python() {
        return Err(EngineError::new(
            ErrorCode::NotInThisVersion,
            "offline runs of Python nodes are not in this version",
        ));
    }
    let mut executor =
        Executor::new(ExecutorConfig { audio_outputs: false, ..ExecutorConfig::offline() });
    let instance = executor.create(plan);
    let stream = StreamId(0);
    executor.open_stream(instance, stream);

    let frame_samples = format.rate.samples_in(u64::from(frame_ms) * 1_000).max(1);
    let mut messages = Messages::default();
    let mut now = Micros::ZERO;
    for (seq, frame) in
        samples.chunks(usize::try_from(frame_samples).unwrap_or(usize::MAX)).enumerate()
    {
        let start = seq as u64 * frame_samples;
        let meta = FrameMeta {
            stream,
            seq: seq as u64,
            pts_us: format.rate.micros_of(start),
            rtp_timestamp: rtp_timestamp(format.rate, start),
            arrival: now,
            capture_ntp_us: None,
            deadline: None,
            epoch: 0,
            trace: 0,
            concealed: false,
            format,
        };
        executor.push(now, instance, &meta, frame);
        executor.run_batches(now);
        messages.drain(&mut executor);
        now += Duration::from_micros(format.rate.micros_of(frame.len() as u64));
    }
    executor.close_stream(now, instance, stream);
    executor.run_batches(now);
    messages.drain(&mut executor);
    Ok(messages.texts)
}

/// The timestamp that the packet with this sample would have (RFC 7587, section 4.1).
fn rtp_timestamp(rate: SampleRate, sample: u64) -> u32 {
    let ticks = u128::from(sample) * u128::from(SampleRate::HZ_48000.hz()) / u128::from(rate.hz());
    // RTP timestamps wrap (RFC 3550, section 5.1).
    #[expect(clippy::cast_possible_truncation, reason = "wrapping is meant")]
    let wrapped = ticks as u32;
    wrapped
}

#[derive(Default)]
struct Messages {
    texts: Vec<String>,
    buffer: Vec<u8>,
}

impl Messages {
    fn drain(&mut self, executor: &mut Executor) {
        while let Some(output) = executor.poll_output() {
            let Some(body) = result_body(&output.kind) else { continue };
            let header = ResultHeader {
                session: SESSION,
                participant: PARTICIPANT,
                stream: STREAM,
                node: &output.node,
                seq: self.texts.len() as u64,
                pts_us: output.meta.pts_us,
                rtp_timestamp: output.meta.rtp_timestamp,
                latency_us: 0,
            };
            self.buffer.clear();
            write_result(&mut self.buffer, &header, &body);
            self.texts.push(String::from_utf8_lossy(&self.buffer).into_owned());
        }
    }
}
