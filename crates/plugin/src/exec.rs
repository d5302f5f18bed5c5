//! `kubectl request exec`: files a request for a command in a pod.

use std::collections::BTreeMap;
use std::io;

use api::{AccessRequest, AccessRequestSpec, ExecOptions, ForObject, UserInfo};
use clap::{Args, ValueEnum};
use decide::duration::{self, DurationError};
use kube::ResourceExt;

use crate::cluster::{Cluster, ClusterError};
use crate::names::{self, NOBODY};
use crate::output::{self, ObjectFormat};
use crate::place::{self, Place, PlaceError};
use crate::safe::{safe, safe_word};
use crate::target::{Target, TargetError};
use crate::terminal::Terminal;

/// The label that names who asks, as the original writes it.
const USERNAME_LABEL: &str = "username";

const EXAMPLES: &str = "\
Examples:
  # Ask to run one command, once, in the default container of whichever pod the deployment runs
  kubectl request exec deploy/nginx -- cat /etc/hostname

  # For an hour, again and again, in a pod and a container of your choice, and say why
  kubectl request exec nginx-7c5ddbdf54-x2x8p -c nginx --valid-for 1h --reason 'INC-42' -- nginx -T

  # Ask for a shell
  kubectl request exec -it deploy/nginx -- sh

Once somebody grants the request, the same 'kubectl exec' works.

Without '--' the command starts with the second word, and everything behind that word is its arguments; the \
plugin's own flags stand before it.";

/// What `exec` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct ExecArgs {
    /// The pod, or the workload that runs it: POD, pod/NAME, deployment/NAME, statefulset/NAME, daemonset/NAME,
    /// job/NAME (and kubectl's short names)
    #[arg(value_name = "POD | TYPE/NAME")]
    pub target: String,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// The container [default: the pod's annotation kubectl.kubernetes.io/default-container, or the first]
    #[arg(short, long)]
    pub container: Option<String>,
    /// Ask for access that lasts, from the moment it is granted: 45s, 90m, 1h30m, at most 12h [default: once]
    #[arg(short = 'd', long, value_name = "DURATION", allow_hyphen_values = true)]
    pub valid_for: Option<String>,
    /// Keys for the cluster's validation, such as ticket=INC-42 (repeatable)
    #[arg(short = 'k', long = "custom-key", value_name = "K=V,…")]
    pub custom_keys: Vec<String>,
    /// Ask on behalf of somebody else (for callers whom the server allows it)
    #[arg(long, value_name = "USER")]
    pub on_behalf_of: Option<String>,
    /// Why you need it: whoever approves reads it
    #[arg(long)]
    pub reason: Option<String>,
    /// Ask for any command instead of one
    #[arg(long, conflicts_with = "command")]
    pub any_command: bool,
    /// Ask to pass standard input (the server may refuse interactive access)
    #[arg(short = 'i', long)]
    pub stdin: bool,
    /// Ask for a terminal (the server may refuse interactive access)
    #[arg(short = 't', long)]
    pub tty: bool,
    /// For a workload: ask for one of its running pods instead of whichever it runs
    #[arg(long)]
    pub pin_pod: bool,
    /// Print the request instead of a sentence
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<ObjectFormat>,
    /// Store nothing: "client" only shows what would be sent, "server" lets the server check it
    #[arg(long, value_name = "WHERE", default_value = "none", num_args = 0..=1, require_equals = true,
          default_missing_value = "client")]
    pub dry_run: DryRun,
}

/// How far a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// It is stored.
    None,
    /// It is not sent.
    Client,
    /// It is checked and not stored.
    Server,
}

/// Why no request was filed.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The target is none.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The target is not there.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The server refused, or could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// `--valid-for` is not a duration that we take.
    #[error("--valid-for: {0}")]
    ValidFor(#[source] DurationError),
    /// No command.
    #[error("say which command to run: … -- COMMAND [ARGUMENTS…], or ask for any command with --any-command")]
    NoCommand,
    /// A key without a value.
    #[error("--custom-key {}: write it as KEY=VALUE", safe_word(text))]
    CustomKey {
        /// What was typed.
        text: String,
    },
    /// A key with two values.
    #[error("--custom-key: {} is given twice", safe_word(key))]
    CustomKeyTwice {
        /// The key.
        key: String,
    },
    /// The request could not be printed.
    #[error("cannot print the request")]
    Print(#[source] serde_json::Error),
    /// A stream failed.
    #[error("cannot write to the terminal")]
    Terminal(#[from] io::Error),
}

/// What was asked for, checked as far as it can be without a cluster.
pub struct Order {
    args: ExecArgs,
    target: Target,
    custom_keys: Option<BTreeMap<String, String>>,
}

impl Order {
    /// Checks what was typed.
    ///
    /// # Errors
    /// When there is no command, or a duration, key or target is none.
    pub fn check(args: ExecArgs) -> Result<Self, ExecError> {
        if args.command.iter().all(String::is_empty) && !args.any_command {
            return Err(ExecError::NoCommand);
        }
        if let Some(text) = &args.valid_for {
            duration::parse(text, duration::LONGEST).map_err(ExecError::ValidFor)?;
        }
        let (target, custom_keys) = (Target::parse(&args.target)?, custom_keys(&args.custom_keys)?);
        Ok(Self { args, target, custom_keys })
    }
}

/// Files the request.
///
/// # Errors
/// When the target is not there, or the server refuses.
pub async fn run(order: Order, cluster: &Cluster, terminal: &mut Terminal<'_>) -> Result<(), ExecError> {
    let Order { args, target, custom_keys } = order;
    let place = place::find(cluster, &target, args.container.as_deref(), args.pin_pod).await?;
    if let Some(note) = &place.container.note {
        writeln!(terminal.err, "{note}")?;
    }
    let user = match &args.on_behalf_of {
        Some(user) => user.clone(),
        None => cluster.whoami().await?.unwrap_or_else(|| NOBODY.to_owned()),
    };
    let request = compose(&args, custom_keys, place, &user, &cluster.namespace);
    let filed = match args.dry_run {
        DryRun::Client => request,
        DryRun::Server => cluster.create_request(&request, true).await?,
        DryRun::None => cluster.create_request(&request, false).await?,
    };
    print(&filed, &args, terminal)
}

/// The request as it is sent. Who asks, and the UID of what is asked for, is the server's to say.
fn compose(
    args: &ExecArgs,
    custom_keys: Option<BTreeMap<String, String>>,
    place: Place,
    user: &str,
    namespace: &str,
) -> AccessRequest {
    let user_info =
        args.on_behalf_of.as_ref().map(|user| UserInfo { username: Some(user.clone()), ..UserInfo::default() });
    let mut options = ExecOptions::new(Some(place.container.name), args.command.clone(), args.stdin, args.tty);
    if args.any_command {
        options.command = None;
    }
    let spec = AccessRequestSpec {
        user_info,
        for_object: ForObject {
            resource: place.resource,
            sub_resource: "exec".to_owned(),
            name: place.name,
            namespace: Some(namespace.to_owned()),
            uid: None,
        },
        valid_for: args.valid_for.clone(),
        exec_options: Some(options),
        custom_keys,
        reason: args.reason.clone(),
        any_command: args.any_command.then_some(true),
        ..AccessRequestSpec::default()
    };
    let slug = names::slug(user);
    let mut request = AccessRequest::new("", spec);
    request.metadata.name = None;
    request.metadata.generate_name = Some(names::generate_name(&slug));
    request.metadata.namespace = Some(namespace.to_owned());
    request.labels_mut().insert(USERNAME_LABEL.to_owned(), slug);
    request
}

/// `K=V,…`, as kubectl's flags of this kind: a text with one `=` is one pair, so that its value may have commas.
fn custom_keys(given: &[String]) -> Result<Option<BTreeMap<String, String>>, ExecError> {
    let mut keys = BTreeMap::new();
    for text in given {
        let pairs: Vec<&str> = if text.matches('=').count() == 1 { vec![text] } else { text.split(',').collect() };
        for pair in pairs {
            let bad = || ExecError::CustomKey { text: pair.to_owned() };
            let (key, value) = pair.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(bad)?;
            if keys.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(ExecError::CustomKeyTwice { key: key.to_owned() });
            }
        }
    }
    Ok((!keys.is_empty()).then_some(keys))
}

fn print(request: &AccessRequest, args: &ExecArgs, terminal: &mut Terminal<'_>) -> Result<(), ExecError> {
    let value = || output::value_of(request).map_err(ExecError::Print);
    match args.output {
        None => writeln!(terminal.out, "created accessrequest {} {}", shown_name(request), fate(args.dry_run))?,
        Some(ObjectFormat::Name) => {
            writeln!(terminal.out, "accessrequest.{}/{}", api::objects::GROUP, shown_name(request))?;
        }
        Some(ObjectFormat::Json) => {
            write!(terminal.out, "{}", output::json(&value()?).map_err(ExecError::Print)?)?;
        }
        Some(ObjectFormat::Yaml) => write!(terminal.out, "{}", output::yaml(&value()?))?,
    }
    Ok(())
}

fn fate(dry_run: DryRun) -> &'static str {
    match dry_run {
        DryRun::None => "(please wait for an admin to grant the permission)",
        DryRun::Client => "(dry run)",
        DryRun::Server => "(server dry run)",
    }
}

/// The name, or what the API server would begin it with.
fn shown_name(request: &AccessRequest) -> String {
    let generated = || request.metadata.generate_name.as_ref().map(|prefix| format!("{prefix}…"));
    safe(&request.metadata.name.clone().or_else(generated).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn keys(given: &[&str]) -> Result<Option<BTreeMap<String, String>>, String> {
        let given: Vec<String> = given.iter().map(|&text| text.to_owned()).collect();
        custom_keys(&given).map_err(|error| error.to_string())
    }

    #[rstest]
    #[case(&["a=1,b=2"], &[("a", "1"), ("b", "2")])]
    #[case(&["a=1", "b=2"], &[("a", "1"), ("b", "2")])]
    #[case(&["why=this, and that"], &[("why", "this, and that")])]
    #[case(&["a="], &[("a", "")])]
    fn custom_keys_are_read_as_kubectl_reads_pairs(#[case] given: &[&str], #[case] expected: &[(&str, &str)]) {
        let expected = expected.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        assert_eq!(keys(given), Ok(Some(expected)));
    }

    #[test]
    fn no_custom_keys_are_none() {
        assert_eq!(keys(&[]), Ok(None));
    }

    #[rstest]
    #[case(&["a"], "--custom-key a: write it as KEY=VALUE")]
    #[case(&["=1"], "--custom-key =1: write it as KEY=VALUE")]
    #[case(&["a=1,b=2,c"], "--custom-key c: write it as KEY=VALUE")]
    #[case(&["a=1", "a=2"], "--custom-key: a is given twice")]
    fn bad_custom_keys_are_refused(#[case] given: &[&str], #[case] message: &str) {
        assert_eq!(keys(given), Err(message.to_owned()));
    }
}
