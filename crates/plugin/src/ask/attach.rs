//! `kubectl request attach`: files a request to attach to what runs in a container.

use api::{AccessRequestSpec, AttachOptions};
use clap::Args;
use decide::attempt::Door;
use k8s_openapi::api::core::v1::PodSpec;

use crate::ask::{self, Ask, AskError, Asking, Terms};
use crate::cluster::Cluster;
use crate::target::Target;
use crate::target::place::{self, Place};
use crate::terminal::Terminal;
use crate::terminal::exit;
use crate::terminal::kubectl::{self, Next};
use crate::terminal::words::Words;
use decide::text::safe_word;

const EXAMPLES: &str = "\
Examples:
  # Ask to see what the main process of whichever pod the deployment runs prints
  kubectl request attach deploy/nginx

  # Ask to type into it too
  kubectl request attach -it console-0 -c ruby --reason 'INC-42'

Once somebody grants the request, the same 'kubectl attach' works.";

/// What `attach` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub struct AttachArgs {
    /// The pod, or the workload that runs it: POD, pod/NAME, deployment/NAME, statefulset/NAME,
    /// daemonset/NAME, job/NAME (and kubectl's short names)
    #[arg(value_name = "POD | TYPE/NAME")]
    pub target: String,
    /// The container [default: the pod's annotation kubectl.kubernetes.io/default-container, or the
    /// first]
    #[arg(short, long)]
    pub container: Option<String>,
    /// Ask to pass standard input (the server may refuse interactive access)
    #[arg(short = 'i', long)]
    pub stdin: bool,
    /// Ask for a terminal (the server may refuse interactive access)
    #[arg(short = 't', long)]
    pub tty: bool,
    /// Accepted as kubectl does; it changes nothing about the request
    #[arg(short, long, hide_short_help = true)]
    pub quiet: bool,
    /// Accepted as kubectl does; it changes nothing about the request
    #[arg(long, value_name = "KEYS", hide_short_help = true)]
    pub detach_keys: Option<String>,
    /// Accepted as kubectl does; it changes nothing about the request
    #[arg(long, value_name = "DURATION", hide_short_help = true)]
    pub pod_running_timeout: Option<String>,
    /// What every verb that asks takes.
    #[command(flatten)]
    pub asking: Asking,
}

/// What was asked for, checked as far as it can be without a cluster.
pub struct Order {
    typed: String,
    /// Flags that kubectl alone obeys.
    flags: Vec<String>,
    target: Target,
    container: Option<String>,
    stdin: bool,
    tty: bool,
    terms: Terms,
}

impl Order {
    /// Checks what was typed.
    ///
    /// # Errors
    /// When a duration, key or target is none.
    pub fn check(args: AttachArgs) -> Result<Self, AskError> {
        let (terms, target) = (args.asking.check()?, Target::parse(&args.target)?);
        let flags = Words::default()
            .flag(args.quiet, "--quiet")
            .value("--detach-keys", args.detach_keys.as_deref())
            .value("--pod-running-timeout", args.pod_running_timeout.as_deref())
            .command(&[]);
        let (typed, container) = (args.target, args.container);
        Ok(Self {
            typed,
            flags,
            target,
            container,
            stdin: args.stdin,
            tty: args.tty,
            terms,
        })
    }

    fn words(&self, container: &str, place: &Place) -> Vec<String> {
        let words = Words::of("attach")
            .flag(self.stdin, "--stdin")
            .flag(self.tty, "--tty")
            .plain(&self.flags);
        let words = words.plain([kubectl::target(&self.typed, place, self.terms.pin_pod)]);
        words.value("--container", Some(container)).command(&[])
    }
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
    let place = place::find(cluster, &order.target, order.terms.pin_pod, Door::Attach).await?;
    let container = ask::told(place.container(order.container.as_deref())?, terminal)?;
    let has_tty = has_tty(&place.spec, &container);
    if let Some(note) = note(&order, &container, has_tty) {
        writeln!(terminal.err, "{note}")?;
    }
    let words = Some(order.words(&container, &place));
    let tty = order.stdin && has_tty;
    let options = AttachOptions {
        stdin: order.stdin.then_some(true),
        stdout: Some(true),
        stderr: (!tty).then_some(true),
        tty: tty.then_some(true),
        container: Some(container),
    };
    let spec = AccessRequestSpec {
        attach_options: Some(options),
        ..ask::through(Door::Attach, &place)
    };
    order
        .terms
        .file(
            Ask {
                verb: Door::Attach.verb(),
                spec,
                words,
            },
            cluster,
            terminal,
        )
        .await
}

/// Where the request is for another terminal than was typed, as kubectl does it: it uses one with
/// standard input only, and then exactly where the container has one.
fn note(order: &Order, container: &str, has_tty: bool) -> Option<String> {
    let container = safe_word(container);
    match (order.stdin, order.tty, has_tty) {
        (false, true, _) => {
            Some("kubectl attach uses a terminal (-t) only with -i: none is asked for".to_owned())
        }
        (true, true, false) => Some(format!(
            "Unable to use a TTY - container {container} did not allocate one: none is asked for"
        )),
        (true, false, true) => Some(format!(
            "container {container} has a terminal, which kubectl attach -i uses: it is asked for too"
        )),
        _ => None,
    }
}

fn has_tty(spec: &PodSpec, name: &str) -> bool {
    let main = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten());
    let main = main
        .filter(|container| container.name == name)
        .map(|container| container.tty);
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    let ephemeral = ephemeral
        .filter(|container| container.name == name)
        .map(|container| container.tty);
    main.chain(ephemeral).any(|tty| tty == Some(true))
}
