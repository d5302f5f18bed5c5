//! `kubectl request policy test`: what policies would do, without a cluster, for those who keep
//! them in Git.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use api::AccessPolicy;
use api::policy::PolicyFault;
use clap::{Args, Subcommand};
use decide::access::{Ask, AttachAsk, Command, DebugAsk, ExecAsk, Request, Validity};
use decide::attempt::Door;
use decide::debug::{DebugContainer, Profile, SECURITY_CONTEXT};
use decide::duration::{self, DurationError, MAX_ACCESS};
use decide::explain;
use decide::identity::{NamePrefix, Person};
use decide::ruling::{Foretold, Policies};
use jiff::Timestamp;
use serde::Deserialize;

use crate::connect::ConnectionFlags;
use crate::terminal::Terminal;
use decide::text::safe;

const EXAMPLES: &str = "\
Examples:
  # The cases of a table, in CI: the exit code is 1 where one is not as expected
  kubectl request policy test cases.yaml

  # One case
  kubectl request policy test -f policy.yaml --as jane --as-group devs -n staging -- ls /

A table:
  policies: [policy.yaml]              # beside the table; or -f
  cases:
  - {user: jane, groups: [devs], namespace: staging, command: [ls, /], expect: Allow, policy: low-risk}
  - {user: jane, namespace: prod, subresource: attach, interactive: true, expect: Deny}
  - {user: jane, namespace: prod, command: [ls], reason: OPS-7, validFor: 1h, expect: Approve, approvals: 2}
  - {serviceAccount: ci/bot, namespace: staging, command: [date], expect: Approve}

Allow: no request is needed. Grant: a request is granted at once. Approve: people must. Deny: refused.";

/// The verbs about policies.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
#[command(disable_help_subcommand = true)]
pub struct PolicyArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: PolicyVerb,
}

/// What can be done with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyVerb {
    /// Say what policies in files would do, without a cluster
    Test(TestArgs),
}

/// What `policy test` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TestArgs {
    /// Tables of cases
    #[arg(value_name = "CASES.yaml")]
    pub tables: Vec<PathBuf>,
    /// Files with policies, beside those that the tables name
    #[arg(short, long = "filename", value_name = "FILE")]
    pub filename: Vec<PathBuf>,
    /// The subresource of the one case: exec, attach, portforward, ephemeralcontainers
    #[arg(long, default_value = "exec")]
    pub subresource: String,
    /// Whether somebody can type into it
    #[arg(short, long)]
    pub interactive: bool,
    /// Whether a debug container has more rights than a container of the pod
    #[arg(long)]
    pub privileged: bool,
    /// The reason of the one case
    #[arg(long)]
    pub reason: Option<String>,
    /// For how long it is asked for
    #[arg(short = 'd', long, value_name = "DURATION")]
    pub valid_for: Option<String>,
    /// The command of the one case
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// A table of cases.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Files with policies, relative to the table.
    #[serde(default)]
    policies: Vec<PathBuf>,
    cases: Vec<Case>,
}

/// A case: who does what where, and what is expected.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    name: Option<String>,
    user: Option<String>,
    /// `NAMESPACE/NAME`, instead of `user`.
    service_account: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    namespace: String,
    subresource: Option<String>,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    interactive: bool,
    /// With `subresource: ephemeralcontainers`.
    #[serde(default)]
    privileged: bool,
    valid_for: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    keys: BTreeMap<String, String>,
    expect: Option<Expectation>,
    /// With `Approve`: how many.
    approvals: Option<u32>,
    /// The policy that must decide.
    policy: Option<String>,
}

/// What is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Expectation {
    Allow,
    Grant,
    Approve,
    Deny,
}

/// Why policies were not tested, or are not as expected.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {why}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A policy makes no sense.
    #[error("{}: policy {name}: {fault}", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// The policy.
        name: String,
        /// Where it is wrong.
        fault: PolicyFault,
    },
    /// A case makes no sense.
    #[error("{case}: {why}")]
    Case {
        /// Which.
        case: String,
        /// Why.
        why: String,
    },
    /// There is nothing to test.
    #[error(
        "name a table of cases, or one case by -f POLICY.yaml --as USER -n NAMESPACE -- COMMAND"
    )]
    Nothing,
    /// Some cases are not as expected.
    #[error("{failed} of {all} cases are not as expected")]
    Failed {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
    },
    /// A stream failed.
    #[error("cannot write to the terminal")]
    Terminal(#[from] io::Error),
}

/// Tests what was named. Who the one case is comes from `--as` and `--as-group`, where from
/// `--namespace`.
///
/// # Errors
/// A file or case makes no sense, or a case is not as expected.
pub fn run(
    args: PolicyArgs,
    who: &ConnectionFlags,
    terminal: &mut Terminal<'_>,
) -> Result<(), PolicyError> {
    let PolicyVerb::Test(args) = args.verb;
    let files = read_policies(&args.filename)?;
    let mut verdicts = Vec::new();
    for path in &args.tables {
        let table: Table =
            serde_saphyr::from_str(&read(path)?).map_err(|error| content(path, &error))?;
        let beside = path.parent().unwrap_or(Path::new(""));
        let more: Vec<PathBuf> = table
            .policies
            .iter()
            .map(|file| beside.join(file))
            .collect();
        let policies = policies(files.iter().chain(&read_policies(&more)?))?;
        for (number, case) in (1..).zip(table.cases) {
            let name = case.title(&format!("{}, case {number}", path.display()));
            verdicts.push(tell(&name, &case, &policies, terminal)?);
        }
    }
    if let Some(case) = one_case(&args, who) {
        verdicts.push(tell(
            &case.title("this"),
            &case,
            &policies(files.iter())?,
            terminal,
        )?);
    }
    let failed = verdicts.iter().filter(|as_expected| !**as_expected).count();
    match verdicts.len() {
        0 => Err(PolicyError::Nothing),
        _ if failed == 0 => Ok(()),
        all => Err(PolicyError::Failed { failed, all }),
    }
}

/// The case on the command line, where there is one.
fn one_case(args: &TestArgs, who: &ConnectionFlags) -> Option<Case> {
    let user = who.as_user.clone()?;
    Some(Case {
        user: Some(user),
        groups: who.as_group.clone(),
        namespace: who
            .namespace
            .clone()
            .unwrap_or_else(|| "default".to_owned()),
        subresource: Some(args.subresource.clone()),
        command: args.command.clone(),
        interactive: args.interactive,
        privileged: args.privileged,
        reason: args.reason.clone(),
        valid_for: args.valid_for.clone(),
        ..Case::default()
    })
}

fn read(path: &Path) -> Result<String, PolicyError> {
    fs::read_to_string(path).map_err(|source| PolicyError::Read {
        path: path.to_owned(),
        source,
    })
}

fn content(path: &Path, why: &impl ToString) -> PolicyError {
    PolicyError::Content {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

/// The policies of files, each with the file that it is from; several documents stand in one.
fn read_policies(paths: &[PathBuf]) -> Result<Vec<(PathBuf, AccessPolicy)>, PolicyError> {
    let mut all = Vec::new();
    for path in paths {
        let documents: Vec<AccessPolicy> =
            serde_saphyr::from_multiple(&read(path)?).map_err(|error| content(path, &error))?;
        all.extend(documents.into_iter().map(|policy| (path.clone(), policy)));
    }
    Ok(all)
}

fn policies<'a>(
    read: impl Iterator<Item = &'a (PathBuf, AccessPolicy)>,
) -> Result<Policies, PolicyError> {
    let value = |(path, object): &(PathBuf, AccessPolicy)| {
        api::policy::policy(object).map_err(|fault| {
            let name = safe(object.metadata.name.as_deref().unwrap_or_default());
            PolicyError::Policy {
                path: path.clone(),
                name,
                fault,
            }
        })
    };
    read.map(value).collect()
}

/// Prints what would become of a case, and whether that is as expected.
fn tell(
    title: &str,
    case: &Case,
    policies: &Policies,
    terminal: &mut Terminal<'_>,
) -> Result<bool, PolicyError> {
    let request = case.request().map_err(|why| PolicyError::Case {
        case: title.to_owned(),
        why,
    })?;
    let prefix = NamePrefix::default();
    let ruling = policies.of_request(&request, &prefix);
    let requiring: Vec<&str> = ruling
        .requiring()
        .map(|policy| policy.id.name.as_str())
        .collect();
    let foretold = ruling.outcome(&request, &prefix);
    let as_expected = case.expects(&foretold, &requiring);
    let word = match (case.expect, as_expected) {
        (None, _) => "    ",
        (Some(_), true) => "ok  ",
        (Some(_), false) => "FAIL",
    };
    writeln!(
        terminal.out,
        "{word} {}: {}",
        safe(title),
        safe(&told(&foretold, &requiring))
    )?;
    Ok(as_expected)
}

fn told(foretold: &Foretold<'_>, requiring: &[&str]) -> String {
    match foretold {
        Foretold::Allowed(policy) => format!("Allow, by policy {}", policy.name),
        Foretold::Granted(granting) => {
            let review = granting.review_within.map(|within| {
                format!(
                    ", as an emergency: it must be reviewed within {}",
                    duration::show(within)
                )
            });
            format!(
                "Grant, by policy {}{}",
                granting.policy.name,
                review.unwrap_or_default()
            )
        }
        Foretold::Refused(forbidden) => format!("Deny: {}", explain::forbids(forbidden)),
        Foretold::Waits(wanted) => {
            let sets = if wanted.from.is_empty() {
                String::new()
            } else {
                format!(", one of {}", wanted.from.join(", one of "))
            };
            let by = if requiring.is_empty() {
                "no policy".to_owned()
            } else {
                format!("policy {}", requiring.join(", "))
            };
            format!("Approve, {} needed{sets}, by {by}", wanted.needed)
        }
    }
}

impl Case {
    fn title(&self, place: &str) -> String {
        self.name.clone().unwrap_or_else(|| place.to_owned())
    }

    fn expects(&self, foretold: &Foretold<'_>, requiring: &[&str]) -> bool {
        let Some(expect) = self.expect else {
            return true;
        };
        let (is, by) = match foretold {
            Foretold::Allowed(policy) => (Expectation::Allow, vec![policy.name.as_str()]),
            Foretold::Granted(granting) => {
                (Expectation::Grant, vec![granting.policy.name.as_str()])
            }
            Foretold::Refused(forbidden) => {
                (Expectation::Deny, vec![forbidden.policy.name.as_str()])
            }
            Foretold::Waits(_) => (Expectation::Approve, requiring.to_vec()),
        };
        let needed = match foretold {
            Foretold::Waits(wanted) => Some(wanted.needed),
            Foretold::Allowed(_) | Foretold::Granted(_) | Foretold::Refused(_) => None,
        };
        let approvals = self
            .approvals
            .is_none_or(|approvals| needed == Some(approvals));
        is == expect && approvals && self.policy.as_deref().is_none_or(|name| by.contains(&name))
    }

    /// The request that somebody would file for it.
    fn request(&self) -> Result<Request, String> {
        let door = self.subresource.as_deref().unwrap_or("exec");
        let door = Door::of(door).ok_or_else(|| {
            format!("{door:?} is no subresource of pods that is gated: exec, attach, portforward, ephemeralcontainers")
        })?;
        let parsed = |text: &str| {
            duration::parse(text, MAX_ACCESS)
                .map_err(|error: DurationError| format!("validFor: {error}"))
        };
        let validity = self
            .valid_for
            .as_deref()
            .map(parsed)
            .transpose()?
            .map_or(Validity::Once, Validity::For);
        let user = Person {
            name: self.username()?,
            uid: None,
        };
        let (groups, pod) = (self.groups.clone(), "pod".to_owned());
        let draft = Request::draft(
            self.namespace.clone(),
            user,
            groups,
            pod,
            self.ask(door)?,
            Timestamp::UNIX_EPOCH,
        );
        Ok(Request {
            validity,
            reason: self.reason.clone(),
            keys: self.keys.clone(),
            ..draft
        })
    }

    fn username(&self) -> Result<String, String> {
        match (
            &self.user,
            self.service_account
                .as_deref()
                .map(|account| account.split_once('/')),
        ) {
            (Some(user), None) => Ok(user.clone()),
            (None, Some(Some((namespace, name)))) => {
                Ok(format!("system:serviceaccount:{namespace}:{name}"))
            }
            (None, Some(None)) => Err("write serviceAccount as NAMESPACE/NAME".to_owned()),
            _ => Err("say either user or serviceAccount".to_owned()),
        }
    }

    fn ask(&self, door: Door) -> Result<Ask, String> {
        let (stdin, tty) = (self.interactive, self.interactive);
        if door != Door::Exec && !self.command.is_empty() {
            return Err("only exec has a command that policies see".to_owned());
        }
        Ok(match door {
            Door::Exec if self.command.is_empty() => return Err("exec needs a command".to_owned()),
            Door::Exec => Ask::Exec(ExecAsk {
                container: None,
                command: Command::Exactly(self.command.clone()),
                stdin,
                tty,
            }),
            Door::Attach => Ask::Attach(AttachAsk {
                container: None,
                stdin,
                tty,
            }),
            Door::PortForward => Ask::PortForward,
            Door::EphemeralContainers => {
                let sysadmin = Profile::Sysadmin
                    .security_context()
                    .filter(|_| self.privileged);
                let rights =
                    sysadmin.map(|rights| (SECURITY_CONTEXT.to_owned(), rights.to_owned()));
                let container = DebugContainer {
                    stdin,
                    tty,
                    others: rights.into_iter().collect(),
                    ..DebugContainer::default()
                };
                Ask::Debug(DebugAsk {
                    container,
                    attach: false,
                })
            }
        })
    }
}
