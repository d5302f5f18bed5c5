//! What is to be measured.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

/// Something that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// An attempt of somebody who asked for nothing
    Deny,
    /// An attempt of somebody who has 40 requests for other commands
    DenyBeside,
    /// The bare reads that an allow needs, made at once by a client that does nothing else
    Reads,
    /// An attempt under a grant for some time
    Allow,
    /// An attempt under a grant for once, which it spends
    AllowOnce,
    /// A request is filed: the review that stamps and seals it
    CreateMutate,
    /// The same: the review that checks it
    CreateValidate,
    /// A request is granted: the review that stamps and seals the grant
    GrantMutate,
    /// The same: the review that checks it
    GrantValidate,
    /// Denials, and /ready, while 10,000 objects change
    Burst,
    /// The same while the API server restarts and everything is listed anew
    Relist,
}

impl Scenario {
    pub(super) fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }
}

/// As many as the server reads before an allow.
pub const MAX_POLICIES: usize = 500;

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Settings {
    /// In less than three minutes.
    pub is_quick: bool,
    /// With how many requests; empty: the usual ones.
    pub objects: Vec<usize>,
    /// Under how many policies; empty: the usual ones.
    pub policies: Vec<usize>,
    /// Only these; empty: all.
    pub scenarios: Vec<Scenario>,
    /// The server, where it is another than the one beside this program.
    pub server: Option<PathBuf>,
    /// Whether the ratios are written down.
    pub records: bool,
    /// Whether JSON is printed.
    pub as_json: bool,
}

impl Settings {
    pub(super) fn populations(&self) -> Vec<usize> {
        let mut wanted = match (self.objects.as_slice(), self.is_quick) {
            ([], true) => vec![0, 5000],
            ([], false) => vec![0, 1000, 10_000, 100_000],
            (given, _) => given.to_vec(),
        };
        // They only grow.
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    pub(super) fn policies(&self, objects: usize) -> Vec<usize> {
        let mut wanted = match (self.policies.as_slice(), self.is_quick, objects) {
            ([], true, 0) => vec![0],
            ([], true, _) => vec![0, 500],
            ([], false, _) => vec![0, 10, 500],
            (given, _, _) => given.to_vec(),
        };
        // They only grow, too, while the population stays.
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// Whether the ratios are those that are recorded.
    pub(super) fn is_usual(&self) -> bool {
        self.is_quick && self.objects.is_empty() && self.policies.is_empty()
    }

    /// What takes half a minute is left out of a quick run, unless it is named.
    pub(super) fn wants_slow(&self, scenario: Scenario) -> bool {
        self.scenarios.contains(&scenario) || (self.scenarios.is_empty() && !self.is_quick)
    }

    pub(super) fn wants(&self, scenario: Scenario) -> bool {
        self.scenarios.is_empty() || self.scenarios.contains(&scenario)
    }
}
