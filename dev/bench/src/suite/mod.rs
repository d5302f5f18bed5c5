//! This project's scenarios, on a control plane of their own.

mod attempts;
mod cells;
mod client;
mod disturbed;
mod models;
mod population;
mod ratios;
mod results;
mod stage;
mod table;
mod wanted;

use std::{
    io::{self, Write as _},
    time::Instant,
};

use anyhow::Context as _;
use cluster::Progress;

use cells::{Cell, Rounds};
use disturbed::Disturbed;
use models::Models;
use population::Population;
use ratios::Ratio;
use results::Results;
use stage::{Stage, Started};
pub use wanted::{MAX_POLICIES, Scenario, Settings};

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

    /// Copies have the status that the server would have written: it changes none. Else a start would
    /// measure repairs.
    fn check_copies(&self, objects: usize) -> anyhow::Result<()> {
        const SAMPLE: usize = 200;
        let status = |object: &[u8]| -> anyhow::Result<serde_json::Value> {
            let mut object: serde_json::Value = serde_json::from_slice(object)?;
            Ok(object
                .get_mut("status")
                .map(serde_json::Value::take)
                .unwrap_or_default())
        };
        for number in 0..objects.min(SAMPLE) {
            for (key, planted) in self.population().object(number, None)? {
                let stored = self.stage.running.stored(&key)?;
                let stored = stored.with_context(|| format!("{key} is gone"))?;
                let (stored, planted) = (status(&stored)?, status(&planted)?);
                anyhow::ensure!(
                    stored == planted,
                    "the server wrote the status of {key} anew:\n{stored}\ninstead of\n{planted}"
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
