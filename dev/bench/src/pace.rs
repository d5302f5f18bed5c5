//! When each shot is fired.
//!
//! In a closed loop a connection fires when it has its last answer: a server that stalls is asked
//! less, and so its stall is hardly seen in percentiles. In an open loop shots have times of their
//! own, whatever the server does, and latency counts from these times (no coordinated omission).

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// How long, and how fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Shots a second; `None` is a closed loop.
    pub rate: Option<f64>,
    /// How long is fired; `None`: until all shots are.
    pub duration: Option<Duration>,
    /// Maximum number of shots.
    pub shots: Option<u64>,
    /// What is fired so long at the beginning is not counted.
    pub warm_up: Duration,
    /// The latest that an answer may come.
    pub timeout: Duration,
}

/// A shot that is to be fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Its number, from 0.
    pub number: u64,
    /// When it is to be fired; `None`: now.
    pub at: Option<Instant>,
    /// Whether it counts.
    pub counts: bool,
}

/// Deals out the shots of one run to all connections.
#[derive(Debug)]
pub struct Dealer {
    pace: Pace,
    started: Instant,
    dealt: AtomicU64,
}

impl Dealer {
    /// Begins.
    pub fn new(pace: Pace, started: Instant) -> Self {
        Self {
            pace,
            started,
            dealt: AtomicU64::new(0),
        }
    }

    /// Since when shots count.
    pub fn counts_from(&self) -> Instant {
        later(self.started, self.pace.warm_up)
    }

    fn ends(&self) -> Option<Instant> {
        Some(later(self.counts_from(), self.pace.duration?))
    }

    /// The next shot; `None` when all were fired.
    pub fn next(&self, now: Instant) -> Option<Turn> {
        let ends = self.ends();
        if self.pace.rate.is_none() && ends.is_some_and(|ends| now >= ends) {
            return None;
        }
        let number = self.dealt.fetch_add(1, Ordering::Relaxed);
        if self.pace.shots.is_some_and(|shots| number >= shots) {
            return None;
        }
        let at = self.pace.rate.map(|rate| self.due(number, rate));
        if at.is_some_and(|at| ends.is_some_and(|ends| at >= ends)) {
            return None;
        }
        Some(Turn {
            number,
            at,
            counts: at.unwrap_or(now) >= self.counts_from(),
        })
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "2^52 shots are more than anybody fires"
    )]
    fn due(&self, number: u64, rate: f64) -> Instant {
        let after = Duration::try_from_secs_f64(number as f64 / rate);
        later(self.started, after.unwrap_or(Duration::MAX))
    }

    /// Whether a shot that was due then is too late to be fired at all.
    pub fn is_hopeless(&self, at: Instant, now: Instant) -> bool {
        now.saturating_duration_since(at) > self.pace.timeout
    }
}

/// Far times are as good as never.
fn later(start: Instant, by: Duration) -> Instant {
    const YEAR: Duration = Duration::from_hours(24 * 365);
    start.checked_add(by.min(YEAR)).unwrap_or(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace() -> Pace {
        Pace {
            rate: None,
            duration: Some(Duration::from_secs(2)),
            shots: None,
            warm_up: SECOND,
            timeout: SECOND,
        }
    }

    #[test]
    fn a_closed_loop_fires_now_and_ends_with_its_time() {
        let start = Instant::now();
        let dealer = Dealer::new(pace(), start);
        let first = dealer.next(start).unwrap();
        assert_eq!((first.number, first.at, first.counts), (0, None, false));
        assert!(dealer.next(start + SECOND).unwrap().counts);
        assert_eq!(dealer.next(start + SECOND * 3), None);
    }

    #[test]
    fn an_open_loop_fires_on_time_however_late_it_is_asked() {
        let start = Instant::now();
        let dealer = Dealer::new(
            Pace {
                rate: Some(2.0),
                ..pace()
            },
            start,
        );
        // Asked at the very end: nothing is left out.
        let late = start + SECOND * 30;
        let turns: Vec<Turn> = std::iter::from_fn(|| dealer.next(late)).collect();
        let due: Vec<_> = turns
            .iter()
            .map(|turn| (turn.at.unwrap() - start).as_millis())
            .collect();
        assert_eq!(due, [0, 500, 1000, 1500, 2000, 2500]);
        assert_eq!(turns.iter().filter(|turn| turn.counts).count(), 4);
        assert!(dealer.is_hopeless(turns[5].at.unwrap(), late));
        assert!(!dealer.is_hopeless(turns[5].at.unwrap(), start + SECOND * 3));
    }

    #[test]
    fn so_many_shots_are_fired_as_were_ordered() {
        let start = Instant::now();
        let pace = Pace {
            shots: Some(3),
            duration: None,
            ..pace()
        };
        let dealer = Dealer::new(pace, start);
        assert_eq!(std::iter::from_fn(|| dealer.next(start)).count(), 3);
    }
}
