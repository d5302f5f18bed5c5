//! Denials and `/ready` at a fixed pace, while much else happens.

use std::{thread, time::Duration};

use anyhow::{Context as _, anyhow};
use serde::Serialize;
use serde_json::json;

use super::{
    attempts,
    population::{Entry, Population},
    stage::{POD, Stage},
    wanted::Scenario,
};
use crate::{
    load::{self, Expected, LoadError, Outcome, Plan, Work},
    pace::Pace,
    process,
    report::{Report, megabytes},
    review::Template,
};

/// How many objects change.
const CHANGES: usize = 10_000;
/// How long is measured.
const WINDOW: Duration = Duration::from_secs(25);
/// Denials a second: a fraction of what the server can do.
const DENIALS: f64 = 500.0;
/// Questions a second whether it is ready.
const READY: f64 = 50.0;

/// What the server did meanwhile.
#[derive(Debug, Serialize)]
pub(super) struct Disturbed {
    pub(super) objects: usize,
    pub(super) scenario: Scenario,
    /// Denials.
    pub(super) denials: Report,
    /// Answers of `/ready`.
    pub(super) ready: Report,
    /// The most memory that the server ever took, in millions of bytes.
    pub(super) peak_mb: f64,
}

/// Requests of the population, and their grants, as they would be after somebody labelled them.
pub(super) fn changes(population: &Population<'_>, objects: usize) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for number in 0..objects {
        entries.extend(population.object(number, Some("changed"))?);
        if entries.len() >= CHANGES {
            break;
        }
    }
    entries.truncate(CHANGES);
    Ok(entries)
}

/// While these are written.
pub(super) fn burst(stage: &Stage, objects: usize, entries: &[Entry]) -> anyhow::Result<Disturbed> {
    let measuring = Measuring::start(stage)?;
    stage.running.plant_all(entries)?;
    measuring.end(stage, objects, Scenario::Burst)
}

/// While the API server is killed and started again, so that all is listed anew.
pub(super) fn relist(stage: &mut Stage, objects: usize) -> anyhow::Result<Disturbed> {
    let measuring = Measuring::start(stage)?;
    stage.restart_api_server()?;
    measuring.end(stage, objects, Scenario::Relist)
}

type Running = thread::JoinHandle<Result<Outcome, LoadError>>;

/// Both loads, each on a thread of its own.
struct Measuring {
    denials: Running,
    ready: Running,
}

impl Measuring {
    fn start(stage: &Stage) -> anyhow::Result<Self> {
        let attempt = Template::new(attempts::exec("nobody", POD, &json!(["date"])))?;
        let denials = Plan {
            target: stage.reviews("validate")?,
            work: Work::Reviews(vec![attempt]),
            expected: Some(Expected::Denied),
            connections: 16,
            pace: pace(DENIALS),
            threads: 1,
            cores: stage.cores.load.clone(),
            pid: Some(stage.pid()?),
            beside: Vec::new(),
        };
        let ready = Plan {
            target: stage.reviews("validate")?,
            work: Work::Reads(vec!["/ready".to_owned()]),
            expected: None,
            connections: 4,
            pace: pace(READY),
            threads: 1,
            cores: stage.cores.load.clone(),
            pid: None,
            beside: Vec::new(),
        };
        Ok(Self {
            denials: thread::spawn(|| load::run(denials)),
            ready: thread::spawn(|| load::run(ready)),
        })
    }

    fn end(self, stage: &Stage, objects: usize, scenario: Scenario) -> anyhow::Result<Disturbed> {
        let report = |running: Running| -> anyhow::Result<Report> {
            let outcome = running.join().map_err(|_panic| anyhow!("the load ended"))?;
            Ok(Report::new(&outcome.context("cannot measure")?))
        };
        Ok(Disturbed {
            objects,
            scenario,
            denials: report(self.denials)?,
            ready: report(self.ready)?,
            peak_mb: megabytes(process::usage(stage.pid()?)?.peak),
        })
    }
}

fn pace(rate: f64) -> Pace {
    Pace {
        rate: Some(rate),
        duration: Some(WINDOW),
        shots: None,
        warm_up: Duration::from_millis(200),
        timeout: Duration::from_secs(10),
    }
}
