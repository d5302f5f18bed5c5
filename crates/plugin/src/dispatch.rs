//! Which verb does what the command line says.

use clap::CommandFactory;

use crate::Failure;
use crate::answer::{approve, deny, grant, review, revoke, withdraw};
use crate::args::{Cli, Verb};
use crate::ask::why::DoorArgs;
use crate::ask::{again, attach, cp, debug, exec, extend, port_forward, shell};
use crate::cluster::Cluster;
use crate::complete::completion;
use crate::connect::login::Purpose;
use crate::connect::{self, ConnectError, ConnectionFlags};
use crate::look::{list, policy, report, show, whoami};
use crate::terminal::Terminal;
use crate::terminal::kubectl::Next;

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
    let reach = || connect::connect(&cli.connection, watched, Purpose::Command);
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
        Verb::Extend(args) => {
            return Ok(again::run(extend::check(args)?, &reach()?, terminal).await?);
        }
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
    // What is typed is checked before anything is connected to. A request, and so each future that
    // holds one, is larger than a stack likes.
    let next = match door {
        DoorArgs::Exec(args) => {
            let order = exec::Order::check(*args)?;
            Box::pin(exec::run("exec", order, &reach()?, terminal)).await
        }
        DoorArgs::Shell(args) => {
            let order = shell::check(*args)?;
            Box::pin(exec::run("shell", order, &reach()?, terminal)).await
        }
        DoorArgs::Attach(args) => {
            let order = attach::Order::check(*args)?;
            Box::pin(attach::run(order, &reach()?, terminal)).await
        }
        DoorArgs::PortForward(args) => {
            let order = port_forward::Order::check(*args)?;
            Box::pin(port_forward::run(order, &reach()?, terminal)).await
        }
        DoorArgs::Debug(args) => {
            let order = debug::Order::check(*args)?;
            Box::pin(debug::run(order, &reach()?, terminal)).await
        }
        DoorArgs::Cp(args) => {
            let order = cp::Order::check(*args)?;
            Box::pin(cp::run(order, &reach()?, terminal)).await
        }
    };
    Ok(next?)
}
