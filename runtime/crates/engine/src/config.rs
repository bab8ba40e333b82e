use std::net::IpAddr;

use serde::Deserialize;

/// What an engine needs to know to start.
///
/// ```
/// let config: remotemedia_engine::EngineConfig = serde_json::from_str(
///     r#"{"media_ports": [0, 0], "reactors": 1, "loopback": true}"#,
/// ).expect("a valid configuration");
/// assert_eq!(config.reactors, remotemedia_engine::ReactorCount::Fixed(1));
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// The addresses that the media sockets bind to: none for the wildcard (IPv6 and IPv4).
    pub bind: Option<IpAddr>,
    /// First and last UDP port for media, one a reactor; `[0, 0]` lets the system choose.
    pub media_ports: (u16, u16),
    /// How many reactors run.
    pub reactors: ReactorCount,
    /// Further addresses announced as candidates: the public ones of a machine behind NAT.
    pub advertised_addresses: Vec<IpAddr>,
    /// Whether loopback addresses are announced, for clients on this machine.
    pub loopback: bool,
    /// Bounds on what runs at once.
    pub limits: Limits,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            bind: None,
            media_ports: (0, 0),
            reactors: ReactorCount::Auto,
            advertised_addresses: Vec::new(),
            loopback: true,
            limits: Limits::default(),
        }
    }
}

/// How many reactors run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "ReactorCountText")]
pub enum ReactorCount {
    /// One a core, at most as many as there are media ports.
    Auto,
    /// This many.
    Fixed(usize),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ReactorCountText {
    Number(usize),
    Word(AutoWord),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum AutoWord {
    Auto,
}

impl From<ReactorCountText> for ReactorCount {
    fn from(text: ReactorCountText) -> Self {
        match text {
            ReactorCountText::Number(count) => ReactorCount::Fixed(count),
            ReactorCountText::Word(AutoWord::Auto) => ReactorCount::Auto,
        }
    }
}

/// Bounds on what runs at once.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Sessions of the whole engine; an offer beyond it is answered with `ServerFull`.
    pub max_sessions: usize,
    /// Participants of one session.
    pub max_participants: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_sessions: 1_000, max_participants: 16 }
    }
}

impl EngineConfig {
    /// The number of reactors: what was asked for, within the cores and ports there are.
    pub(crate) fn reactor_count(&self) -> usize {
        let ports = match self.media_ports {
            (0, _) => usize::MAX,
            (first, last) => usize::from(last.saturating_sub(first)) + 1,
        };
        let wanted = match self.reactors {
            // Honours the affinity mask and the cgroup's quota.
            ReactorCount::Auto => std::thread::available_parallelism().map_or(1, usize::from),
            ReactorCount::Fixed(count) => count,
        };
        wanted.clamp(1, MAX_REACTORS).min(ports)
    }
}

/// The most reactors: ids carry the reactor's number in two hexadecimal digits.
pub(crate) const MAX_REACTORS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<EngineConfig, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn ports_bound_the_reactors() {
        let config = parse(r#"{"media_ports": [40000, 40002], "reactors": 8}"#).unwrap();
        assert_eq!(config.reactor_count(), 3);
        assert_eq!(parse(r#"{"reactors": 0}"#).unwrap().reactor_count(), 1);
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(parse(r#"{"reactor": 1}"#).is_err());
        assert!(parse(r#"{"reactors": "many"}"#).is_err());
        assert_eq!(parse(r#"{"reactors": "auto"}"#).unwrap().reactors, ReactorCount::Auto);
    }
}
