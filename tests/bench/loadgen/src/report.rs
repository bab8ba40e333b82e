use std::fmt;

use serde::Serialize;

use crate::client::{Client, Stage};

/// What a run measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    connected: usize,
    cpu_s: f64,
    measured_s: f64,
    latency_p50_ms: f64,
    latency_p99_ms: f64,
    setup_median_ms: f64,
    setup_p95_ms: f64,
    rss_before_kib: u64,
    rss_after_kib: u64,
    results: u64,
    foreign: u64,
}

impl Report {
    pub(crate) fn new(
        clients: &[Client],
        cpu_s: f64,
        measured_s: f64,
        rss_before_kib: u64,
        rss_after_kib: u64,
    ) -> Self {
        let mut latencies: Vec<u64> = clients
            .iter()
            .flat_map(|client| client.seen.latencies_us.iter().copied().map(u64::from))
            .collect();
        let open = || clients.iter().filter(|client| client.stage == Stage::Open);
        let mut setups: Vec<u64> = open().map(|client| client.setup_us).collect();
        latencies.sort_unstable();
        setups.sort_unstable();
        Self {
            connected: open().count(),
            cpu_s,
            measured_s,
            latency_p50_ms: percentile_ms(&latencies, 50),
            latency_p99_ms: percentile_ms(&latencies, 99),
            setup_median_ms: percentile_ms(&setups, 50),
            setup_p95_ms: percentile_ms(&setups, 95),
            rss_before_kib,
            rss_after_kib,
            results: clients.iter().map(|client| client.seen.results).sum(),
            foreign: clients.iter().map(|client| client.seen.foreign).sum(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

/// Nearest rank of sorted microseconds, in milliseconds; NaN would not be JSON, so zero for none.
fn percentile_ms(sorted_us: &[u64], percent: usize) -> f64 {
    let rank = (sorted_us.len() * percent).div_ceil(100).saturating_sub(1);
    sorted_us.get(rank).map_or(0.0, |us| *us as f64 / 1e3)
}
