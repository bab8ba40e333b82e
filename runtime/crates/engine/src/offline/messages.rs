//! Outputs as a driver sees them.

use remotemedia_executor::{Output, OutputKind, Plan};
use remotemedia_session::result_body;
use remotemedia_wire::{ResultHeader, write_result};

use super::run::{RunOutput, RunValue};

/// Offline there is one stream of one participant, named as a live one would be.
pub(crate) const PARTICIPANT: &str = "p1";
pub(crate) const STREAM: &str = "audio";
pub(crate) const SESSION: &str = "offline";

/// Writes the messages of a run.
#[derive(Default)]
pub(crate) struct Messages {
    seq: u64,
    buffer: Vec<u8>,
}

impl Messages {
    pub(crate) fn read(&mut self, plan: &Plan, output: Output) -> RunOutput {
        let pts_us = output.meta.pts_us;
        let port = output.port.and_then(|port| plan.output_name(&output.node, port));
        let value = match &output.kind {
            OutputKind::Audio(frame) => {
                RunValue::Audio { format: frame.meta.format, samples: frame.samples.clone() }
            }
            OutputKind::Value(object) => RunValue::Value(object.clone()),
            _ => RunValue::Event(self.write(&output)),
        };
        RunOutput { node: output.node, port: port.unwrap_or_default(), pts_us, value }
    }

    fn write(&mut self, output: &Output) -> String {
        let header = ResultHeader {
            session: SESSION,
            participant: PARTICIPANT,
            stream: STREAM,
            node: &output.node,
            seq: self.seq,
            pts_us: output.meta.pts_us,
            rtp_timestamp: output.meta.rtp_timestamp,
            latency_us: 0,
        };
        self.seq += 1;
        self.buffer.clear();
        if let Some(body) = result_body(&output.kind) {
            write_result(&mut self.buffer, &header, &body);
        }
        String::from_utf8_lossy(&self.buffer).into_owned()
    }
}
