//! From refused to running: jane asks with `--run`, and amy approves what her `kubectl get --watch`
//! shows.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write},
    process::{Child, ChildStdout, Stdio},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use crate::{
    stage::{Person, Stage},
    stories::ASK,
    terminal::Terminal,
};

const PATIENCE: Duration = Duration::from_mins(1);

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) median: Duration,
}

/// What amy does with a request.
struct Answer {
    seen: Instant,
    granted: Instant,
}

/// Her watch; it ends when this is dropped.
struct Approver {
    watch: Child,
    answers: Receiver<anyhow::Result<Answer>>,
}

/// Measures so often, and tells every time.
pub(crate) fn measure(stage: &Stage, rounds: u32, out: &mut impl Write) -> anyhow::Result<Times> {
    let approver = Approver::begin(stage)?;
    let mut times = Vec::new();
    for round in 1..=rounds {
        let (seen, granted, running) = once(stage, &approver)?;
        let [seen, granted, running_at] = [seen, granted, running].map(|time| time.as_secs_f64());
        writeln!(
            out,
            "{round}. {running_at:.2} s   (amy sees it after {seen:.2} s, has granted it after {granted:.2} s)"
        )?;
        times.push(running);
    }
    times.sort();
    let middle = times.len().checked_div(2).unwrap_or_default();
    let (Some(&least), Some(&median)) = (times.first(), times.get(middle)) else {
        bail!("nothing was measured")
    };
    writeln!(
        out,
        "least {:.2} s, median {:.2} s",
        least.as_secs_f64(),
        median.as_secs_f64()
    )?;
    Ok(Times { median })
}

/// How long after jane's command was started amy saw it, had granted it, and it ran.
fn once(stage: &Stage, approver: &Approver) -> anyhow::Result<(Duration, Duration, Duration)> {
    let started = Instant::now();
    let mut asked = Terminal::start(stage.desk(Person::Jane).command("script"), ASK, |_| {})?;
    let runs = asked.until(|said| said.contains("\nnginx-"));
    let running = started.elapsed();
    let (status, said) = asked.end()?;
    if !runs || !status.success() {
        bail!("{ASK} ended with {status} and said:\n{said}");
    }
    let answer = approver
        .answers
        .recv_timeout(PATIENCE)
        .context("nobody answered")??;
    let since = |time: Instant| time.saturating_duration_since(started);
    Ok((since(answer.seen), since(answer.granted), running))
}

impl Approver {
    /// Returns once she sees all that is there already.
    fn begin(stage: &Stage) -> anyhow::Result<Self> {
        let desk = stage.desk(Person::Amy);
        let kubectl = move |arguments: &[&str]| {
            let mut kubectl = desk.command("kubectl");
            kubectl.args(arguments).stdin(Stdio::null());
            kubectl
        };
        let listed = run::kubectl::output(&mut kubectl(&["get", "acr", "-o", "name"]), None)?;
        let mut unseen: BTreeSet<String> = listed.lines().map(str::to_owned).collect();
        let mut watch = kubectl(&["get", "acr", "-o", "name", "--watch"]);
        let mut watch = watch
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot watch requests")?;
        let stdout = watch.stdout.take().context("the watch says nothing")?;
        let (sender, answers) = mpsc::channel();
        // From here on the watch ends with it.
        let approver = Self { watch, answers };
        let mut lines = BufReader::new(stdout);
        let mut seen = BTreeSet::new();
        while !unseen.is_empty() {
            let name = next(&mut lines)?;
            unseen.remove(&name);
            seen.insert(name);
        }
        let approve = move |name: &str| {
            let uid = ["get", "acr", name, "-o", "jsonpath={.metadata.uid}"];
            let uid = run::kubectl::output(&mut kubectl(&uid), None)?;
            let exactly = format!("{name}@{uid}");
            let mut approve = kubectl(&["request", "approve", &exactly, "--yes"]);
            run::kubectl::output(&mut approve, None)
        };
        thread::spawn(move || answer_all(lines, seen, approve, &sender));
        Ok(approver)
    }
}

impl Drop for Approver {
    fn drop(&mut self) {
        // Both fail only where it is gone already.
        let _gone = self.watch.kill();
        let _reaped = self.watch.wait();
    }
}

/// Answers every request that was not seen before, until the watch ends.
fn answer_all(
    mut lines: BufReader<ChildStdout>,
    mut seen: BTreeSet<String>,
    approve: impl Fn(&str) -> Result<String, run::kubectl::KubectlError>,
    to: &Sender<anyhow::Result<Answer>>,
) {
    while let Ok(name) = next(&mut lines) {
        let request = name.rsplit('/').next().unwrap_or_default().to_owned();
        if !seen.insert(name) {
            continue;
        }
        let at = Instant::now();
        let granted = approve(&request);
        let answer = granted.map(|_said| Answer {
            seen: at,
            granted: Instant::now(),
        });
        if to.send(answer.map_err(Into::into)).is_err() {
            return;
        }
    }
}

fn next(lines: &mut BufReader<ChildStdout>) -> anyhow::Result<String> {
    let mut line = String::new();
    if lines.read_line(&mut line)? == 0 {
        bail!("the watch has ended");
    }
    Ok(line.trim().to_owned())
}
