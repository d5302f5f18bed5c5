//! `./scripts/run` and `./scripts/create-user`.

mod args;
mod detached;
mod own;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::bail;
use args::{Cli, CreateUser, Run, Verb};
use clap::Parser as _;
use cluster::Progress;
use kra_run::{Binaries, remote::Remote, session::Session};

/// Stories and help go to standard output; progress and errors do not.
type Out = io::Stdout;

fn main() -> ExitCode {
    let mut out = io::stdout();
    let result = match Cli::parse().command {
        Verb::Run(run) => start_or_stop(&run, &mut out),
        Verb::CreateUser(user) => create(&user, &mut out),
        Verb::CanRunContainers => can_run_containers(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to tell of a broken standard error.
            let _: io::Result<()> = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_or_stop(run: &Run, out: &mut Out) -> anyhow::Result<()> {
    let session = Session::here();
    match &run.context {
        Some(context) => remote(run, context, out),
        None if run.stop => {
            let was = session.stop()?;
            Ok(writeln!(
                out,
                "{}",
                if was {
                    "Stopped; nothing is left."
                } else {
                    "Nothing was running."
                }
            )?)
        }
        None if run.detach => detached::start(&session, out),
        None => own::run(run, &session, out),
    }
}

fn remote(run: &Run, context: &str, out: &mut Out) -> anyhow::Result<()> {
    let remote = Remote {
        context: context.to_owned(),
        image: run.image.clone(),
    };
    if run.stop {
        return Ok(remote.remove(Progress::Stderr)?);
    }
    say_mode(
        &format!("Mode: the cluster of context {context}, because --context names it."),
        out,
    )?;
    remote.check()?;
    let binaries = remote
        .needs_binaries()
        .then(|| Binaries::build(Progress::Stderr))
        .transpose()?;
    remote.install(&run.installation(), binaries.as_ref(), Progress::Stderr)?;
    writeln!(
        out,
        "\nIt is installed. Say who may ask and who may grant, for example:\n\
         \n  kubectl --context {context} create clusterrolebinding devs --clusterrole=kube-request-access-requester --group=devs\
         \n  kubectl --context {context} create clusterrolebinding approvers --clusterrole=kube-request-access-approver --group=approvers\n\
         \nand nobody execs without being granted it. Remove it all: ./scripts/run --context {context} --stop"
    )?;
    Ok(())
}

fn create(user: &CreateUser, out: &mut Out) -> anyhow::Result<()> {
    let session = Session::here();
    let groups: Vec<&str> = user.groups.iter().map(String::as_str).collect();
    session
        .cluster()?
        .add_context(&session.kubeconfig(), &user.name, &groups)?;
    writeln!(
        out,
        "Added the context {} to {}.",
        user.name,
        session.kubeconfig().display()
    )?;
    Ok(())
}

fn can_run_containers() -> anyhow::Result<()> {
    let missing = cluster::what_is_missing_for_containers();
    if missing.is_empty() {
        Ok(())
    } else {
        bail!(
            "containers cannot run here; missing: {}",
            missing.join("; ")
        )
    }
}

/// The first line, unless `scripts/run` has said it, which it does before it builds this.
fn say_mode(line: &str, out: &mut Out) -> io::Result<()> {
    if std::env::var("KRA_MODE_SAID").is_ok_and(|said| said == line) {
        Ok(())
    } else {
        writeln!(out, "{line}")
    }
}
