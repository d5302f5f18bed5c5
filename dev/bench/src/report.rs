//! What a run is told as: lines for people, JSON for programs.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde::Serialize;

use crate::load::Outcome;

/// From this part of its time on, the load generator is what limits.
const BUSY: f64 = 0.9;

/// What came of a run, in numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// From the first shot that counts to the last answer.
    pub seconds: f64,
    /// How many answers there were.
    pub answers: u64,
    /// Answers a second.
    pub per_second: f64,
    /// Reviews that were allowed.
    pub allowed: u64,
    /// Reviews that were denied.
    pub denied: u64,
    /// The same by the code in the answer.
    pub denied_by_code: BTreeMap<u16, u64>,
    /// What went wrong, and how often.
    pub errors: BTreeMap<String, u64>,
    /// How often a connection had to be made anew.
    pub reconnects: u64,
    /// How long answers took.
    pub latency_ms: Latency,
    /// What it cost the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Cost>,
    /// The part of its time that the load generator was busy.
    pub generator_busy: f64,
}

/// How long answers took, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// Half of them at most.
    pub p50: f64,
    /// Nine of ten.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1000.
    pub p999: f64,
    /// All.
    pub max: f64,
}

/// What a run cost the server.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Cost {
    /// Processor time.
    pub cpu_seconds: f64,
    /// The same for a thousand answers.
    pub cpu_seconds_per_1000: f64,
    /// Resident memory afterwards, in bytes.
    pub rss_bytes: u64,
    /// The most that it ever was since the server started, in bytes.
    pub peak_rss_bytes: u64,
}

impl Report {
    /// The numbers of an outcome.
    pub fn new(outcome: &Outcome) -> Self {
        let tally = &outcome.tally;
        let answers = tally.answers();
        let seconds = outcome.elapsed.as_secs_f64();
        let at = |percent| milliseconds(tally.percentile(percent));
        let faults = tally.faults.iter();
        Self {
            seconds,
            answers,
            per_second: ratio(number(answers), seconds),
            allowed: tally.allowed,
            denied: tally.denied.values().sum(),
            denied_by_code: tally.denied.clone(),
            errors: faults
                .map(|(fault, &count)| (fault.to_string(), count))
                .collect(),
            reconnects: tally.reconnects,
            latency_ms: Latency {
                p50: at(50.0),
                p90: at(90.0),
                p99: at(99.0),
                p999: at(99.9),
                max: milliseconds(tally.longest()),
            },
            server: outcome.server.map(|usage| Cost {
                cpu_seconds: usage.cpu.as_secs_f64(),
                cpu_seconds_per_1000: ratio(usage.cpu.as_secs_f64() * 1000.0, number(answers)),
                rss_bytes: usage.rss,
                peak_rss_bytes: usage.peak,
            }),
            generator_busy: outcome.busy,
        }
    }

    /// How many shots went wrong.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The same for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            // Writing to a String cannot fail.
            let _: std::fmt::Result = writeln!(text, "{name:<12}{value}");
        };
        line(
            "answers",
            format!(
                "{} in {:.1} s, {:.0} a second",
                self.answers, self.seconds, self.per_second
            ),
        );
        let codes: Vec<String> = self
            .denied_by_code
            .iter()
            .map(|(code, count)| format!("{count} with code {code}"))
            .collect();
        let codes = if codes.is_empty() {
            String::new()
        } else {
            format!(" ({})", codes.join(", "))
        };
        line(
            "decisions",
            format!("{} allowed, {} denied{codes}", self.allowed, self.denied),
        );
        let Latency {
            p50,
            p90,
            p99,
            p999,
            max,
        } = self.latency_ms;
        line(
            "latency",
            format!(
                "p50 {p50:.2} ms, p90 {p90:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms, max {max:.2} ms"
            ),
        );
        if let Some(cost) = self.server {
            line(
                "server",
                format!(
                    "{:.3} CPU seconds per 1,000 answers; {:.1} MB resident, {:.1} MB at most",
                    cost.cpu_seconds_per_1000,
                    megabytes(cost.rss_bytes),
                    megabytes(cost.peak_rss_bytes),
                ),
            );
        }
        line("errors", self.failed().to_string());
        for (error, count) in &self.errors {
            line("", format!("{count} × {error}"));
        }
        if self.reconnects > 0 {
            line(
                "reconnects",
                format!(
                    "{}: connections were closed, and handshakes are part of these latencies",
                    self.reconnects
                ),
            );
        }
        if self.generator_busy > BUSY {
            line(
                "note",
                format!(
                    "the load generator was busy {:.0} % of its time: it may be what limits",
                    self.generator_busy * 100.0
                ),
            );
        }
        text
    }
}

/// In milliseconds.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// In millions of bytes.
pub fn megabytes(bytes: u64) -> f64 {
    number(bytes) / 1e6
}

/// As a number that can be divided.
#[expect(clippy::cast_precision_loss, reason = "nobody counts so far")]
pub fn number(count: u64) -> f64 {
    count as f64
}

/// One through the other; 0 where there is no other.
pub fn ratio(one: f64, other: f64) -> f64 {
    if other > 0.0 { one / other } else { 0.0 }
}
