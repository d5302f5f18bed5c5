//! What `kubectl request …` can go on with, as kubectl asks for it: it runs
//! `kubectl_complete-request` with the words that stand there, the last of which is the one to
//! complete, and reads candidates and a directive as cobra prints them.
//!
//! Quiet: whoever presses a key wants no error, so what cannot be found out has no candidates.

pub mod completion;
mod words;

use api::{AccessRequest, Phase};
use clap::{CommandFactory, Parser};
use kube::ResourceExt;

use self::words::Words;
use crate::args::Cli;
use crate::cluster::fields::Fields;
use crate::cluster::{Cluster, Kind, Which};
use crate::connect::kubeconfig;
use crate::connect::{ConnectError, ConnectionFlags};
use crate::describe::{self, summary};
use crate::target::{Target, Workload};
use decide::text::safe_word;

/// kubectl runs us under this name.
pub const PROGRAM: &str = "kubectl_complete-request";
/// Or a script runs us with this word.
pub const WORD: &str = "__complete";

/// More candidates help nobody.
const MAX_CANDIDATES: usize = 500;

/// The shell completes files where there are no candidates.
const FILES: u8 = 0;
/// It does not.
const NO_FILES: u8 = 4;
/// And writes no space behind the candidate.
const GOES_ON: u8 = 6;

/// What to go on with.
struct Candidates {
    values: Vec<(String, String)>,
    directive: u8,
}

impl Candidates {
    fn none(directive: u8) -> Self {
        Self {
            values: Vec::new(),
            directive,
        }
    }

    fn plain(values: impl IntoIterator<Item = String>) -> Self {
        Self {
            values: values
                .into_iter()
                .map(|value| (value, String::new()))
                .collect(),
            directive: NO_FILES,
        }
    }

    /// As cobra prints them. A candidate that a shell could misread is left out.
    fn text(mut self, current: &str) -> String {
        let plain = |value: &str| {
            value
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.:@/+=".contains(c))
        };
        self.values
            .retain(|(value, _)| value.starts_with(current) && plain(value));
        let lines =
            self.values
                .iter()
                .map(|(value, description)| match description.lines().next() {
                    Some(first) if !first.is_empty() => format!("{value}\t{first}\n"),
                    Some(_) | None => format!("{value}\n"),
                });
        lines.collect::<String>() + &format!(":{}\n", self.directive)
    }
}

/// What is printed where nothing is found out in time.
pub fn nothing() -> String {
    Candidates::none(NO_FILES).text("")
}

/// The candidates for the last of the words, and the directive.
pub async fn run(
    words: &[String],
    reach: impl FnOnce(&ConnectionFlags) -> Result<Cluster, ConnectError>,
) -> String {
    let mut command = Cli::command();
    command.build();
    let words = Words::read(&command, words);
    let candidates = match local(&words) {
        Some(candidates) => candidates,
        None => from_cluster(&words, reach)
            .await
            .unwrap_or_else(|| Candidates::none(NO_FILES)),
    };
    candidates.text(words.current)
}

/// What needs no cluster.
fn local(words: &Words<'_>) -> Option<Candidates> {
    if words.is_command {
        return Some(Candidates::none(FILES));
    }
    if let Some(flag) = words.expecting {
        return value_of(words, flag);
    }
    if words.current.starts_with('-') {
        let flags = words
            .verb
            .get_arguments()
            .filter(|flag| !flag.is_hide_set());
        let told = |help: Option<&clap::builder::StyledStr>| {
            help.map(ToString::to_string).unwrap_or_default()
        };
        let values = flags
            .filter_map(|flag| Some((format!("--{}", flag.get_long()?), told(flag.get_help()))));
        return Some(Candidates {
            values: values.collect(),
            directive: NO_FILES,
        });
    }
    if words.verb.has_subcommands() {
        let verbs = words
            .verb
            .get_subcommands()
            .filter(|verb| !verb.is_hide_set());
        let told = |about: Option<&clap::builder::StyledStr>| {
            about.map(ToString::to_string).unwrap_or_default()
        };
        let values = verbs
            .map(|verb| (verb.get_name().to_owned(), told(verb.get_about())))
            .collect();
        return Some(Candidates {
            values,
            directive: NO_FILES,
        });
    }
    let place = words.verb.get_positionals().nth(words.positionals.len());
    place
        .map(clap::Arg::get_possible_values)
        .filter(|values| !values.is_empty())
        .map(|values| of_values(&values))
}

fn of_values(values: &[clap::builder::PossibleValue]) -> Candidates {
    Candidates::plain(values.iter().map(|value| value.get_name().to_owned()))
}

/// `None`: the cluster knows.
fn value_of(words: &Words<'_>, flag: &clap::Arg) -> Option<Candidates> {
    let values = flag.get_possible_values();
    match flag.get_id().as_str() {
        _ if !values.is_empty() => Some(of_values(&values)),
        "container" | "target_container" | "namespace" => None,
        "context" => {
            let read = kubeconfig::read(connection(words)?.kubeconfig.as_deref()).ok()?;
            Some(Candidates::plain(
                read.kubeconfig
                    .contexts
                    .into_iter()
                    .map(|context| context.name),
            ))
        }
        "kubeconfig" | "certificate_authority" | "client_certificate" | "client_key" => {
            Some(Candidates::none(FILES))
        }
        _ => Some(Candidates::none(NO_FILES)),
    }
}

#[derive(Parser)]
struct Connection {
    #[command(flatten)]
    flags: ConnectionFlags,
}

/// The connection flags among the words.
fn connection(words: &Words<'_>) -> Option<ConnectionFlags> {
    let command = Connection::command();
    let known = |long: &str| {
        command
            .get_arguments()
            .any(|flag| flag.get_long() == Some(long))
    };
    let given = words
        .values
        .iter()
        .filter_map(|(flag, value)| Some((flag.get_long()?, value)));
    let line = given
        .filter(|(long, _)| known(long))
        .map(|(long, value)| format!("--{long}={value}"));
    Connection::try_parse_from(std::iter::once("kubectl".to_owned()).chain(line))
        .ok()
        .map(|connection| connection.flags)
}

async fn from_cluster(
    words: &Words<'_>,
    reach: impl FnOnce(&ConnectionFlags) -> Result<Cluster, ConnectError>,
) -> Option<Candidates> {
    let cluster = reach(&connection(words)?).ok()?;
    match words.expecting.map(|flag| flag.get_id().as_str()) {
        Some("namespace") => {
            return Some(Candidates::plain(
                cluster.names(Kind::Namespace).await.ok()?,
            ));
        }
        Some(_) => return containers(words.positionals.first()?, &cluster).await,
        None => {}
    }
    let first = words.positionals.is_empty();
    match words.verb.get_name() {
        "exec" | "shell" | "attach" | "debug" if first => {
            targets(words.current, false, &cluster).await
        }
        "port-forward" if first => targets(words.current, true, &cluster).await,
        "cp" => {
            let pods = cluster.names(Kind::Pod).await.ok()?;
            let values = pods
                .into_iter()
                .map(|pod| (pod + ":", String::new()))
                .collect();
            // Where no pod begins so, it is a file.
            Some(Candidates {
                values,
                directive: 2,
            })
        }
        "approve" | "deny" | "review" | "withdraw" | "revoke" => requests(words, &cluster).await,
        "grant" | "show" | "again" | "extend" if first => requests(words, &cluster).await,
        _ => None,
    }
}

/// `POD` and the kinds that can stand before a `/`, or the names of one kind.
async fn targets(current: &str, services: bool, cluster: &Cluster) -> Option<Candidates> {
    let Some((typed, _)) = current.split_once('/') else {
        let pods = cluster.names(Kind::Pod).await.ok()?;
        let kinds = Workload::ALL
            .map(Workload::singular)
            .into_iter()
            .chain(services.then_some("service"));
        let kinds: Vec<String> = kinds
            .map(|kind| format!("{kind}/"))
            .filter(|kind| kind.starts_with(current))
            .collect();
        // A space behind a kind would end the word.
        let alone = !kinds.is_empty() && !pods.iter().any(|pod| pod.starts_with(current));
        let directive = if alone { GOES_ON } else { NO_FILES };
        return Some(Candidates {
            directive,
            ..Candidates::plain(pods.into_iter().chain(kinds))
        });
    };
    let kind = match Target::parse(&format!("{typed}/x")) {
        Ok(Target::Pod(_)) => Kind::Pod,
        Ok(Target::Workload(workload, _)) => Kind::Workload(workload),
        Err(_) if services => Kind::Service,
        Err(_) => return None,
    };
    let names = cluster.names(kind).await.ok()?;
    Some(Candidates::plain(
        names.into_iter().map(|name| format!("{typed}/{name}")),
    ))
}

async fn containers(target: &str, cluster: &Cluster) -> Option<Candidates> {
    let target = target.split(':').next().unwrap_or(target);
    let spec = match Target::parse(target).ok()? {
        Target::Pod(name) => cluster.pod(&name).await.ok()?.spec?,
        Target::Workload(kind, name) => {
            cluster
                .workload(kind, &name)
                .await
                .ok()?
                .spec
                .template
                .spec?
        }
    };
    Some(Candidates::plain(
        spec.containers.into_iter().map(|container| container.name),
    ))
}

/// The requests that the verb can do something with, but for those that stand there already.
async fn requests(words: &Words<'_>, cluster: &Cluster) -> Option<Candidates> {
    let verb = words.verb.get_name();
    let me = if ["withdraw", "again", "extend"].contains(&verb) {
        Some(cluster.me().await.ok()??)
    } else {
        None
    };
    let phases: Option<&[Phase]> = match verb {
        "approve" | "grant" | "withdraw" => Some(&[Phase::Pending]),
        "deny" => Some(&[Phase::Pending, Phase::Granted]),
        "revoke" | "extend" => Some(&[Phase::Granted]),
        _ => None,
    };
    let fits = |request: &AccessRequest| {
        let name = request.name_any();
        phases.is_none_or(|phases| phases.contains(&request.phase()))
            && (verb != "review" || request.is_unreviewed())
            && me.as_ref().is_none_or(|me| me.asks_in(request))
            && name.starts_with(words.current)
            && !words.has(&name)
    };
    let among = phases.map(|phases| Fields::default().in_phase(phases));
    let fields = match &me {
        Some(me) => {
            let among = among.unwrap_or_default();
            cluster.fields_of(me, false, &among).await.ok()?
        }
        None => among.map(|among| vec![among]),
    };
    let mut pages = cluster.list(Which {
        fields: fields.unwrap_or_default(),
        ..Which::default()
    });
    let mut values = Vec::new();
    while values.len() < MAX_CANDIDATES
        && let Some(page) = pages.next().await.ok()?
    {
        let requests = page.understood.iter().map(|whole| &whole.request);
        let fitting = requests.filter(|request| fits(request));
        values.extend(fitting.map(candidate));
    }
    Some(Candidates {
        values,
        directive: NO_FILES,
    })
}

fn candidate(request: &AccessRequest) -> (String, String) {
    let told = [
        describe::words::user(request),
        summary::target(request),
        summary::phase(request).to_owned(),
    ];
    (safe_word(&request.name_any()), told.join(", "))
}
