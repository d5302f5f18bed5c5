//! `kubectl request list`: the requests there are, and where they stand.

use std::io;

use anstyle::{AnsiColor, Style};
use api::{AccessRequest, Phase};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::Value;

use crate::cluster::{Cluster, ClusterError, Requests};
use crate::output;
use crate::safe::safe_word;
use crate::summary;
use crate::terminal::Terminal;

/// A command is cut in the table from this many characters on.
const COMMAND: usize = 40;

const EXAMPLES: &str = "\
Examples:
  # What waits for a grant in this namespace
  kubectl request list

  # Everywhere, with the whole commands
  kubectl request list -A -o wide";

/// What `list` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ListArgs {
    /// All namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// How to print them: "wide" is the table with nothing cut
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: ListFormat,
}

/// How several requests are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// A line each.
    Table,
    /// A line each, nothing cut.
    Wide,
    /// A v1 List as JSON.
    Json,
    /// A v1 List as YAML.
    Yaml,
    /// `accessrequest.spreadgroup.com/NAME`.
    Name,
}

/// Why nothing was listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The server refused, or could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The requests could not be printed.
    #[error("cannot print the requests")]
    Print(#[from] serde_json::Error),
    /// A stream failed.
    #[error("cannot write to the terminal")]
    Terminal(#[from] io::Error),
}

/// Lists the requests; ages are those at `now`.
///
/// # Errors
/// When the server refuses to tell, or cannot be asked.
pub async fn run(args: ListArgs, cluster: &Cluster, terminal: &mut Terminal<'_>) -> Result<(), ListError> {
    let now = terminal.now.timestamp();
    let Requests { understood: requests, others } = cluster.requests(args.all_namespaces, None).await?;
    for other in others {
        let name = |name: Option<String>| safe_word(&name.unwrap_or_default());
        let (namespace, name) = (name(other.namespace), name(other.name));
        writeln!(terminal.err, "accessrequest {name} of namespace {namespace} is not understood, and not listed")?;
    }
    let text = match args.output {
        ListFormat::Json => output::json(&list(&requests)?)?,
        ListFormat::Yaml => output::yaml(&list(&requests)?),
        ListFormat::Table | ListFormat::Wide | ListFormat::Name if requests.is_empty() => {
            return Ok(writeln!(terminal.err, "{}", nothing(&args, cluster))?);
        }
        ListFormat::Name => requests.iter().map(object_name).collect(),
        ListFormat::Table | ListFormat::Wide => table(&requests, &args, now),
    };
    Ok(write!(terminal.out, "{text}")?)
}

fn nothing(args: &ListArgs, cluster: &Cluster) -> String {
    if args.all_namespaces {
        "no requests in any namespace".to_owned()
    } else {
        format!("no requests in namespace {}", safe_word(&cluster.namespace))
    }
}

fn list(requests: &[AccessRequest]) -> serde_json::Result<Value> {
    let items = requests.iter().map(output::value_of).collect::<serde_json::Result<Vec<Value>>>()?;
    Ok(output::list_of(&items))
}

fn object_name(request: &AccessRequest) -> String {
    format!("accessrequest.{}/{}\n", api::objects::GROUP, safe_word(&request.name_any()))
}

/// A cell, and whether it stands out. Every text in it is printable ASCII, or the one `…` of a cut.
struct Cell {
    text: String,
    style: Style,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, style: Style::new() }
    }
}

fn table(requests: &[AccessRequest], args: &ListArgs, now: Timestamp) -> String {
    let mut titles = vec!["NAME", "USER", "TARGET", "CONTAINER", "COMMAND", "FOR", "STATUS", "AGE"];
    if args.all_namespaces {
        titles.insert(0, "NAMESPACE");
    }
    let titles = titles.into_iter().map(|title| Cell::from(title.to_owned())).collect();
    let rows: Vec<Vec<Cell>> =
        std::iter::once(titles).chain(requests.iter().map(|request| row(request, args, now))).collect();
    let widths = widths(&rows);
    rows.iter().map(|row| line(row, &widths)).collect()
}

fn row(request: &AccessRequest, args: &ListArgs, now: Timestamp) -> Vec<Cell> {
    let command = summary::command_line(request);
    let mut row: Vec<Cell> = vec![
        safe_word(&request.name_any()).into(),
        summary::user(request).into(),
        summary::target(request).into(),
        summary::container(request).into(),
        if args.output == ListFormat::Wide { command.into() } else { cut(command).into() },
        summary::validity(request).into(),
        Cell { text: summary::phase(request).to_owned(), style: style(request) },
        age(request, now).into(),
    ];
    if args.all_namespaces {
        row.insert(0, safe_word(&request.namespace().unwrap_or_default()).into());
    }
    row
}

fn cut(command: String) -> String {
    if command.len() <= COMMAND {
        return command;
    }
    let kept: String = command.chars().take(COMMAND.saturating_sub(1)).collect();
    kept + "…"
}

fn style(request: &AccessRequest) -> Style {
    match request.status.as_ref().and_then(|status| status.phase) {
        None | Some(Phase::Pending) => AnsiColor::Yellow.on_default(),
        Some(Phase::Granted) => AnsiColor::Green.on_default(),
        Some(Phase::Denied) => AnsiColor::Red.on_default(),
        Some(Phase::Used | Phase::Expired) => Style::new().dimmed(),
    }
}

fn widths(rows: &[Vec<Cell>]) -> Vec<usize> {
    let columns = rows.first().map(Vec::len).unwrap_or_default();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count()).max();
    (0..columns).map(|column| width(column).unwrap_or_default()).collect()
}

/// Columns stand three spaces apart, as kubectl's do.
fn line(row: &[Cell], widths: &[usize]) -> String {
    let cells: Vec<String> = row.iter().zip(widths).map(|(cell, &width)| padded(cell, width)).collect();
    cells.join("   ").trim_end().to_owned() + "\n"
}

fn padded(Cell { text, style }: &Cell, width: usize) -> String {
    let gap = " ".repeat(width.saturating_sub(text.chars().count()));
    format!("{style}{text}{style:#}{gap}")
}

/// The age as kubectl shows it, in one unit: `45s`, `12m`, `5h`, `3d`.
fn age(request: &AccessRequest, now: Timestamp) -> String {
    let Some(created) = &request.metadata.creation_timestamp else { return "<unknown>".to_owned() };
    let seconds = now.duration_since(created.0).as_secs().max(0);
    let units = [("d", 86_400, 2), ("h", 3600, 3), ("m", 60, 2), ("s", 1, 0)];
    let shown = units.into_iter().find_map(|(unit, length, least)| {
        let count = seconds.checked_div(length)?;
        (count >= least).then(|| format!("{count}{unit}"))
    });
    shown.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0s")]
    #[case(-5, "0s")]
    #[case(119, "119s")]
    #[case(120, "2m")]
    #[case(10_799, "179m")]
    #[case(10_800, "3h")]
    #[case(172_799, "47h")]
    #[case(172_800, "2d")]
    fn an_age_is_shown_in_one_unit(#[case] seconds: i64, #[case] shown: &str) {
        let mut request = AccessRequest::default();
        request.metadata.creation_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        assert_eq!(age(&request, Timestamp::from_second(seconds).unwrap()), shown);
    }

    #[test]
    fn a_long_command_is_cut() {
        assert_eq!(cut("x".repeat(40)), "x".repeat(40));
        assert_eq!(cut("x".repeat(41)), "x".repeat(39) + "…");
    }
}
