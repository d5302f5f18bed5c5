//! What can be compared between machines: how many times as much one thing costs as another that was
//! measured beside it.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::{cells::Cell, stage::Started, wanted::Scenario};
use crate::report::ratio;

/// A ratio may be so many times the recorded one.
const TOLERANCE: f64 = 1.5;

/// How many times as much one thing costs as another. More is worse.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Ratio {
    pub(super) name: &'static str,
    /// What it says.
    pub(super) meaning: String,
    pub(super) value: f64,
    /// What it was when it was last written down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recorded: Option<f64>,
}

impl Ratio {
    pub(super) fn is_good(&self) -> bool {
        self.recorded
            .is_none_or(|recorded| self.value <= recorded * TOLERANCE)
    }
}

/// Those that can be made of what was measured.
pub(super) fn of(cells: &[Cell], starts: &[Started]) -> Vec<Ratio> {
    let Some(most) = starts.iter().map(|start| start.objects).max() else {
        return Vec::new();
    };
    let find = |scenario, objects, policies| {
        cells.iter().find(|cell| {
            (cell.scenario, cell.objects, cell.policies) == (scenario, objects, policies)
        })
    };
    let cpu = |scenario, objects| Some(find(scenario, objects, 0)?.cpu_seconds_per_1000);
    // How long one takes.
    let time = |scenario, policies| Some(ratio(1.0, find(scenario, most, policies)?.per_second));
    let memory = |objects| {
        let found = starts
            .iter()
            .find(|start| (start.objects, start.policies) == (objects, 0));
        Some(found?.start.settled_mb)
    };
    let of = |name, meaning: String, one: Option<f64>, other: Option<f64>| {
        let (one, other) = (one?, other?);
        (one > 0.0 && other > 0.0).then(|| Ratio {
            name,
            meaning,
            value: ratio(one, other),
            recorded: None,
        })
    };
    let grown = most > 0;
    [
        of(
            "deny-beside-40",
            format!(
                "CPU of a denial of somebody who has 40 requests, to one who has none (at {most})"
            ),
            cpu(Scenario::DenyBeside, most),
            cpu(Scenario::Deny, most),
        ),
        of(
            "deny-full",
            format!("CPU of a denial at {most} requests, to one at none"),
            cpu(Scenario::Deny, most).filter(|_| grown),
            cpu(Scenario::Deny, 0),
        ),
        of(
            "allow-to-reads",
            format!("time of an allow, to that of the reads it needs (at {most})"),
            time(Scenario::Allow, 0),
            time(Scenario::Reads, 0),
        ),
        of(
            "allow-to-reads-500-policies",
            format!("the same under 500 policies (at {most})"),
            time(Scenario::Allow, 500),
            time(Scenario::Reads, 500),
        ),
        of(
            "once-to-reads",
            format!("time of an allow that spends a single use, to that of the reads (at {most})"),
            time(Scenario::AllowOnce, 0),
            time(Scenario::Reads, 0),
        ),
        of(
            "memory-full",
            format!("memory at rest with {most} requests, to that with none"),
            memory(most).filter(|_| grown),
            memory(0),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn file() -> PathBuf {
    run::checkout().join("dev/bench/ratios.json")
}

/// Beside the recorded ones.
pub(super) fn compared(ratios: Vec<Ratio>) -> anyhow::Result<Vec<Ratio>> {
    let file = file();
    let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let recorded: BTreeMap<String, f64> = serde_json::from_slice(&text)
        .with_context(|| format!("{} has something else than ratios", file.display()))?;
    Ok(ratios
        .into_iter()
        .map(|ratio| Ratio {
            recorded: recorded.get(ratio.name).copied(),
            ..ratio
        })
        .collect())
}

/// Writes them down.
pub(super) fn record(ratios: &[Ratio]) -> anyhow::Result<()> {
    let values: BTreeMap<&str, f64> = ratios
        .iter()
        .map(|ratio| (ratio.name, (ratio.value * 100.0).round() / 100.0))
        .collect();
    let file = file();
    fs::write(
        &file,
        format!("{}\n", serde_json::to_string_pretty(&values)?),
    )
    .with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio_of(value: f64, recorded: Option<f64>) -> Ratio {
        Ratio {
            name: "deny-full",
            meaning: String::new(),
            value,
            recorded,
        }
    }

    #[test]
    fn half_as_much_again_is_too_much_and_less_is_never() {
        assert!(ratio_of(1.5, Some(1.0)).is_good());
        assert!(!ratio_of(1.6, Some(1.0)).is_good());
        assert!(ratio_of(0.1, Some(1.0)).is_good());
        assert!(ratio_of(9.0, None).is_good());
    }
}
