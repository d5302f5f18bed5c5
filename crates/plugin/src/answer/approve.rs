//! `kubectl request approve`: grants requests, by name, from a list, or all that wait.

use std::collections::BTreeSet;

use api::{AccessRequest, GrantStatus, Phase};
use clap::Args;
use kube::ResourceExt;

use crate::answer::named::{Named, Tally};
use crate::answer::{Answer, AnswerError, Naming};
use crate::ask::same;
use crate::cluster::fields::Fields;
use crate::cluster::{Cluster, Requests, Which, Whole};
use crate::describe::reading;
use crate::terminal::lines::Hint;
use crate::terminal::table::{self, Form, Layout, Table};
use crate::terminal::{Reply, Terminal, kubectl};
use decide::text::safe_word;

const EXAMPLES: &str = "\
Examples:
  # Choose from what waits in this namespace
  kubectl request approve

  # One by name, for a shorter time than was asked for; one of another namespace
  kubectl request approve access-exec-jane-x4k2z --valid-for 15m
  kubectl request approve shop/access-exec-jane-x4k2z --reason 'INC-42, as discussed'

  # Go through all that waits, everywhere: identical requests are one question
  kubectl request approve --pending -A

Where several approvals are required, each approver's is stored under a name of its own.";

/// What `approve` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ApproveArgs {
    /// Names of the requests [default: choose from a list]
    #[arg(value_name = "[NAMESPACE/]NAME[@UID]")]
    pub requests: Vec<String>,
    /// Go through all that waits
    #[arg(long, conflicts_with = "requests")]
    pub pending: bool,
    /// Look for what waits in all namespaces
    #[arg(short = 'A', long, conflicts_with = "requests")]
    pub all_namespaces: bool,
    /// Grant it for a shorter time than was asked for; for a single use: how long it stays usable
    #[arg(short = 'd', long, value_name = "DURATION", allow_hyphen_values = true)]
    pub valid_for: Option<String>,
    /// Why, for whoever asked and for the record
    #[arg(long)]
    pub reason: Option<String>,
    /// Do not ask. Each request must be named with its UID, which `show` tells
    #[arg(short, long, requires = "requests", conflicts_with_all = ["pending", "all_namespaces"])]
    pub yes: bool,
}

/// Shows the requests, asks, and stores the grants.
///
/// # Errors
/// When one of them cannot be granted, or none was.
pub async fn run(
    args: ApproveArgs,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<(), AnswerError> {
    let answer = Answer {
        status: GrantStatus::Granted,
        valid_for: args.valid_for.clone(),
        reason: args.reason.clone(),
        naming: Naming::PerApprover,
    };
    answer.check_duration()?;
    if args.requests.is_empty() {
        return from_a_list(&args, &answer, cluster, terminal).await;
    }
    let mut tally = Tally::default();
    for named in Named::all(&args.requests, cluster).map_err(AnswerError::BadName)? {
        let answered = one(&named, &args, &answer, &named.place(cluster), terminal).await;
        tally
            .note(answered, terminal)
            .map_err(AnswerError::Terminal)?;
    }
    tally.end()
}

async fn one(
    named: &Named,
    args: &ApproveArgs,
    answer: &Answer,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<(), AnswerError> {
    let request = answer.read(cluster, named, args.yes, &terminal.now).await?;
    let valid_for = answer.valid_for.as_deref();
    let summary = reading::summary(&request, valid_for, cluster, terminal).await;
    write!(terminal.out, "{summary}")?;
    if !args.yes {
        answer.confirm(cluster, terminal, &request).await?;
    }
    answer.store(cluster, terminal, &request).await
}

/// What waits for somebody else than whoever asked or filed: nobody answers her own.
async fn waiting(
    args: &ApproveArgs,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<Vec<Vec<AccessRequest>>, AnswerError> {
    let me = cluster.me().await?;
    let which = Which {
        everywhere: args.all_namespaces,
        labels: None,
        fields: vec![Fields::default().in_phase(&[Phase::Pending])],
    };
    let Requests {
        mut understood,
        others,
    } = cluster.requests(which).await?;
    understood.retain(|Whole { request, .. }| {
        request.phase() == Phase::Pending && request.metadata.deletion_timestamp.is_none()
    });
    let waiting = understood.len();
    understood
        .retain(|Whole { request, .. }| me.as_ref().is_none_or(|me| !me.is_party_to(request)));
    let own = waiting.saturating_sub(understood.len());
    if own > 0 {
        writeln!(
            terminal.err,
            "left out: {own} that you asked for or filed yourself, which others must answer"
        )?;
    }
    // What is not known of them may be what matters.
    let (known, partly): (Vec<Whole>, Vec<Whole>) = understood
        .into_iter()
        .partition(|whole| whole.unknown().is_empty());
    let left_out = others.len().saturating_add(partly.len());
    if left_out > 0 {
        writeln!(
            terminal.err,
            "left out: {left_out} that this version does not understand (see '{}')",
            kubectl::told(cluster, Hint::ListOfLeftOut, "")
        )?;
    }
    let requests = known.into_iter().map(|whole| whole.request);
    Ok(same::grouped(requests.collect()))
}

async fn from_a_list(
    args: &ApproveArgs,
    answer: &Answer,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<(), AnswerError> {
    let groups = waiting(args, cluster, terminal).await?;
    if groups.is_empty() {
        writeln!(terminal.err, "{}", nothing(args, cluster)).map_err(AnswerError::Terminal)?;
        return Ok(());
    }
    let groups = choose(groups, args, terminal)?;
    let (mut tally, mut granted) = (Tally::default(), false);
    for group in groups {
        if !agreed(&group, answer, cluster, terminal).await? {
            continue;
        }
        granted = true;
        for request in &group {
            let place = cluster.in_namespace(&request.namespace().unwrap_or_default());
            let stored = store(request, answer, &place, terminal).await;
            tally
                .note(stored, terminal)
                .map_err(AnswerError::Terminal)?;
        }
    }
    if granted {
        tally.end()
    } else {
        Err(AnswerError::NotConfirmed)
    }
}

fn nothing(args: &ApproveArgs, cluster: &Cluster) -> String {
    let place = if args.all_namespaces {
        "in any namespace".to_owned()
    } else {
        format!("in namespace {}", safe_word(&cluster.namespace))
    };
    format!("no request waits for you {place}")
}

/// All of the groups where nobody is to choose, those that are picked at a terminal, or those whose
/// numbers are typed.
fn choose(
    groups: Vec<Vec<AccessRequest>>,
    args: &ApproveArgs,
    terminal: &mut Terminal<'_>,
) -> Result<Vec<Vec<AccessRequest>>, AnswerError> {
    let now = terminal.now.timestamp();
    let pick = terminal.pick.filter(|_| !args.pending);
    let places: BTreeSet<usize> = if let Some(pick) = pick {
        let (titles, rows) = table::rows_to_pick(&groups, args.all_namespaces, now);
        pick(&titles, &rows)?.into_iter().collect()
    } else {
        let layout = Layout {
            namespaces: args.all_namespaces,
            form: Form::Numbered,
            width: terminal.columns(),
        };
        write!(terminal.out, "{}", Table::of(&groups, layout, now).1)?;
        if args.pending {
            (0..groups.len()).collect()
        } else {
            typed(groups.len(), terminal)?
        }
    };
    if places.is_empty() {
        return Err(AnswerError::NotChosen);
    }
    let numbered = groups.into_iter().enumerate();
    // A row does not show all of a request: each is shown whole, and asked about.
    Ok(numbered
        .filter(|(place, _)| places.contains(place))
        .map(|(_, group)| group)
        .collect())
}

/// The places of the groups, of so many, whose numbers are typed.
fn typed(groups: usize, terminal: &mut Terminal<'_>) -> Result<BTreeSet<usize>, AnswerError> {
    let typed = terminal.ask_for("Which ones (numbers, or 'all')?")?;
    let words = typed.split([' ', ',']).filter(|word| !word.is_empty());
    let mut places = BTreeSet::new();
    for word in words {
        let number = word
            .parse()
            .ok()
            .and_then(|number: usize| number.checked_sub(1));
        match number.filter(|place| *place < groups) {
            _ if word == "all" => places.extend(0..groups),
            Some(place) => drop(places.insert(place)),
            None => {
                return Err(AnswerError::NotInList {
                    text: word.to_owned(),
                    last: groups,
                });
            }
        }
    }
    Ok(places)
}

/// Shows what the requests of a group have in common, and asks once.
async fn agreed(
    group: &[AccessRequest],
    answer: &Answer,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<bool, AnswerError> {
    let Some(first) = group.first() else {
        return Ok(false);
    };
    let place = cluster.in_namespace(&first.namespace().unwrap_or_default());
    let valid_for = answer.valid_for.as_deref();
    let summary = reading::summary_of_all(group, valid_for, &place, terminal).await;
    write!(terminal.out, "\n{summary}")?;
    let at = place.place();
    let question = if group.len() > 1 {
        format!(
            "Grant access to these {} requests, {at} ([yN])?",
            group.len()
        )
    } else {
        format!(
            "Grant access to request {}, {at} ([yN])?",
            safe_word(&first.name_any())
        )
    };
    match terminal.ask(&question)? {
        Reply::Yes => Ok(true),
        Reply::No => {
            writeln!(terminal.err, "skipped {}", safe_word(&first.name_any()))?;
            Ok(false)
        }
        Reply::Shrank => Err(AnswerError::Shrank),
        Reply::NobodyAsked => Err(AnswerError::NobodyAsked {
            line: answer.again_with_yes(&place, first),
        }),
    }
}

async fn store(
    request: &AccessRequest,
    answer: &Answer,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<(), AnswerError> {
    answer.check_unchanged(cluster, terminal, request).await?;
    answer.refuse_longer(request)?;
    answer.store(cluster, terminal, request).await
}
