use std::path::PathBuf;
use std::time::Duration;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Arguments {
    /// The server: `http://host:port`.
    pub(crate) url: String,
    pub(crate) pipeline: String,
    pub(crate) streams: usize,
    /// How long to measure, after a warm-up; with `record`, how long each stream sends.
    pub(crate) measure: Duration,
    /// Opus packets of 20 ms: big-endian length of 16 bits, then the bytes.
    pub(crate) packets: PathBuf,
    /// How many tracks of equal length the packets are: streams take them in turn.
    pub(crate) tracks: usize,
    /// Where to write every message of every stream, instead of measuring.
    pub(crate) record: Option<PathBuf>,
    /// The server's process, whose CPU time and memory are read.
    pub(crate) pid: u32,
}

const USAGE: &str = "usage: remotemedia-loadgen --url URL --pipeline NAME --streams N \
                     --seconds S --packets FILE --pid PID [--tracks N] [--record FILE]";

impl Arguments {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut given = std::collections::HashMap::new();
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            let value = arguments
                .next()
                .ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
            given.insert(name, value);
        }
        let record = given.remove("--record").map(PathBuf::from);
        let tracks = given.remove("--tracks").unwrap_or_else(|| "1".to_owned());
        let mut take = |name: &str| {
            given
                .remove(name)
                .ok_or_else(|| format!("{name} is missing\n{USAGE}"))
        };
        let number = |name: &str, text: String| {
            text.parse::<f64>()
                .ok()
                .filter(|value| value.is_finite() && *value > 0.0)
                .ok_or_else(|| format!("{name} must be a positive number\n{USAGE}"))
        };
        Ok(Self {
            url: take("--url")?,
            pipeline: take("--pipeline")?,
            streams: number("--streams", take("--streams")?)? as usize,
            measure: Duration::from_secs_f64(number("--seconds", take("--seconds")?)?),
            packets: take("--packets")?.into(),
            pid: number("--pid", take("--pid")?)? as u32,
            tracks: number("--tracks", tracks)? as usize,
            record,
        })
    }
}
