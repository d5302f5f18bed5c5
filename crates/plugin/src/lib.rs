//! The kubectl plugin of kube-request-access: ask for access to a pod, and grant or deny what others ask for.
//!
//! ```text
//! flags + kubeconfig ──connect──▶ Cluster ──verb──▶ Terminal
//! ```
//!
//! One file per verb: [`exec`], [`shell`], [`attach`], [`port_forward`], [`debug`], [`cp`], [`again`] and [`extend`] ask,
//! [`why`] asks without filing; [`approve`], [`grant`], [`deny`] and [`review`] answer; [`revoke`] and [`withdraw`] end; [`list`],
//! [`show`], [`report`] (with [`drafts`] of policies) and [`whoami`] look; [`completion`] and [`complete`]. What they share:
//!
//! - [`args`], [`connect`], [`kubeconfig`], [`authority`], [`proxy`]: from the command line to a client, as kubectl does it.
//! - [`cluster`]: what is asked of the API server, and its errors in kubectl's words.
//! - [`target`], [`place`], [`container`]: from `deploy/nginx` to a container.
//! - [`asking`]: the flags of the verbs that ask, and how a request is filed; [`service`], [`ports`] for port-forward.
//! - [`same`], [`secrets`], [`waiting`], [`kubectl`]: from a request to the real kubectl.
//! - [`api::names`], [`named`], [`stored`], [`answer`], [`remove`], [`summary`], [`doors`], [`history`]: what is stored and deleted, and what
//!   an approver reads before.
//! - [`output`], [`table`], [`times`], [`terminal`], [`exit`]: what reaches the screen and the shell; [`update`]: whether there is a newer version.

use std::io;

use clap::CommandFactory;

pub mod again;
pub mod answer;
pub mod approve;
pub mod args;
pub mod asking;
pub mod attach;
pub mod authority;
pub mod cluster;
pub mod complete;
pub mod completion;
pub mod connect;
pub mod container;
pub mod cp;
pub mod debug;
pub mod deny;
pub mod doors;
pub mod drafts;
pub mod exec;
pub mod exit;
pub mod extend;
pub mod grant;
pub mod history;
pub mod kubeconfig;
pub mod kubectl;
pub mod list;
pub mod named;
pub mod output;
pub mod picker;
pub mod place;
pub mod policy;
pub mod port_forward;
pub mod ports;
pub mod proxy;
pub mod remove;
pub mod report;
pub mod review;
pub mod revoke;
pub mod same;
pub mod secrets;
pub mod service;
pub mod shell;
pub mod show;
pub mod stored;
pub mod summary;
pub mod table;
pub mod target;
pub mod terminal;
pub mod times;
pub mod update;
pub mod waiting;
pub mod whoami;
pub mod why;
pub mod withdraw;

use crate::answer::AnswerError;
use crate::args::{Cli, Verb};
use crate::asking::AskError;
use crate::cluster::{Cluster, ClusterError};
use crate::connect::{ConnectError, ConnectionFlags};
use crate::exit::Exit;
use crate::kubectl::Next;
use crate::list::ListError;
use crate::policy::PolicyError;
use crate::remove::RemoveError;
use crate::report::ReportError;
use crate::show::ShowError;
use crate::terminal::Terminal;
use crate::whoami::WhoamiError;
use crate::why::DoorArgs;

/// Why a verb did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no cluster to talk to.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No request was filed.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// `list` failed.
    #[error(transparent)]
    List(#[from] ListError),
    /// `show` failed.
    #[error(transparent)]
    Show(#[from] ShowError),
    /// `grant`, `deny` or `review` failed.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// `revoke` or `withdraw` failed.
    #[error(transparent)]
    Remove(#[from] RemoveError),
    /// `whoami` failed.
    #[error(transparent)]
    Whoami(#[from] WhoamiError),
    /// `policy test` failed, or found something.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// `report` failed.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// `completion` failed.
    #[error("cannot write to the terminal")]
    Completion(#[source] io::Error),
}

impl Failure {
    /// The line that tells it, as kubectl would: what the API server said stands alone, all else behind `error: `.
    pub fn line(&self) -> String {
        match self.said_by_cluster() {
            Some(said) => said.to_string(),
            None => format!("error: {self}"),
        }
    }

    /// The exit code that tells it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Ask(AskError::Wait(error)) => error.exit(),
            Self::Ask(AskError::Together { .. } | AskError::NothingToRun) => Exit::Usage,
            Self::Connect(_)
            | Self::Ask(_)
            | Self::List(_)
            | Self::Show(_)
            | Self::Answer(_)
            | Self::Remove(_)
            | Self::Whoami(_)
            | Self::Policy(_)
            | Self::Report(_)
            | Self::Completion(_) => Exit::Error,
        }
    }

    /// Whether nobody reads what is written any more: `kubectl request list | head -1`.
    pub fn is_broken_pipe(&self) -> bool {
        cluster::causes(self)
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
    }

    fn said_by_cluster(&self) -> Option<&ClusterError> {
        if let Self::Ask(error) = self {
            return error.said_by_cluster();
        }
        if let Self::List(ListError::Cluster(said))
        | Self::Show(ShowError::Cluster(said))
        | Self::Remove(RemoveError::Cluster(said))
        | Self::Whoami(WhoamiError::Cluster(said))
        | Self::Report(ReportError::Cluster(said))
        | Self::Answer(AnswerError::Cluster(said)) = self
        {
            return Some(said);
        }
        None
    }
}

/// Does what the command line says.
///
/// # Errors
/// When it could not be done; [`Failure::line`] tells why.
pub async fn run(cli: Cli, terminal: &mut Terminal<'_>) -> Result<Next, Failure> {
    let watched = terminal.watched;
    if let Verb::Policy(args) = cli.verb {
        policy::run(*args, &cli.connection, terminal)?;
        return Ok(Next::Done);
    }
    let reach = || connect::connect(&cli.connection, watched);
    Box::pin(perform(cli.verb, reach, terminal)).await
}

/// Does one verb in the cluster that `reach` connects to, once what was typed makes sense.
///
/// # Errors
/// When it could not be done; [`Failure::line`] tells why.
pub async fn perform(
    verb: Verb,
    reach: impl FnOnce() -> Result<Cluster, ConnectError>,
    terminal: &mut Terminal<'_>,
) -> Result<Next, Failure> {
    match verb {
        Verb::Ask(door) => return Box::pin(ask(door, reach, terminal)).await,
        Verb::Why(args) => return Box::pin(ask(args.door.explained(), reach, terminal)).await,
        Verb::Again(args) => return Ok(again::run(again::check(args)?, &reach()?, terminal).await?),
        Verb::Extend(args) => return Ok(again::run(extend::check(args)?, &reach()?, terminal).await?),
        Verb::List(args) => list::run(args, &reach()?, terminal).await?,
        Verb::Show(args) => show::run(args, &reach()?, terminal).await?,
        Verb::Approve(args) => approve::run(args, &reach()?, terminal).await?,
        Verb::Revoke(args) => revoke::run(args, &reach()?, terminal).await?,
        Verb::Withdraw(args) => withdraw::run(args, &reach()?, terminal).await?,
        Verb::Grant(args) => grant::run(args, &reach()?, terminal).await?,
        Verb::Deny(args) => deny::run(args, &reach()?, terminal).await?,
        Verb::Review(args) => review::run(args, &reach()?, terminal).await?,
        Verb::Whoami(args) => whoami::run(&args, &reach()?, terminal).await?,
        Verb::Report(args) => report::run(&args, &reach()?, terminal).await?,
        Verb::Policy(args) => policy::run(*args, &ConnectionFlags::default(), terminal)?,
        Verb::Completion(args) => {
            completion::run(&args, &mut Cli::command(), terminal).map_err(Failure::Completion)?;
        }
    }
    Ok(Next::Done)
}

/// The doors.
async fn ask(
    door: DoorArgs,
    reach: impl FnOnce() -> Result<Cluster, ConnectError>,
    terminal: &mut Terminal<'_>,
) -> Result<Next, Failure> {
    Ok(match door {
        DoorArgs::Exec(args) => exec::run("exec", exec::Order::check(*args)?, &reach()?, terminal).await?,
        DoorArgs::Shell(args) => exec::run("shell", shell::check(*args)?, &reach()?, terminal).await?,
        DoorArgs::Attach(args) => attach::run(attach::Order::check(*args)?, &reach()?, terminal).await?,
        DoorArgs::PortForward(args) => {
            port_forward::run(port_forward::Order::check(*args)?, &reach()?, terminal).await?
        }
        DoorArgs::Debug(args) => debug::run(debug::Order::check(*args)?, &reach()?, terminal).await?,
        DoorArgs::Cp(args) => cp::run(cp::Order::check(*args)?, &reach()?, terminal).await?,
    })
}
