//! `kubectl request exec`: files a request for a command in a pod.

use api::{AccessRequestSpec, ExecOptions};
use clap::Args;
use decide::attempt::Door;

use crate::ask::{self, Ask, AskError, Asking, Terms};
use crate::cluster::Cluster;
use crate::target::Target;
use crate::target::place::{self, Place};
use crate::terminal::Terminal;
use crate::terminal::exit;
use crate::terminal::kubectl::{self, Next};
use crate::terminal::words::Words;

const EXAMPLES: &str = "\
Examples:
  # Ask to run one command, once, in the default container of whichever pod the deployment runs
  kubectl request exec deploy/nginx -- cat /etc/hostname

  # For an hour, again and again, in a pod and a container of your choice, and say why
  kubectl request exec nginx-7c5ddbdf54-x2x8p -c nginx --valid-for 1h --reason 'INC-42' -- nginx -T

  # Ask for a shell, wait until somebody grants it, and run it
  kubectl request exec -it deploy/nginx --run -- sh

Once somebody grants the request, the same 'kubectl exec' works.

Without '--' the command starts with the second word, and everything behind that word is its arguments; the \
plugin's own flags stand before it.";

/// What `exec` is asked for on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub struct ExecArgs {
    /// The pod, or the workload that runs it: POD, pod/NAME, deployment/NAME, statefulset/NAME,
    /// daemonset/NAME, job/NAME (and kubectl's short names)
    #[arg(value_name = "POD | TYPE/NAME")]
    pub target: String,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// The container [default: the pod's annotation kubectl.kubernetes.io/default-container, or the
    /// first]
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
    typed: String,
    target: Target,
    container: Option<String>,
    /// `None`: any.
    command: Option<Vec<String>>,
    /// What kubectl runs: of any command this one.
    run: Option<Vec<String>>,
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
        let (target, terms) = (Target::parse(&args.target)?, args.asking.check()?);
        let (typed, container, run) = (args.target, args.container, command.clone());
        Ok(Self {
            typed,
            target,
            container,
            command,
            run,
            stdin: args.stdin,
            tty: args.tty,
            terms,
        })
    }

    /// An order for any command with a terminal, of which kubectl runs a shell.
    ///
    /// # Errors
    /// When a duration, key or target is none.
    pub(crate) fn shell(
        typed: String,
        container: Option<String>,
        asking: Asking,
    ) -> Result<Self, AskError> {
        let (target, terms) = (Target::parse(&typed)?, asking.check()?);
        let run = Some(vec!["sh".to_owned()]);
        Ok(Self {
            typed,
            target,
            container,
            command: None,
            run,
            stdin: true,
            tty: true,
            terms,
        })
    }

    fn words(&self, container: &str, place: &Place) -> Option<Vec<String>> {
        let command = self.run.as_ref()?;
        let words = Words::of("exec")
            .flag(self.stdin, "--stdin")
            .flag(self.tty, "--tty");
        let words = words.plain([kubectl::target(&self.typed, place, self.terms.pin_pod)]);
        Some(words.value("--container", Some(container)).command(command))
    }
}

/// Files the request.
///
/// # Errors
/// When the target is not there, or the server refuses.
pub async fn run(
    verb: &'static str,
    order: Order,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<Next, AskError> {
    let place = place::find(cluster, &order.target, order.terms.pin_pod, Door::Exec).await?;
    let container = ask::told(place.container(order.container.as_deref())?, terminal)?;
    let words = order.words(&container, &place);
    let any = order.command.is_none();
    let mut options = ExecOptions::new(
        Some(container),
        order.command.unwrap_or_default(),
        order.stdin,
        order.tty,
    );
    if any {
        options.command = None;
    }
    let spec = AccessRequestSpec {
        exec_options: Some(options),
        any_command: any.then_some(true),
        ..ask::through(Door::Exec, &place)
    };
    order
        .terms
        .file(Ask { verb, spec, words }, cluster, terminal)
        .await
}
