use serde::{Deserialize, Serialize};

use crate::{AudioFormat, ChannelCount, SampleRate};

/// What a port carries.
///
/// ```json
/// {"type": "audio", "rate": 16000, "channels": 1}
/// {"type": "data"}
/// {"type": "any", "rate": 16000, "channels": 1}
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawFormat", into = "RawFormat")]
pub enum PortFormat {
    /// Audio of this format.
    Audio(AudioFormat),
    /// JSON values.
    Data,
    /// Whatever a Python node takes or gives: audio of this format, JSON values, objects of its own.
    Any(AudioFormat),
}

impl PortFormat {
    /// The format of the audio that may pass, if any may.
    #[must_use]
    pub const fn audio(self) -> Option<AudioFormat> {
        match self {
            PortFormat::Audio(format) | PortFormat::Any(format) => Some(format),
            PortFormat::Data => None,
        }
    }

    /// Whether JSON values may pass.
    #[must_use]
    pub const fn carries_data(self) -> bool {
        matches!(self, PortFormat::Data | PortFormat::Any(_))
    }

    /// Whether any object may pass.
    #[must_use]
    pub const fn carries_anything(self) -> bool {
        matches!(self, PortFormat::Any(_))
    }

    /// Whether an output of this format may feed an input of `input`: something passes, and audio
    /// has the same rate and channels at both ends.
    #[must_use]
    pub fn feeds(self, input: PortFormat) -> bool {
        match (self.audio(), input.audio()) {
            (Some(given), Some(taken)) => given == taken,
            _ => self.carries_data() && input.carries_data(),
        }
    }
}

impl std::fmt::Display for PortFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PortFormat::Audio(format) => write!(f, "{format}"),
            PortFormat::Data => f.write_str("data"),
            PortFormat::Any(format) => write!(f, "anything, audio of {format}"),
        }
    }
}

/// A port of a node with what it carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Unique on its side of the node.
    pub port: String,
    /// What it carries.
    pub format: PortFormat,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawType {
    Audio,
    Data,
    Any,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFormat {
    #[serde(rename = "type")]
    kind: RawType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<SampleRate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channels: Option<ChannelCount>,
}

impl TryFrom<RawFormat> for PortFormat {
    type Error = &'static str;

    fn try_from(raw: RawFormat) -> Result<Self, Self::Error> {
        match (raw.kind, raw.rate, raw.channels) {
            (RawType::Audio, Some(rate), Some(channels)) => {
                Ok(PortFormat::Audio(AudioFormat { rate, channels }))
            }
            (RawType::Any, Some(rate), Some(channels)) => {
                Ok(PortFormat::Any(AudioFormat { rate, channels }))
            }
            (RawType::Data, None, None) => Ok(PortFormat::Data),
            (RawType::Data, ..) => Err("a port of data has neither rate nor channels"),
            (_, None, _) => Err("missing field `rate`"),
            (_, _, None) => Err("missing field `channels`"),
        }
    }
}

impl From<PortFormat> for RawFormat {
    fn from(format: PortFormat) -> RawFormat {
        let kind = match format {
            PortFormat::Audio(_) => RawType::Audio,
            PortFormat::Data => RawType::Data,
            PortFormat::Any(_) => RawType::Any,
        };
        let audio = format.audio();
        RawFormat { kind, rate: audio.map(|a| a.rate), channels: audio.map(|a| a.channels) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONO: AudioFormat = AudioFormat::MONO_16K;
    const FAST: AudioFormat = AudioFormat::MONO_48K;

    #[test]
    fn formats_are_written_as_they_are_read() {
        for text in [
            r#"{"type":"audio","rate":16000,"channels":1}"#,
            r#"{"type":"data"}"#,
            r#"{"type":"any","rate":48000,"channels":2}"#,
        ] {
            let format: PortFormat = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&format).unwrap(), text);
        }
        for wrong in [
            r#"{"type":"audio","rate":16000}"#,
            r#"{"type":"any","channels":1}"#,
            r#"{"type":"data","rate":16000}"#,
            r#"{"type":"video"}"#,
            r#"{"rate":16000,"channels":1}"#,
            r#"{"type":"audio","rate":16000,"channels":1,"bits":16}"#,
        ] {
            assert!(serde_json::from_str::<PortFormat>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ports_fit_when_something_can_pass_and_audio_is_the_same() {
        use PortFormat::{Any, Audio, Data};
        for (from, to, fits) in [
            (Audio(MONO), Audio(MONO), true),
            (Audio(MONO), Audio(FAST), false),
            (Audio(MONO), Any(MONO), true),
            (Any(MONO), Audio(FAST), false),
            (Any(MONO), Any(MONO), true),
            (Any(MONO), Any(FAST), false),
            (Data, Data, true),
            (Data, Any(FAST), true),
            (Any(MONO), Data, true),
            (Audio(MONO), Data, false),
            (Data, Audio(MONO), false),
        ] {
            assert_eq!(from.feeds(to), fits, "{from} -> {to}");
        }
    }
}
