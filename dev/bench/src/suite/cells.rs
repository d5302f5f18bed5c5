//! The scenarios in which reviews are answered: several short rounds, in each of which all of them
//! have their turn, so that whatever else the machine does meets all alike.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use jiff::SignedDuration;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    attempts,
    models::{API, path},
    population::{Copy, Entry, Population},
    stage::{NAMESPACE, POD, Stage},
    wanted::{Scenario, Settings},
};
use crate::{
    load::{self, Expected, Outcome, Plan, Work},
    pace::Pace,
    report::{Report, number, ratio},
    review::{self, Template},
    tally::Tally,
};

/// How many reviews are made at once.
pub(super) const CONNECTIONS: usize = 4;
/// How many requests the busy one has.
const BESIDE: usize = 40;
/// How many people file and are granted requests.
const WRITERS: usize = 100;
/// How many single uses are spent in a round.
const ONCE: usize = 60;

/// What one scenario came to.
#[derive(Debug, Serialize)]
pub(super) struct Cell {
    pub(super) objects: usize,
    pub(super) policies: usize,
    pub(super) scenario: Scenario,
    /// The medians of the rounds.
    pub(super) per_second: f64,
    pub(super) cpu_seconds_per_1000: f64,
    /// The same of etcd and the API server.
    pub(super) control_plane_cpu_seconds_per_1000: f64,
    /// All rounds together.
    pub(super) report: Report,
}

impl Cell {
    pub(super) fn is_good(&self) -> bool {
        self.report.failed() == 0 && self.report.answers > 0
    }
}

/// All rounds of all scenarios at one population.
pub(super) struct Rounds<'a> {
    settings: &'a Settings,
    objects: usize,
    policies: usize,
    own: Own,
}

/// What the scenarios themselves need to be stored.
#[derive(Default)]
struct Own {
    entries: Vec<Entry>,
    /// Who has a grant for once.
    once: Vec<String>,
    /// Requests that are to be granted: names and UIDs.
    pending: Vec<(String, String)>,
}

impl<'a> Rounds<'a> {
    pub(super) fn prepare(
        population: &Population<'_>,
        settings: &'a Settings,
        objects: usize,
        policies: usize,
    ) -> anyhow::Result<Self> {
        let mut own = Own::default();
        let cell = format!("{objects}-{policies}");
        own.add(
            population,
            "allowed",
            "allowed",
            &json!(["date"]),
            Kind::Granted,
        )?;
        for number in 0..BESIDE {
            let name = format!("beside-{number}");
            own.add(
                population,
                &name,
                "busy",
                &json!(["cat", format!("/var/log/app-{number}.log")]),
                Kind::Granted,
            )?;
        }
        for number in 0..WRITERS {
            let name = format!("pending-{number}");
            let uid = own.add(
                population,
                &name,
                &format!("asker-{number}"),
                &json!(["date"]),
                Kind::Pending,
            )?;
            own.pending.push((name, uid));
        }
        let rounds = Self {
            settings,
            objects,
            policies,
            own: Own::default(),
        };
        if rounds.wants(Scenario::AllowOnce) {
            for number in 0..ONCE.saturating_mul(rounds.count()) {
                let name = format!("once-{cell}-{number}");
                own.add(population, &name, &name, &json!(["date"]), Kind::Once)?;
                own.once.push(name);
            }
        }
        Ok(Self { own, ..rounds })
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.own.entries
    }

    fn count(&self) -> usize {
        if self.settings.is_quick { 3 } else { 5 }
    }

    /// How long one scenario lasts in one round.
    fn window(&self) -> Duration {
        Duration::from_millis(if self.settings.is_quick { 800 } else { 2500 })
    }

    /// Under policies, what they have to do with.
    fn wants(&self, scenario: Scenario) -> bool {
        let under = match scenario {
            Scenario::Deny | Scenario::Reads | Scenario::Allow => true,
            // Each takes requests of its own.
            Scenario::AllowOnce => self.policies != 10,
            Scenario::DenyBeside
            | Scenario::CreateMutate
            | Scenario::CreateValidate
            | Scenario::GrantMutate
            | Scenario::GrantValidate => self.policies == 0,
            Scenario::Burst | Scenario::Relist => false,
        };
        under && self.settings.wants(scenario)
    }

    pub(super) fn measure(&mut self, stage: &mut Stage) -> anyhow::Result<Vec<Cell>> {
        let writes = self.writes(stage)?;
        let mut outcomes: BTreeMap<Scenario, Vec<Outcome>> = BTreeMap::new();
        for round in 0..self.count() {
            for scenario in <Scenario as clap::ValueEnum>::value_variants() {
                if !self.wants(*scenario) {
                    continue;
                }
                let plan = self.plan(stage, *scenario, &writes, round)?;
                let outcome = load::run(plan)
                    .with_context(|| format!("cannot measure {}", scenario.name()))?;
                outcomes.entry(*scenario).or_default().push(outcome);
            }
        }
        outcomes
            .into_iter()
            .map(|(scenario, outcomes)| self.cell(scenario, outcomes))
            .collect()
    }

    fn cell(&self, scenario: Scenario, outcomes: Vec<Outcome>) -> anyhow::Result<Cell> {
        let reports: Vec<Report> = outcomes.iter().map(Report::new).collect();
        let costs = reports.iter().filter_map(|report| report.server);
        let cpu_seconds_per_1000 = median(costs.map(|cost| cost.cpu_seconds_per_1000).collect());
        let beside = outcomes.iter().map(|outcome| {
            let answers = number(outcome.tally.answers());
            ratio(outcome.beside.as_secs_f64() * 1000.0, answers)
        });
        let control_plane_cpu_seconds_per_1000 = median(beside.collect());
        let per_second = median(reports.iter().map(|report| report.per_second).collect());
        Ok(Cell {
            objects: self.objects,
            policies: self.policies,
            scenario,
            per_second,
            cpu_seconds_per_1000,
            control_plane_cpu_seconds_per_1000,
            report: Report::new(&together(outcomes)?),
        })
    }

    /// The reviews of filing and granting, one pair for each writer; empty where nobody wants them.
    fn writes(&self, stage: &Stage) -> anyhow::Result<Writes> {
        let mut writes = Writes::default();
        if self.wants(Scenario::CreateMutate) || self.wants(Scenario::CreateValidate) {
            for number in 0..WRITERS {
                let write =
                    attempts::filing(stage, &format!("new-{number}"), &format!("asker-{number}"))?;
                writes.filing.0.push(write.mutate);
                writes.filing.1.push(write.validate);
            }
        }
        if self.wants(Scenario::GrantMutate) || self.wants(Scenario::GrantValidate) {
            for (number, (name, uid)) in self.own.pending.iter().enumerate() {
                let approver = format!("lead-{}", number % 20);
                let write = attempts::granting(stage, name, uid, &approver)?;
                writes.granting.0.push(write.mutate);
                writes.granting.1.push(write.validate);
            }
        }
        Ok(writes)
    }

    fn plan(
        &self,
        stage: &Stage,
        scenario: Scenario,
        writes: &Writes,
        round: usize,
    ) -> anyhow::Result<Plan> {
        let exec = |user: &str| Template::new(attempts::exec(user, POD, &json!(["date"])));
        let (work, expected, way) = match scenario {
            Scenario::Deny => (vec![exec("nobody")?], Expected::Denied, "validate"),
            Scenario::DenyBeside => (vec![exec("busy")?], Expected::Denied, "validate"),
            Scenario::Allow => (vec![exec("allowed")?], Expected::Allowed, "validate"),
            Scenario::AllowOnce => {
                let users = self
                    .own
                    .once
                    .iter()
                    .skip(round.saturating_mul(ONCE))
                    .take(ONCE);
                (
                    users.map(|user| exec(user)).collect::<Result<_, _>>()?,
                    Expected::Allowed,
                    "validate",
                )
            }
            Scenario::CreateMutate => (writes.filing.0.clone(), Expected::Allowed, "mutate"),
            Scenario::CreateValidate => (writes.filing.1.clone(), Expected::Allowed, "validate"),
            Scenario::GrantMutate => (writes.granting.0.clone(), Expected::Allowed, "mutate"),
            Scenario::GrantValidate => (writes.granting.1.clone(), Expected::Allowed, "validate"),
            Scenario::Reads | Scenario::Burst | Scenario::Relist => return Ok(self.reads(stage)),
        };
        let shots = (scenario == Scenario::AllowOnce)
            .then(|| u64::try_from(work.len()).unwrap_or_default());
        Ok(Plan {
            target: stage.reviews(way)?,
            work: Work::Reviews(work),
            expected: Some(expected),
            connections: CONNECTIONS,
            pace: self.pace(shots),
            threads: 1,
            cores: stage.cores.load.clone(),
            pid: Some(stage.pid()?),
            beside: stage.control_plane(),
        })
    }

    /// What the server reads before it allows, from where the server runs.
    fn reads(&self, stage: &Stage) -> Plan {
        let paths = vec![
            path("accessrequests", "allowed"),
            path("accessgrants", "allowed"),
            format!("/api/v1/namespaces/{NAMESPACE}/pods/{POD}"),
            format!("{API}/accesspolicies?limit=500"),
        ];
        Plan {
            target: stage.api.target().clone(),
            work: Work::Reads(paths),
            expected: None,
            connections: CONNECTIONS,
            pace: self.pace(None),
            threads: 1,
            cores: stage.cores.server.clone(),
            pid: None,
            beside: stage.control_plane(),
        }
    }

    fn pace(&self, shots: Option<u64>) -> Pace {
        Pace {
            rate: None,
            duration: shots.is_none().then(|| self.window()),
            shots,
            warm_up: if shots.is_some() {
                Duration::ZERO
            } else {
                Duration::from_millis(200)
            },
            timeout: Duration::from_secs(10),
        }
    }
}

/// Templates for `/mutate` and for `/validate`.
#[derive(Default)]
struct Writes {
    filing: (Vec<Template>, Vec<Template>),
    granting: (Vec<Template>, Vec<Template>),
}

#[derive(Clone, Copy)]
enum Kind {
    Pending,
    Granted,
    Once,
}

impl Own {
    /// Answers with the UID of the request.
    fn add(
        &mut self,
        population: &Population<'_>,
        name: &str,
        user: &str,
        command: &Value,
        kind: Kind,
    ) -> anyhow::Result<String> {
        let model = match kind {
            Kind::Pending => &population.models.pending,
            Kind::Granted => &population.models.granted,
            Kind::Once => &population.models.once,
        };
        let uids = [review::uid(), review::uid()];
        let uid = uids[0].clone();
        let copy = Copy {
            name,
            namespace: NAMESPACE,
            user,
            approver: "lead",
            command: command.clone(),
            pod: None,
            uids,
            age: SignedDuration::from_secs(60),
            label: None,
        };
        self.entries.extend(population.copy(model, &copy)?);
        Ok(uid)
    }
}

/// All outcomes as one. Percentiles come from all latencies.
fn together(outcomes: Vec<Outcome>) -> anyhow::Result<Outcome> {
    let mut sum = Outcome {
        tally: Tally::new()?,
        elapsed: Duration::ZERO,
        server: None,
        beside: Duration::ZERO,
        busy: 0.0,
    };
    for outcome in outcomes {
        sum.tally.add(outcome.tally);
        sum.beside = sum.beside.saturating_add(outcome.beside);
        sum.elapsed = sum.elapsed.saturating_add(outcome.elapsed);
        sum.busy = sum.busy.max(outcome.busy);
        sum.server = match (sum.server, outcome.server) {
            (Some(before), Some(now)) => Some(crate::process::Usage {
                cpu: before.cpu.saturating_add(now.cpu),
                ..now
            }),
            (before, now) => now.or(before),
        };
    }
    Ok(sum)
}

/// The one in the middle; 0 of none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len().checked_div(2).unwrap_or_default();
    values.get(middle).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_round_that_was_disturbed_moves_no_median() {
        assert!((median(vec![1.0, 100.0, 1.2]) - 1.2).abs() < f64::EPSILON);
        assert!(median(Vec::new()).abs() < f64::EPSILON);
    }
}
