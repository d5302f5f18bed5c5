//! This project's scenarios, on a control plane of their own.

mod attempts;
mod cells;
mod client;
mod disturbed;
mod models;
mod population;
mod ratios;
mod stage;
mod table;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    time::Instant,
};

use anyhow::Context as _;
use clap::ValueEnum;
use cluster::Progress;
use serde::Serialize;

use cells::{Cell, Rounds};
use disturbed::Disturbed;
use models::Models;
use population::Population;
use ratios::Ratio;
use stage::{Cores, Stage, Start};

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
    fn name(self) -> String {
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
    fn populations(&self) -> Vec<usize> {
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

    fn policies(&self, objects: usize) -> Vec<usize> {
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
    fn is_usual(&self) -> bool {
        self.is_quick && self.objects.is_empty() && self.policies.is_empty()
    }

    /// What takes half a minute is left out of a quick run, unless it is named.
    fn wants_slow(&self, scenario: Scenario) -> bool {
        self.scenarios.contains(&scenario) || (self.scenarios.is_empty() && !self.is_quick)
    }

    fn wants(&self, scenario: Scenario) -> bool {
        self.scenarios.is_empty() || self.scenarios.contains(&scenario)
    }
}

/// All that was measured.
#[derive(Debug, Serialize)]
struct Results {
    version: &'static str,
    cores: Cores,
    connections: usize,
    starts: Vec<Started>,
    decisions: Vec<Cell>,
    disturbed: Vec<Disturbed>,
    ratios: Vec<Ratio>,
    seconds: f64,
}

/// A start with that much stored.
#[derive(Debug, Serialize)]
struct Started {
    objects: usize,
    policies: usize,
    #[serde(flatten)]
    start: Start,
}

/// Measures; answers whether all was answered as it should be, and no ratio is much worse than the
/// recorded one.
///
/// # Errors
/// It cannot be measured.
pub fn run(settings: &Settings) -> anyhow::Result<bool> {
    let began = Instant::now();
    let mut suite = Suite::begin(settings)?;
    for objects in settings.populations() {
        suite.grow(objects)?;
        for policies in settings.policies(objects) {
            let measured = suite.measure(objects, policies);
            measured.with_context(|| suite.stage.last_words())?;
        }
        suite.forget_policies()?;
    }
    let ratios = ratios::of(&suite.decisions, &suite.starts);
    let ratios = if settings.is_usual() && !settings.records {
        ratios::compared(ratios)?
    } else {
        ratios
    };
    let results = Results {
        version: env!("CARGO_PKG_VERSION"),
        cores: suite.stage.cores.clone(),
        connections: cells::CONNECTIONS,
        starts: suite.starts,
        decisions: suite.decisions,
        disturbed: suite.disturbed,
        ratios,
        seconds: began.elapsed().as_secs_f64(),
    };
    if settings.records {
        ratios::record(&results.ratios)?;
    }
    let text = if settings.as_json {
        format!("{}\n", serde_json::to_string_pretty(&results)?)
    } else {
        table::of(&results)
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(results.decisions.iter().all(Cell::is_good) && results.ratios.iter().all(Ratio::is_good))
}

/// Tells lines of the table as soon as they are known: whoever ends a long run keeps them.
fn tell(write: impl FnOnce(&mut String) -> std::fmt::Result) {
    let mut text = String::new();
    if write(&mut text).is_ok() {
        Progress::Stderr.say(text.trim_end());
    }
}

struct Suite<'a> {
    settings: &'a Settings,
    stage: Stage,
    models: Models,
    now: jiff::Timestamp,
    /// How many requests of the population are stored, and how many policies.
    stored: usize,
    policies: usize,
    starts: Vec<Started>,
    decisions: Vec<Cell>,
    disturbed: Vec<Disturbed>,
}

impl<'a> Suite<'a> {
    fn begin(settings: &'a Settings) -> anyhow::Result<Self> {
        let program = match &settings.server {
            Some(program) => program.clone(),
            None => std::env::current_exe()?.with_file_name("kube-request-access"),
        };
        anyhow::ensure!(
            program.is_file(),
            "there is no server at {}",
            program.display()
        );
        let mut stage = Stage::build(&program)?;
        stage.start_server()?;
        let models = Models::make(&mut stage).context("cannot make the objects to copy")?;
        stage.stop_server();
        Ok(Self {
            settings,
            stage,
            models,
            now: jiff::Timestamp::from_second(jiff::Timestamp::now().as_second())?,
            stored: 0,
            policies: 0,
            starts: Vec::new(),
            decisions: Vec::new(),
            disturbed: Vec::new(),
        })
    }

    /// Writes what is missing of a population, while no server runs.
    fn grow(&mut self, objects: usize) -> anyhow::Result<()> {
        const AT_ONCE: usize = 2000;
        let step = Progress::Stderr.step(&format!("writing requests and grants up to {objects}"));
        let population = self.population();
        for from in (self.stored..objects).step_by(AT_ONCE) {
            let to = from.saturating_add(AT_ONCE).min(objects);
            let mut entries = Vec::new();
            for number in from..to {
                entries.extend(population.object(number, None)?);
            }
            self.stage.running.plant_all(&entries)?;
        }
        self.stored = objects;
        step.done_as(&format!("{objects} requests are stored, with their grants"));
        Ok(())
    }

    fn population(&self) -> Population<'_> {
        Population {
            models: &self.models,
            sealer: &self.stage.sealer,
            now: self.now,
        }
    }

    /// A start, and all scenarios under that many policies.
    fn measure(&mut self, objects: usize, policies: usize) -> anyhow::Result<()> {
        let mut rounds = Rounds::prepare(&self.population(), self.settings, objects, policies)?;
        self.stage.running.plant_all(rounds.entries())?;
        self.plant_policies(policies)?;
        self.stage.await_api_server()?;
        let what = format!("{objects} requests, {policies} policies");
        let step = Progress::Stderr.step(&format!("starting the server with {what}"));
        let start = self.stage.start_server()?;
        self.starts.push(Started {
            objects,
            policies,
            start,
        });
        step.done_as(&format!(
            "the server is ready with {what}: after {:.1} s, with {:.0} MB at most and {:.0} MB at rest",
            start.ready_ms / 1000.0,
            start.peak_mb,
            start.settled_mb,
        ));
        self.check_copies(objects)?;
        let step = Progress::Stderr.step(&format!("measuring with {what}"));
        let cells = rounds.measure(&mut self.stage)?;
        step.done_as(&format!("measured with {what}"));
        tell(|text| cells.iter().try_for_each(|cell| table::row(cell, text)));
        self.decisions.extend(cells);
        if policies == 0 {
            self.disturb(objects)?;
        }
        self.stage.stop_server();
        Ok(())
    }

    /// Copies are as the server would have written them: it changes none. Else a start would measure
    /// repairs.
    fn check_copies(&self, objects: usize) -> anyhow::Result<()> {
        const SAMPLE: usize = 200;
        for number in 0..objects.min(SAMPLE) {
            for (key, planted) in self.population().object(number, None)? {
                let stored = self.stage.running.stored(&key)?.unwrap_or_default();
                anyhow::ensure!(
                    stored == planted,
                    "the server wrote {key} anew:\n{}\ninstead of\n{}",
                    String::from_utf8_lossy(&stored),
                    String::from_utf8_lossy(&planted),
                );
            }
        }
        Ok(())
    }

    fn disturb(&mut self, objects: usize) -> anyhow::Result<()> {
        let mut all = Vec::new();
        if self.settings.wants_slow(Scenario::Burst) && objects > 0 {
            let entries = disturbed::changes(&self.population(), objects)?;
            all.push(disturbed::burst(&self.stage, objects, &entries)?);
        }
        if self.settings.wants_slow(Scenario::Relist) {
            all.push(disturbed::relist(&mut self.stage, objects)?);
        }
        if !all.is_empty() {
            tell(|text| table::disturbed(&all, text));
        }
        self.disturbed.extend(all);
        Ok(())
    }

    /// Makes it so many; there are never less than before.
    fn plant_policies(&mut self, policies: usize) -> anyhow::Result<()> {
        let population = self.population();
        let new: Result<Vec<_>, _> = (self.policies..policies)
            .map(|number| population.policy(number))
            .collect();
        self.stage.running.plant_all(&new?)?;
        self.policies = policies;
        Ok(())
    }

    fn forget_policies(&mut self) -> anyhow::Result<()> {
        for number in 0..self.policies {
            let (key, _) = self.population().policy(number)?;
            self.stage.running.uproot(&key)?;
        }
        self.policies = 0;
        Ok(())
    }
}
