//! `kubectl request report`: who would have been stopped, had the gate been shut instead of looking
//! on.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use api::report::{self, Report, Stopped};
use clap::{Args, ValueEnum};
use decide::argv;
use serde_json::json;

use crate::ask::secrets;
use crate::cluster::{Cluster, ClusterError};
use crate::look::drafts;
use crate::terminal::Terminal;
use crate::terminal::kubectl;
use crate::terminal::lines::Hint;
use crate::terminal::output;
use crate::terminal::table;
use crate::terminal::times;
use decide::text::{safe, safe_word};

/// Maximum number of named users whose attempts were left out.
const MAX_NAMES: usize = 10;
const EXAMPLES: &str = "\
Examples:
  # Who would have been stopped since observe mode began
  kubectl request report

  # Policies for the ServiceAccounts among them, to be read, thinned out, and applied
  kubectl request report --policies > policies.yaml

  # For a script
  kubectl request report -o json

It needs the right to get the Secret kube-request-access-observed beside the server. Of people's commands only the
program is kept.";

/// What `report` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReportArgs {
    /// Print policies that would let the ServiceAccounts go on, ready to review
    #[arg(long, conflicts_with = "output")]
    pub policies: bool,
    /// Namespace of the server
    #[arg(long, value_name = "NAMESPACE", default_value = "kube-request-access")]
    pub server_namespace: String,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: ReportFormat,
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// Grouped by user and ServiceAccount.
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The server refused, or could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// What is stored is no report.
    #[error(
        "the Secret {} does not hold a report: delete it, and apply the overlay again",
        report::NAME
    )]
    NoReport(#[source] serde_json::Error),
    /// It could not be printed.
    #[error("cannot print the report")]
    Print(#[source] serde_json::Error),
    /// A stream failed.
    #[error("cannot write to the terminal")]
    Terminal(#[from] io::Error),
}

/// Prints what observe mode saw.
///
/// # Errors
/// When the server refuses to tell, or cannot be asked.
pub async fn run(
    args: &ReportArgs,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<(), ReportError> {
    let stored = match cluster
        .in_namespace(&args.server_namespace)
        .secret(report::NAME)
        .await
    {
        Ok(stored) => stored,
        Err(error) if error.is_not_found() => {
            return nothing(terminal);
        }
        Err(error) => return Err(error.into()),
    };
    let text = stored
        .data
        .as_ref()
        .and_then(|data| data.get(report::KEY))
        .map_or(b"".as_slice(), |text| &text.0);
    // A new installation's.
    if text.is_empty() {
        return nothing(terminal);
    }
    let report: Report = serde_json::from_slice(text).map_err(ReportError::NoReport)?;
    let text = match args.output {
        _ if args.policies => drafts::of(&report),
        ReportFormat::Table => shown(&report, terminal),
        ReportFormat::Json => output::json(&json!(report)).map_err(ReportError::Print)?,
        ReportFormat::Yaml => output::yaml(&json!(report)),
    };
    write!(terminal.out, "{text}")?;
    let programs = report.stopped.iter().any(|one| one.attempt.is_program());
    if programs && !args.policies && args.output == ReportFormat::Table {
        writeln!(
            terminal.err,
            "Policies for the ServiceAccounts, to review: {}",
            kubectl::told(
                cluster,
                Hint::ReportPolicies,
                &format!("--server-namespace={}", args.server_namespace)
            )
        )?;
    }
    Ok(())
}

fn nothing(terminal: &mut Terminal<'_>) -> Result<(), ReportError> {
    let text = "Nothing has been observed: no webhook looks on (deploy/observe), or nobody has tried anything yet.";
    Ok(writeln!(terminal.err, "{text}")?)
}

fn shown(report: &Report, terminal: &Terminal<'_>) -> String {
    let mut text = summary(report, terminal);
    if report.stopped.is_empty() {
        return text;
    }
    let mut groups: BTreeMap<&str, Vec<&Stopped>> = BTreeMap::new();
    for one in &report.stopped {
        groups.entry(&one.attempt.user).or_default().push(one);
    }
    let mut groups: Vec<(&str, Vec<&Stopped>)> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(total(group)));
    let titles = ["WHO", "TIMES", "NAMESPACE", "RESOURCE", "COMMAND", "LAST"]
        .map(str::to_owned)
        .to_vec();
    let mut rows = vec![titles];
    for (user, mut group) in groups {
        group.sort_by_key(|one| std::cmp::Reverse(one.times));
        for (at, one) in group.iter().enumerate() {
            rows.push(row(if at == 0 { user } else { "" }, one, terminal));
        }
    }
    text.push_str(&table::plain(&rows));
    text
}

fn row(user: &str, one: &Stopped, terminal: &Terminal<'_>) -> Vec<String> {
    let attempt = &one.attempt;
    let namespace = attempt
        .namespace
        .as_deref()
        .map_or_else(|| "-".to_owned(), safe_word);
    let door = if attempt.interactive {
        format!("{} -it", attempt.resource)
    } else {
        attempt.resource.clone()
    };
    vec![
        if user.is_empty() {
            String::new()
        } else {
            safe_word(user)
        },
        one.times.to_string(),
        namespace,
        safe(&door),
        what(one),
        times::relative(one.last, &terminal.now),
    ]
}

fn what(one: &Stopped) -> String {
    let attempt = &one.attempt;
    let rest = if attempt.cut { " …" } else { "" };
    match &attempt.path {
        Some(path) => {
            let port = attempt
                .port
                .as_ref()
                .map(|port| format!(":{port}"))
                .unwrap_or_default();
            format!("{}{rest}", safe(&format!("{port}{path}")))
        }
        None if attempt.command.is_empty() => "-".to_owned(),
        None => format!(
            "{}{rest}",
            safe(&argv::shell_line(&secrets::mask(&attempt.command)))
        ),
    }
}

fn total(group: &[&Stopped]) -> u64 {
    group
        .iter()
        .map(|one| one.times)
        .fold(0, u64::saturating_add)
}

/// How many would have been stopped, and how many not.
fn summary(report: &Report, terminal: &Terminal<'_>) -> String {
    let all: Vec<&Stopped> = report.stopped.iter().collect();
    let users: std::collections::BTreeSet<&str> =
        all.iter().map(|one| one.attempt.user.as_str()).collect();
    let programs = users
        .iter()
        .filter(|user| user.starts_with("system:serviceaccount:"))
        .count();
    let people = users.len().saturating_sub(programs);
    let since = report
        .since
        .map(|since| times::told(since, &terminal.now))
        .unwrap_or_default();
    let mut text = format!(
        "Observed since {since}: {} would have been stopped, of {} and {}; {} would have passed.\n",
        count(total(&all).saturating_add(report.forgotten), "attempt"),
        count(u64::try_from(people).unwrap_or_default(), "user"),
        count(
            u64::try_from(programs).unwrap_or_default(),
            "ServiceAccount"
        ),
        report.passed,
    );
    if report.forgotten > 0 {
        let _infallible = writeln!(
            text,
            "{} are not shown: there were too many different ones{}.",
            count(report.forgotten, "attempt"),
            of(report)
        );
    }
    text
}

/// Whose attempts were left out, most first. What somebody tried may hide among them.
fn of(report: &Report) -> String {
    let mut users: Vec<_> = report.forgotten_of.iter().collect();
    users.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
    let shown: Vec<_> = users
        .iter()
        .take(MAX_NAMES)
        .map(|(user, times)| format!("{times} of {}", safe(user)))
        .collect();
    let more = if users.len() > MAX_NAMES {
        ", and others"
    } else {
        ""
    };
    if shown.is_empty() {
        String::new()
    } else {
        format!(" ({}{more})", shown.join(", "))
    }
}

fn count(count: u64, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}
