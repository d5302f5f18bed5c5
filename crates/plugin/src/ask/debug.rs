//! `kubectl request debug`: files a request to add a debug container to a pod, as `kubectl debug`
//! builds it.

use std::collections::BTreeSet;

use api::objects::{EnvVar, SecurityContext};
use api::{AccessRequestSpec, EphemeralContainer};
use clap::{Args, ValueEnum};
use decide::attempt::Door;
use decide::debug::Profile;

use crate::ask::{self, Ask, AskError, Asking, Terms};
use crate::cluster::Cluster;
use crate::target::Target;
use crate::target::container;
use crate::target::place::{self, Place};
use crate::terminal::Terminal;
use crate::terminal::exit;
use crate::terminal::kubectl::Next;
use crate::terminal::words::Words;
use decide::text::safe_word;

const EXAMPLES: &str = "\
Examples:
  # Ask to add a container with busybox to a pod, and to attach to it
  kubectl request debug -it web-0 --image=busybox --target=web -- sh

  # In whichever pod the deployment runs, for an hour
  kubectl request debug -it deploy/web --image=busybox --target=web --valid-for 1h

  # With a name of your choice, and the rights to look at the network
  kubectl request debug -it web-0 --image=nicolaka/netshoot -c netshoot --profile=netadmin

One request is for both steps of 'kubectl debug -it': the container that is added, with whatever name kubectl makes \
up, and attaching to it. Once somebody grants the request, the same 'kubectl debug' works, on a pod: of a workload \
it takes whichever pod you name.

Copies of a pod (--copy-to) and nodes (node/NAME) make another pod, which is no access to this one: there is nothing \
to ask for here.";

/// What `debug` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub struct DebugArgs {
    /// The pod, or the workload that runs it: POD, pod/NAME, deployment/NAME, statefulset/NAME,
    /// daemonset/NAME, job/NAME (and kubectl's short names)
    #[arg(value_name = "POD | TYPE/NAME")]
    pub target: String,
    /// The command and its arguments [default: the image's]
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// The container.
    #[command(flatten)]
    pub wanted: Wanted,
    /// Attach to the container [default: with -i]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub attach: Option<bool>,
    /// Accepted as kubectl does; it changes nothing about the request
    #[arg(short, long, hide_short_help = true)]
    pub quiet: bool,
    /// What makes another pod.
    #[command(flatten)]
    pub copies: Copies,
    /// What every verb that asks takes.
    #[command(flatten)]
    pub asking: Asking,
}

/// The container, as kubectl's flags describe it.
#[derive(Debug, Clone, Args)]
pub struct Wanted {
    /// The image
    #[arg(long)]
    pub image: Option<String>,
    /// The container of the pod whose processes it sees
    #[arg(long = "target", value_name = "CONTAINER")]
    pub target_container: Option<String>,
    /// Its name [default: whatever kubectl makes up]
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,
    /// Keep standard input open (the server may refuse interactive access)
    #[arg(short = 'i', long)]
    pub stdin: bool,
    /// Give it a terminal (the server may refuse interactive access)
    #[arg(short = 't', long)]
    pub tty: bool,
    /// Its rights
    #[arg(long, value_name = "PROFILE", default_value = "general")]
    pub profile: ProfileFlag,
    /// Environment variables (repeatable)
    #[arg(long, value_name = "K=V,…")]
    pub env: Vec<String>,
    /// When the image is pulled
    #[arg(long, value_name = "Always | IfNotPresent | Never")]
    pub image_pull_policy: Option<String>,
    /// What follows '--' are arguments for the image's own command
    #[arg(long)]
    pub arguments_only: bool,
}

/// The profiles, as they are typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProfileFlag {
    /// Processes can be traced.
    General,
    /// No rights of its own.
    #[value(alias = "legacy")]
    Baseline,
    /// What the Pod Security Standard restricted wants.
    Restricted,
    /// The network can be changed.
    Netadmin,
    /// Everything: root on the node.
    Sysadmin,
}

impl ProfileFlag {
    fn profile(self) -> Profile {
        match self {
            Self::General => Profile::General,
            Self::Baseline => Profile::Baseline,
            Self::Restricted => Profile::Restricted,
            Self::Netadmin => Profile::Netadmin,
            Self::Sysadmin => Profile::Sysadmin,
        }
    }
}

/// Flags of kubectl that cannot be asked for. They are there so that the refusal says why.
#[derive(Debug, Clone, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Copies {
    /// Refused: makes another pod
    #[arg(long, hide = true)]
    pub copy_to: Option<String>,
    /// Refused: makes another pod
    #[arg(long, hide = true)]
    pub replace: bool,
    /// Refused: makes another pod
    #[arg(long, hide = true)]
    pub same_node: bool,
    /// Refused: makes another pod
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub share_processes: Option<String>,
    /// Refused: makes another pod
    #[arg(long, hide = true)]
    pub set_image: Option<String>,
    /// Refused: makes another pod
    #[arg(long, hide = true)]
    pub keep_labels: bool,
    /// Refused: makes another pod
    #[arg(long, hide = true)]
    pub keep_annotations: bool,
    /// Refused: makes another pod
    #[arg(long, hide = true)]
    pub keep_liveness: bool,
    /// Refused: makes another pod
    #[arg(long, hide = true)]
    pub keep_readiness: bool,
    /// Refused: makes another pod
    #[arg(long, hide = true)]
    pub keep_startup: bool,
    /// Refused: makes another pod
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub keep_init_containers: Option<String>,
    /// Refused: a profile of one's own
    #[arg(long, hide = true, value_name = "FILE")]
    pub custom: Option<String>,
    /// Refused: a pod from a file
    #[arg(short, long, hide = true, value_name = "FILE")]
    pub filename: Vec<String>,
}

/// Why a debug container cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DebugError {
    /// A flag that makes a copy of the pod.
    #[error(
        "{flag} makes another pod, which is no access to this one: it is not gated, and there is nothing to ask for. \
         Whether you may create pods is for RBAC to say"
    )]
    Copy {
        /// The flag.
        flag: &'static str,
    },
    /// A node.
    #[error(
        "debug of {} makes another pod on that node, which is no access to a pod: it is not gated, and there is \
         nothing to ask for. Whether you may create pods is for RBAC to say",
        safe_word(node)
    )]
    Node {
        /// What was typed.
        node: String,
    },
    /// `--custom`.
    #[error(
        "--custom is not understood here: see with --dry-run -o yaml what is asked for, write what the file adds into \
         spec.ephemeralContainer, and create that object with kubectl"
    )]
    Custom,
    /// `--filename`.
    #[error("name the pod, instead of the file that it is in (-f)")]
    Filename,
    /// No image, in kubectl's words.
    #[error("you must specify --image")]
    NoImage,
    /// An image that is none, in kubectl's words.
    #[error("invalid image name {}: invalid reference format", safe_word(image))]
    Image {
        /// What was typed.
        image: String,
    },
    /// A pull policy that is none, in kubectl's words.
    #[error(
        "invalid image pull policy: {}: it is Always, IfNotPresent or Never",
        safe_word(policy)
    )]
    PullPolicy {
        /// What was typed.
        policy: String,
    },
    /// A terminal without standard input, in kubectl's words.
    #[error("-i/--stdin is required for containers with -t/--tty=true")]
    TtyAlone,
    /// A variable without a value.
    #[error("--env {}: write it as NAME=VALUE", safe_word(text))]
    Env {
        /// What was typed.
        text: String,
    },
    /// Several variables with quotes, which kubectl reads as CSV.
    #[error("--env {}: give each variable a --env of its own", safe_word(text))]
    EnvQuotes {
        /// What was typed.
        text: String,
    },
    /// A variable with two values.
    #[error("--env: {} is given twice", safe_word(name))]
    EnvTwice {
        /// Its name.
        name: String,
    },
    /// A name that a container of the pod has.
    #[error(
        "the pod has a container {} already: choose another name with -c",
        safe_word(name)
    )]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A profile that is not what this version knows.
    #[error("cannot write the rights of profile {profile}")]
    Profile {
        /// Its name.
        profile: &'static str,
    },
}

impl From<DebugError> for AskError {
    fn from(error: DebugError) -> Self {
        Self::Verb(Box::new(error))
    }
}

/// What was asked for, checked as far as it can be without a cluster.
pub struct Order {
    /// What kubectl is given beside the pod, and the command.
    flags: Vec<String>,
    command: Vec<String>,
    target: Target,
    container: EphemeralContainer,
    attach: bool,
    terms: Terms,
}

impl Order {
    /// Checks what was typed.
    ///
    /// # Errors
    /// When it makes another pod, or an image, variable, duration, key or target is none.
    pub fn check(args: DebugArgs) -> Result<Self, AskError> {
        args.copies.refuse()?;
        if is_node(&args.target) {
            return Err(DebugError::Node { node: args.target }.into());
        }
        let attach = args.attach.unwrap_or(args.wanted.stdin);
        let flags = args
            .wanted
            .flags()
            .flag(args.quiet, "--quiet")
            .value("--attach", Some(&attach.to_string()));
        let (flags, command) = (flags.command(&[]), args.command.clone());
        let container = args.wanted.container(args.command)?;
        let (target, terms) = (Target::parse(&args.target)?, args.asking.check()?);
        Ok(Self {
            flags,
            command,
            target,
            container,
            attach,
            terms,
        })
    }

    fn words(&self, pod: &str) -> Vec<String> {
        Words::of("debug")
            .plain(&self.flags)
            .plain([pod])
            .command(&self.command)
    }
}

fn is_node(target: &str) -> bool {
    let kind = target
        .split_once('/')
        .map(|(kind, _)| kind.to_ascii_lowercase());
    kind.is_some_and(|kind| ["node", "nodes", "no"].contains(&kind.as_str()))
}

impl Copies {
    fn refuse(&self) -> Result<(), DebugError> {
        let flags = [
            (self.copy_to.is_some(), "--copy-to"),
            (self.replace, "--replace"),
            (self.same_node, "--same-node"),
            (self.share_processes.is_some(), "--share-processes"),
            (self.set_image.is_some(), "--set-image"),
            (self.keep_labels, "--keep-labels"),
            (self.keep_annotations, "--keep-annotations"),
            (self.keep_liveness, "--keep-liveness"),
            (self.keep_readiness, "--keep-readiness"),
            (self.keep_startup, "--keep-startup"),
            (
                self.keep_init_containers.is_some(),
                "--keep-init-containers",
            ),
        ];
        if let Some((_, flag)) = flags.into_iter().find(|(given, _)| *given) {
            return Err(DebugError::Copy { flag });
        }
        match (&self.custom, self.filename.is_empty()) {
            (Some(_), _) => Err(DebugError::Custom),
            (None, false) => Err(DebugError::Filename),
            (None, true) => Ok(()),
        }
    }
}

impl Wanted {
    /// The same as kubectl's flags.
    fn flags(&self) -> Words {
        let words = Words::default()
            .flag(self.stdin, "--stdin")
            .flag(self.tty, "--tty");
        let words = words
            .value("--image", self.image.as_deref())
            .value("--target", self.target_container.as_deref())
            .value("--container", self.container.as_deref())
            .value("--profile", Some(self.profile.profile().name()))
            .value("--image-pull-policy", self.image_pull_policy.as_deref())
            .flag(self.arguments_only, "--arguments-only");
        self.env
            .iter()
            .fold(words, |words, pair| words.value("--env", Some(pair)))
    }

    /// The container that kubectl would add, but for a name that it makes up.
    fn container(self, words: Vec<String>) -> Result<EphemeralContainer, DebugError> {
        if self.tty && !self.stdin {
            return Err(DebugError::TtyAlone);
        }
        let policy = self.image_pull_policy.filter(|policy| !policy.is_empty());
        if let Some(policy) = policy
            .as_ref()
            .filter(|policy| !["Always", "IfNotPresent", "Never"].contains(&policy.as_str()))
        {
            return Err(DebugError::PullPolicy {
                policy: policy.clone(),
            });
        }
        let (env, image) = (env(&self.env)?, image(self.image)?);
        let words = (!words.is_empty()).then_some(words);
        let (command, args) = if self.arguments_only {
            (None, words)
        } else {
            (words, None)
        };
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(EphemeralContainer {
            name: filled(self.container),
            image,
            image_pull_policy: policy,
            command,
            args,
            env: (!env.is_empty()).then_some(env),
            target_container_name: filled(self.target_container),
            security_context: security_context(self.profile.profile())?,
            stdin: self.stdin.then_some(true),
            tty: self.tty.then_some(true),
            ..EphemeralContainer::default()
        })
    }
}

/// kubectl compares with the grammar of references; what is refused here is what it could never
/// take.
fn image(image: Option<String>) -> Result<String, DebugError> {
    let image = image
        .filter(|image| !image.is_empty())
        .ok_or(DebugError::NoImage)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:@+".contains(c);
    if image.starts_with(|c: char| c.is_ascii_alphanumeric()) && image.chars().all(allowed) {
        Ok(image)
    } else {
        Err(DebugError::Image { image })
    }
}

fn security_context(profile: Profile) -> Result<Option<SecurityContext>, DebugError> {
    let read = |text| {
        serde_json::from_str(text).map_err(|_error| DebugError::Profile {
            profile: profile.name(),
        })
    };
    profile.security_context().map(read).transpose()
}

/// `K=V,…`, as kubectl reads it: a text with one `=` is one pair, its quotes taken off; else each
/// has commas between.
fn env(given: &[String]) -> Result<Vec<EnvVar>, DebugError> {
    let (mut names, mut variables) = (BTreeSet::new(), Vec::new());
    for text in given {
        let pairs: Vec<&str> = match text.matches('=').count() {
            0 | 1 => vec![text.trim_matches('"')],
            _ if text.contains('"') => return Err(DebugError::EnvQuotes { text: text.clone() }),
            _ => text.split(',').collect(),
        };
        for pair in pairs {
            let bad = || DebugError::Env {
                text: pair.to_owned(),
            };
            let (name, value) = pair
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(bad)?;
            if !names.insert(name) {
                return Err(DebugError::EnvTwice {
                    name: name.to_owned(),
                });
            }
            let value = Some(value.to_owned()).filter(|value| !value.is_empty());
            variables.push(EnvVar {
                name: name.to_owned(),
                value,
            });
        }
    }
    Ok(variables)
}

/// Files the request.
///
/// # Errors
/// When the target is not there, or the server refuses.
pub async fn run(
    order: Order,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<Next, AskError> {
    let place = place::find(
        cluster,
        &order.target,
        order.terms.pin_pod,
        Door::EphemeralContainers,
    )
    .await?;
    check_names(&order.container, &place)?;
    let words = if place.is_pod() {
        Some(order.words(&place.name))
    } else if order.terms.runs() {
        // kubectl debug takes a pod: it is one that runs now.
        let pod = place::find(cluster, &order.target, true, Door::EphemeralContainers).await?;
        Some(order.words(&pod.name))
    } else {
        None
    };
    if words.is_none() {
        writeln!(
            terminal.err,
            "kubectl debug takes a pod: once this is granted, name one that the workload runs"
        )?;
    }
    let spec = AccessRequestSpec {
        ephemeral_container: Some(order.container),
        attach: order.attach.then_some(true),
        ..ask::through(Door::EphemeralContainers, &place)
    };
    order
        .terms
        .file(
            Ask {
                verb: Door::EphemeralContainers.verb(),
                spec,
                words,
            },
            cluster,
            terminal,
        )
        .await
}

/// What the API server would refuse only after somebody had granted it.
fn check_names(container: &EphemeralContainer, place: &Place) -> Result<(), AskError> {
    if let Some(target) = &container.target_container_name {
        place.container(Some(target))?;
    }
    match &container.name {
        Some(name) if container::has(&place.spec, name) => {
            Err(DebugError::NameTaken { name: name.clone() }.into())
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(given: &[&str]) -> Result<Vec<(String, Option<String>)>, String> {
        let given: Vec<String> = given.iter().map(|&text| text.to_owned()).collect();
        let variables = env(&given).map_err(|error| error.to_string())?;
        Ok(variables
            .into_iter()
            .map(|variable| (variable.name, variable.value))
            .collect())
    }

    #[rstest]
    #[case(&["A=1,B=2"], &[("A", Some("1")), ("B", Some("2"))])]
    #[case(&["B=1", "A=2"], &[("B", Some("1")), ("A", Some("2"))])]
    #[case(&["A=1,2"], &[("A", Some("1,2"))])]
    #[case(&["\"A=1 2\""], &[("A", Some("1 2"))])]
    #[case(&["A="], &[("A", None)])]
    fn variables_are_read_as_kubectl_reads_them(
        #[case] given: &[&str],
        #[case] expected: &[(&str, Option<&str>)],
    ) {
        let expected = expected
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.map(str::to_owned)))
            .collect();
        assert_eq!(read(given), Ok(expected));
    }

    #[rstest]
    #[case(&["A"], "--env A: write it as NAME=VALUE")]
    #[case(&["=1"], "--env =1: write it as NAME=VALUE")]
    #[case(&["A=1,B=2,C"], "--env C: write it as NAME=VALUE")]
    #[case(&["A=1", "A=2"], "--env: A is given twice")]
    #[case(&["\"A=1,2\",B=3"], "--env \"\\\"A=1,2\\\",B=3\": give each variable a --env of its own")]
    fn bad_variables_are_refused(#[case] given: &[&str], #[case] message: &str) {
        assert_eq!(read(given), Err(message.to_owned()));
    }

    #[test]
    fn every_profile_is_written_as_it_is_recognised() {
        for flag in ProfileFlag::value_variants() {
            let profile = flag.profile();
            let container = EphemeralContainer {
                image: "busybox".to_owned(),
                security_context: security_context(profile).unwrap(),
                ..EphemeralContainer::default()
            };
            assert_eq!(
                api::pod_update::asked(&container).unwrap().profile(),
                Some(profile)
            );
        }
    }
}
