//! What nodes cost: counts and times, measured with a clock that the driver gives.

use std::sync::Arc;

use serde::Serialize;

/// Buckets for each doubling: a value is known to half of 1/32, which is 1.6 %.
const SUB_BITS: u32 = 5;
const SUB: u64 = 1 << SUB_BITS;
/// Longer times, of more than 18 minutes, count as this.
const MAX_NS: u64 = (1 << 40) - 1;
const BUCKETS: usize = bucket(MAX_NS) + 1;

/// A log-linear histogram of nanoseconds: small values exactly, others by their leading bits.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Box<[u32]>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; BUCKETS].into_boxed_slice(), total: 0 }
    }
}

impl Histogram {
    fn add(&mut self, ns: u64) {
        let count = &mut self.counts[bucket(ns.min(MAX_NS))];
        *count = count.saturating_add(1);
        self.total += 1;
    }

    /// The value below which `share` of all lies; 0 without values.
    fn quantile(&self, share: f64) -> u64 {
        let rank = share * self.total as f64;
        let mut seen = 0_u64;
        for (index, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if *count > 0 && seen as f64 >= rank {
                return middle(index);
            }
        }
        0
    }
}

const fn bucket(value: u64) -> usize {
    let bits = u64::BITS - value.leading_zeros();
    let shift = bits.saturating_sub(SUB_BITS + 1);
    (shift as u64 * SUB + (value >> shift)) as usize
}

fn middle(bucket: usize) -> u64 {
    let shift = (bucket as u64 / SUB).saturating_sub(1);
    let low = (bucket as u64 - shift * SUB) << shift;
    low + ((1 << shift) - 1) / 2
}

/// One node's meter in one instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    pub(crate) successes: u64,
    pub(crate) errors: u64,
    total_ns: u64,
    times: Histogram,
    /// Of a frame that waits for inference.
    begun_ns: u64,
}

impl Meter {
    /// Keeps the time of a frame until the rest is known: the next [`Meter::took`] adds it.
    pub(crate) fn began(&mut self, ns: u64) {
        self.begun_ns = self.begun_ns.saturating_add(ns);
    }

    /// Counts the time of one frame.
    pub(crate) fn took(&mut self, ns: u64) {
        let ns = ns.saturating_add(std::mem::take(&mut self.begun_ns));
        self.total_ns = self.total_ns.saturating_add(ns);
        self.times.add(ns);
    }

    pub(crate) fn read(&self, node: Arc<str>, python: bool) -> NodeMetrics {
        NodeMetrics {
            node,
            python,
            success_count: self.successes,
            error_count: self.errors,
            execution_time_ns: self.total_ns,
            p50_ns: self.times.quantile(0.50),
            p95_ns: self.times.quantile(0.95),
            p99_ns: self.times.quantile(0.99),
        }
    }
}

/// What one node did and cost in one instance.
///
/// The time of a native node is that of its calls, inference in a batch by its share; that of a
/// Python node is what its driver measured, or else the time from hand-out to completion. The
/// quantiles are within 3 %.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeMetrics {
    /// The node's id.
    pub node: Arc<str>,
    /// Whether it runs in Python.
    pub python: bool,
    /// Frames that it took without an error.
    pub success_count: u64,
    /// Frames that it failed on.
    pub error_count: u64,
    /// Nanoseconds over all frames.
    pub execution_time_ns: u64,
    /// Median of the times, in nanoseconds.
    pub p50_ns: u64,
    /// 95 % of the times lie below.
    pub p95_ns: u64,
    /// 99 % of the times lie below.
    pub p99_ns: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_is_known_to_three_percent(value in 0..=MAX_NS) {
            let known = middle(bucket(value));
            prop_assert!(known.abs_diff(value) as f64 <= 0.016 * value as f64, "{value} {known}");
        }
    }

    #[test]
    fn buckets_are_in_order_and_without_gaps() {
        let mut last = 0;
        for value in 0..100_000 {
            let bucket = bucket(value);
            assert!(bucket == last || bucket == last + 1, "{value}");
            last = bucket;
        }
        assert_eq!(bucket(MAX_NS), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut meter = Meter::default();
        (1..=1_000).for_each(|micros| meter.took(micros * 1_000));
        let read = meter.read("n".into(), false);
        for (got, wanted) in
            [(read.p50_ns, 500_000), (read.p95_ns, 950_000), (read.p99_ns, 990_000)]
        {
            assert!((got as f64 / wanted as f64 - 1.0).abs() < 0.03, "{got} {wanted}");
        }
        assert_eq!(read.execution_time_ns, 500_500_000);
        meter.took(u64::MAX);
        assert_eq!(Meter::default().read("n".into(), false).p99_ns, 0);
    }
}
