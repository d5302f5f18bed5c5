//! What came of all shots.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::{connection::Fault, review::Codes};

/// Longer latencies are counted as this, in nanoseconds.
const LONGEST: u64 = 3_600_000_000_000;

/// Counts of one connection, or of several added up. Percentiles are made of the sum, and never
/// averaged.
#[derive(Debug)]
pub struct Tally {
    latencies: Histogram<u64>,
    /// Reviews that were allowed, and reads that were answered.
    pub allowed: u64,
    /// Reviews that were denied, by the code of the answer.
    pub denied: Codes,
    /// What went wrong, by kind.
    pub faults: BTreeMap<Fault, u64>,
    /// How often a connection was made anew.
    pub reconnects: u64,
    /// When the last answer came.
    pub last: Option<Instant>,
}

impl Tally {
    /// Nothing yet.
    ///
    /// # Errors
    /// Never in practice: the bounds are good.
    pub fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            latencies: Histogram::new_with_bounds(1000, LONGEST, 3)?,
            allowed: 0,
            denied: Codes::new(),
            faults: BTreeMap::new(),
            reconnects: 0,
            last: None,
        })
    }

    /// An answer that took so long; the code, where it is a denial.
    pub fn answer(&mut self, latency: Duration, denied: Option<u16>, at: Instant) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(LONGEST);
        self.latencies.saturating_record(nanos);
        let count = match denied {
            Some(code) => self.denied.entry(code).or_default(),
            None => &mut self.allowed,
        };
        *count = count.saturating_add(1);
        self.last = Some(at);
    }

    /// A shot without an answer that counts.
    pub fn fault(&mut self, fault: Fault) {
        let count = self.faults.entry(fault).or_default();
        *count = count.saturating_add(1);
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: Self) {
        // Both have the same bounds.
        let _: Result<(), hdrhistogram::AdditionError> = self.latencies.add(&other.latencies);
        self.allowed = self.allowed.saturating_add(other.allowed);
        self.reconnects = self.reconnects.saturating_add(other.reconnects);
        for (code, count) in other.denied {
            let sum = self.denied.entry(code).or_default();
            *sum = sum.saturating_add(count);
        }
        for (fault, count) in other.faults {
            let sum = self.faults.entry(fault).or_default();
            *sum = sum.saturating_add(count);
        }
        self.last = self.last.max(other.last);
    }

    /// How many answers there were.
    pub fn answers(&self) -> u64 {
        self.latencies.len()
    }

    /// The latency that so many of a hundred answers did not exceed.
    pub fn percentile(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.latencies.value_at_percentile(percent))
    }

    /// The longest.
    pub fn longest(&self) -> Duration {
        if self.latencies.is_empty() {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.latencies.max())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sum_and_not_averaged() {
        let now = Instant::now();
        let (mut quick, mut slow) = (Tally::new().unwrap(), Tally::new().unwrap());
        for _ in 0..999 {
            quick.answer(Duration::from_millis(1), None, now);
        }
        slow.answer(Duration::from_secs(5), Some(403), now);
        slow.fault(Fault::Late);
        quick.add(slow);
        assert_eq!(quick.answers(), 1000);
        assert_eq!((quick.allowed, quick.denied[&403]), (999, 1));
        assert_eq!(quick.percentile(99.0).as_millis(), 1);
        assert!(quick.longest() >= Duration::from_secs(5));
        assert_eq!(quick.faults[&Fault::Late], 1);
    }

    #[test]
    fn nothing_has_no_longest() {
        let nothing = Tally::new().unwrap();
        assert_eq!(nothing.longest(), Duration::ZERO);
        assert_eq!(nothing.percentile(50.0), Duration::ZERO);
    }
}
