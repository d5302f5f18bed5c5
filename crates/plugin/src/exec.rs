//! `kubectl request exec`: files a request for a command in a pod.

use api::{AccessRequestSpec, ExecOptions};
use clap::Args;
use decide::attempt::Door;

use crate::asking::{self, AskError, Asking, Terms};
use crate::cluster::Cluster;
use crate::place;
use crate::target::Target;
use crate::terminal::Terminal;

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
    /// Ask for any command instead of one
    #[arg(long, conflicts_with = "command")]
    pub any_command: bool,
    /// Ask to pass standard input (the server may refuse interactive access)
    #[arg(short = 'i', long)]
    pub stdin: bool,
    /// Ask for a terminal (the server may refuse interactive access)
    #[arg(short = 't', long)]
    pub tty: bool,
    /// What every verb that asks takes.
    #[command(flatten)]
    pub asking: Asking,
}

/// What was asked for, checked as far as it can be without a cluster.
pub struct Order {
    target: Target,
    container: Option<String>,
    /// `None`: any.
    command: Option<Vec<String>>,
    stdin: bool,
    tty: bool,
    terms: Terms,
}

impl Order {
    /// Checks what was typed.
    ///
    /// # Errors
    /// When there is no command, or a duration, key or target is none.
    pub fn check(args: ExecArgs) -> Result<Self, AskError> {
        if args.command.iter().all(String::is_empty) && !args.any_command {
            return Err(AskError::NoCommand);
        }
        let command = (!args.any_command).then_some(args.command);
        Self::new(&args.target, args.container, command, (args.stdin, args.tty), args.asking)
    }

    /// An order for a command, or any where it is `None`.
    pub(crate) fn new(
        target: &str,
        container: Option<String>,
        command: Option<Vec<String>>,
        (stdin, tty): (bool, bool),
        asking: Asking,
    ) -> Result<Self, AskError> {
        let terms = asking.check()?;
        Ok(Self { target: Target::parse(target)?, container, command, stdin, tty, terms })
    }
}

/// Files the request.
///
/// # Errors
/// When the target is not there, or the server refuses.
pub async fn run(verb: &str, order: Order, cluster: &Cluster, terminal: &mut Terminal<'_>) -> Result<(), AskError> {
    let place = place::find(cluster, &order.target, order.terms.pin_pod, Door::Exec).await?;
    let container = asking::told(place.container(order.container.as_deref())?, terminal)?;
    let any = order.command.is_none();
    let mut options = ExecOptions::new(Some(container), order.command.unwrap_or_default(), order.stdin, order.tty);
    if any {
        options.command = None;
    }
    let spec = AccessRequestSpec {
        exec_options: Some(options),
        any_command: any.then_some(true),
        ..asking::through(Door::Exec, &place)
    };
    order.terms.file(verb, spec, cluster, terminal).await
}
