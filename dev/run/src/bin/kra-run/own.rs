//! A cluster of our own, from its start to its end.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use cluster::{Cluster, NodeChoice, Options, Progress, Running};
use kra_run::{
    Binaries, Place, Settings,
    install::{install, update},
    manifests::{NAME, NAMESPACE},
    session::Session,
    signals::Ending,
    story::{self, Stage},
    watch,
};

use crate::{
    Out,
    args::{Run, Server},
    say_mode,
};

pub(crate) fn run(run: &Run, session: &Session, out: &mut Out) -> anyhow::Result<()> {
    let node = node(run, out)?;
    let place = place(run, node)?;
    session.begin()?;
    let result = run_until_asked(run, session, node, place, out);
    session.forget()?;
    result
}

fn run_until_asked(
    run: &Run,
    session: &Session,
    node: NodeChoice,
    place: Place,
    out: &mut Out,
) -> anyhow::Result<()> {
    let ending = Ending::listen(abandon(run, session))?;
    let binaries = Binaries::build(Progress::Stderr)?;
    let cluster = Cluster::start(&Options {
        node,
        ..Options::default()
    })?;
    session.remember(&cluster, &binaries.plugin())?;
    write_users(&cluster, session)?;
    cluster.deploy_nginx(Progress::Stderr)?;
    let installed = install(&cluster, &settings(run, &binaries, place), Progress::Stderr)?;
    if !run.no_story {
        tell_story(run, session, out)?;
    }
    ending.in_order();
    explain(run, session, out)?;
    session.announce()?;
    if run.watch {
        follow_changes(&cluster, session, &ending)?;
    } else {
        ending.wait();
    }
    drop(installed);
    Ok(cluster.stop()?)
}

/// What a signal does while all this starts. The cluster ends with this process.
fn abandon(run: &Run, session: &Session) -> impl Fn() + Send + use<> {
    let session = session.clone();
    let leads_a_session = run.owner;
    move || {
        // Nobody is left to tell.
        let _left = session.forget();
        if leads_a_session {
            // Compilers: in a terminal they get its signals.
            let group = format!("-{}", std::process::id());
            let _gone = Command::new("kill").args(["-TERM", "--", &group]).status();
        }
    }
}

/// What runs the pods; the first line says so, and why.
fn node(run: &Run, out: &mut Out) -> anyhow::Result<NodeChoice> {
    if run.local_agent {
        say_mode(
            "Mode: plain processes of this machine, because --local-agent says so.",
            out,
        )?;
        return Ok(NodeChoice::LocalAgent);
    }
    let missing = cluster::what_is_missing_for_containers();
    if missing.is_empty() {
        say_mode(
            "Mode: real containers, because this is root with mount namespaces and cgroups.",
            out,
        )?;
        return Ok(NodeChoice::Container);
    }
    say_mode(
        &format!(
            "Mode: no containers, because of what is missing here: {}.",
            missing.join("; ")
        ),
        out,
    )?;
    let meaning = "Pods can run as plain processes of this machine, as you, without isolation: \
                   `kubectl exec` then runs right here";
    if !io::stdin().is_terminal() {
        bail!("{meaning}; say --local-agent if that will do");
    }
    write!(out, "{meaning}. Go on ([yN])? ")?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if answer.trim().eq_ignore_ascii_case("y") {
        Ok(NodeChoice::LocalAgent)
    } else {
        bail!("nothing was started")
    }
}

/// Where the server runs: without containers only on this machine.
fn place(run: &Run, node: NodeChoice) -> anyhow::Result<Place> {
    if run.server == Server::Cluster && node != NodeChoice::LocalAgent {
        return Ok(Place::Cluster);
    }
    if run.watch {
        bail!(
            "--watch redeploys a server in the cluster: it needs containers, and no --server local"
        );
    }
    Ok(Place::Local)
}

fn settings<'a>(run: &Run, binaries: &'a Binaries, place: Place) -> Settings<'a> {
    // It takes more than the flag: rights, and an API server that waits.
    let waits = run.flags.iter().any(|flag| flag == "--in-band-wait");
    Settings {
        manifests: if waits {
            "examples/in-band-wait"
        } else {
            "deploy"
        },
        binaries,
        place,
        flags: run.flags.clone(),
        role_model: run.role_model,
        replicas: run.replicas,
        client_authority: None,
        receivers: true,
    }
}

fn write_users(cluster: &Cluster, session: &Session) -> anyhow::Result<()> {
    let users: [(&str, &[&str]); 4] = [
        ("admin", &["system:masters"]),
        ("jane", &["devs"]),
        ("bob", &["devs"]),
        ("amy", &["approvers"]),
    ];
    Ok(cluster.write_kubeconfig(&session.kubeconfig(), &users)?)
}

fn tell_story(run: &Run, session: &Session, out: &mut Out) -> anyhow::Result<()> {
    let stage = Stage {
        bin: session.bin(),
        kubeconfig: session.kubeconfig(),
        standing_rights: !run.role_model,
    };
    writeln!(out)?;
    let told = story::play(&stage, out);
    if run.flags.is_empty() {
        return Ok(told?);
    }
    told.with_context(|| {
        format!(
            "is it because of {}? --no-story leaves the story out",
            run.flags.join(" ")
        )
    })
}

fn explain(run: &Run, session: &Session, out: &mut Out) -> anyhow::Result<()> {
    writeln!(
        out,
        "\nIt is running. Try it by hand:\n\
         \n  export KUBECONFIG={}\n  export PATH={}:$PATH\n\
         \n  kubectl --context jane exec deploy/nginx -- ls\
         \n  kubectl request --context jane exec deploy/nginx --reason '…' -- ls\
         \n  kubectl request --context amy list\
         \n  kubectl request --context amy grant NAME\n\
         \njane and bob are in the group devs, amy is an approver, admin is always allowed.\n{}",
        session.kubeconfig().display(),
        session.bin().display(),
        if run.owner {
            "End it with ./scripts/run --stop."
        } else {
            "End it with ^C."
        }
    )?;
    Ok(())
}

/// Rebuilds and redeploys on every change. What fails is told, and the next change may mend it.
fn follow_changes(cluster: &Running, session: &Session, ending: &Ending) -> anyhow::Result<()> {
    let checkout = kra_run::checkout();
    let mut seen = watch::newest(&checkout);
    let mut log = Log::follow(cluster)?;
    let mut generation: u32 = 0;
    while !ending.is_asked_within(Duration::from_millis(300)) {
        let newest = watch::newest(&checkout);
        if newest == seen {
            continue;
        }
        seen = newest;
        generation = generation.saturating_add(1);
        match redeploy(cluster, session, generation) {
            Ok(()) => log = Log::follow(cluster)?,
            Err(error) => writeln!(
                io::stderr(),
                "error: {error:#}\nThe server of before goes on."
            )?,
        }
    }
    drop(log);
    Ok(())
}

fn redeploy(cluster: &Cluster, session: &Session, generation: u32) -> anyhow::Result<()> {
    let binaries = Binaries::build(Progress::Stderr)?;
    session.remember(cluster, &binaries.plugin())?;
    Ok(update(cluster, &binaries, generation, Progress::Stderr)?)
}

/// The server's log on standard output, until this is dropped.
struct Log(Child);

impl Log {
    fn follow(cluster: &Cluster) -> anyhow::Result<Self> {
        let mut kubectl = cluster.kubectl_as_admin();
        let selector = format!("app.kubernetes.io/name={NAME}");
        kubectl.args([
            "logs",
            "--namespace",
            NAMESPACE,
            "--follow",
            "--prefix",
            "--tail=5",
            "--selector",
            &selector,
        ]);
        kubectl
            .stdin(Stdio::null())
            .spawn()
            .map(Self)
            .context("cannot follow the server's log")
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // Both fail only where it is gone already.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}
