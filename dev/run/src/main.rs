//! `./scripts/run` and `./scripts/create-user`.

use std::{
    io::{self, IsTerminal as _, Write},
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use cluster::{Cluster, NodeChoice, Options, Progress, Running, StartError};
use kra_run::{
    Binaries, Installed, Place, Settings, install,
    remote::Remote,
    session::Session,
    story::{self, Stage},
    watch,
};
use signal_hook::{consts::TERM_SIGNALS, iterator::Signals};

/// Everything that begins with this is a line of a story or of help: it goes to standard output.
type Out = io::Stdout;

#[derive(Debug, Parser)]
#[command(name = "kra-run", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Builds kube-request-access and a Kubernetes to run it in, shows what it does, and leaves it running
    #[command(name = "run", bin_name = "./scripts/run")]
    Run(Box<Run>),
    /// Adds a user to the cluster that ./scripts/run left running
    #[command(name = "create-user", bin_name = "./scripts/create-user")]
    CreateUser(CreateUser),
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Run {
    /// Return when everything is up; end it with --stop
    #[arg(long, conflicts_with_all = ["stop", "watch"])]
    detach: bool,
    /// End what runs, and leave nothing behind; with --context: remove it from that cluster
    #[arg(long, conflicts_with = "watch")]
    stop: bool,
    /// Rebuild and redeploy when a source file changes, and follow the server's log
    #[arg(long)]
    watch: bool,
    /// Where the server runs: in the cluster, or as a process on this machine
    #[arg(long, value_enum, default_value_t = Server::Cluster)]
    server: Server,
    /// Run pods as plain processes of this machine, as this user, without isolation: for machines without root
    #[arg(long)]
    local_agent: bool,
    /// The second access model: no standing rights, a RoleBinding per grant
    #[arg(long)]
    role_model: bool,
    /// How many servers, in the cluster
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=5))]
    replicas: u32,
    /// Deploy to this cluster of your kubeconfig instead of one of our own
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Where that cluster pulls the image from (kind and k3d are given it)
    #[arg(long, requires = "context", value_name = "REF")]
    image: Option<String>,
    /// More flags for the server
    #[arg(last = true, value_name = "SERVER-FLAGS")]
    flags: Vec<String>,
    /// The process that owns what --detach leaves running
    #[arg(long, hide = true)]
    owner: bool,
}

#[derive(Debug, Args)]
struct CreateUser {
    /// Name of the user
    name: String,
    /// A group of hers (repeatable): devs may ask, approvers may grant
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Server {
    Cluster,
    Local,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Verb::Run(run) => run.run(&mut io::stdout()),
        Verb::CreateUser(user) => user.run(&mut io::stdout()),
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

impl Run {
    fn run(self, out: &mut Out) -> anyhow::Result<()> {
        let session = Session::here();
        match &self.context {
            Some(context) => self.remote(context, out),
            None if self.stop => {
                let was = session.stop()?;
                Ok(writeln!(out, "{}", if was { "Stopped; nothing is left." } else { "Nothing was running." })?)
            }
            None if self.detach => detach(&session, out),
            None => self.own(&session, out),
        }
    }

    fn remote(&self, context: &str, out: &mut Out) -> anyhow::Result<()> {
        let remote = Remote { context: context.to_owned(), image: self.image.clone() };
        if self.stop {
            return Ok(remote.remove(Progress::Stderr)?);
        }
        writeln!(out, "Mode: the cluster of context {context}, because --context names it.")?;
        let binaries = Binaries::build(Progress::Stderr)?;
        remote.install(&binaries, &self.flags, Progress::Stderr)?;
        writeln!(
            out,
            "Installed. Bind people to the ClusterRoles kube-request-access-requester and -approver, then try:\n  \
             kubectl exec …    (refused, and told how to ask)\nRemove it: ./scripts/run --context {context} --stop"
        )?;
        Ok(())
    }

    /// Owns a cluster from its start to its end.
    fn own(&self, session: &Session, out: &mut Out) -> anyhow::Result<()> {
        let node = self.node(out)?;
        session.begin()?;
        let result = self.own_with(session, node, out);
        session.forget()?;
        result
    }

    fn own_with(&self, session: &Session, node: NodeChoice, out: &mut Out) -> anyhow::Result<()> {
        // From now on a signal ends us in order.
        let mut signals = Signals::new(TERM_SIGNALS)?;
        let binaries = Binaries::build(Progress::Stderr)?;
        let cluster = start(node)?;
        session.remember(&cluster, &binaries.plugin())?;
        write_users(&cluster, session)?;
        cluster.deploy_nginx(Progress::Stderr)?;
        let installed = install(&cluster, &self.settings(&binaries, node), Progress::Stderr)?;
        let stage = Stage { bin: session.bin(), kubeconfig: session.kubeconfig(), standing_rights: !self.role_model };
        writeln!(out)?;
        story::play(&stage, out)?;
        self.explain(session, out)?;
        session.announce()?;
        if self.watch {
            self.follow_changes(&cluster, &mut signals)?;
        } else {
            signals.forever().next();
        }
        end(cluster, installed)
    }

    /// What runs the pods; the first line says so, and why.
    fn node(&self, out: &mut Out) -> anyhow::Result<NodeChoice> {
        if self.local_agent {
            writeln!(out, "Mode: plain processes of this machine, because --local-agent says so.")?;
            return Ok(NodeChoice::LocalAgent);
        }
        let missing = cluster::what_is_missing_for_containers();
        if missing.is_empty() {
            writeln!(out, "Mode: real containers, because this is root with mount namespaces and cgroups.")?;
            return Ok(NodeChoice::Container);
        }
        let missing = missing.join("; ");
        writeln!(out, "Mode: no containers, because of what is missing here: {missing}.")?;
        let meaning = "Pods can run as plain processes of this machine, as you, without isolation: \
                       `kubectl exec` then runs right here";
        if !io::stdin().is_terminal() {
            bail!("{meaning}; say --local-agent if that will do");
        }
        write!(out, "{meaning}. Go on ([yN])? ")?;
        out.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        if answer.trim().eq_ignore_ascii_case("y") { Ok(NodeChoice::LocalAgent) } else { bail!("nothing was started") }
    }

    fn settings<'a>(&self, binaries: &'a Binaries, node: NodeChoice) -> Settings<'a> {
        let local = self.server == Server::Local || node == NodeChoice::LocalAgent;
        Settings {
            binaries,
            place: if local { Place::Local } else { Place::Cluster },
            flags: self.flags.clone(),
            role_model: self.role_model,
            replicas: self.replicas,
            receivers: true,
        }
    }

    fn explain(&self, session: &Session, out: &mut Out) -> anyhow::Result<()> {
        writeln!(
            out,
            "\nIt is running. Try it by hand:\n\
             \n  export KUBECONFIG={}\n  export PATH={}:$PATH\n\
             \n  kubectl --context jane exec deploy/nginx -- ls\
             \n  kubectl request --context jane exec deploy/nginx --reason '…' -- ls\
             \n  kubectl request --context amy list\
             \n  kubectl request --context amy grant NAME\n\
             \njane and bob are in the group devs, amy is an approver, admin is always allowed.\n{}",
            session.kubeconfig().canonicalize()?.display(),
            session.bin().canonicalize()?.display(),
            if self.owner { "End it with ./scripts/run --stop." } else { "End it with ^C." }
        )?;
        Ok(())
    }

    fn follow_changes(&self, cluster: &Cluster, signals: &mut Signals) -> anyhow::Result<()> {
        if self.server == Server::Local || self.local_agent {
            bail!("--watch redeploys a server in the cluster: leave out --server local and --local-agent");
        }
        let mut seen = watch::newest(&kra_run::checkout());
        let mut log = follow_log(cluster)?;
        for generation in 1.. {
            while watch::newest(&kra_run::checkout()) == seen {
                if signals.pending().next().is_some() {
                    let _gone: io::Result<()> = log.kill();
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(300));
            }
            seen = watch::newest(&kra_run::checkout());
            match Binaries::build(Progress::Stderr) {
                Ok(binaries) => kra_run::install::update(cluster, &binaries, generation)?,
                // It has said why; the next change may mend it.
                Err(error) => writeln!(io::stderr(), "{error}")?,
            }
            let _gone: io::Result<()> = log.kill();
            log = follow_log(cluster)?;
        }
        Ok(())
    }
}

fn follow_log(cluster: &Cluster) -> anyhow::Result<std::process::Child> {
    let mut kubectl = cluster.kubectl_as_admin();
    kubectl.args(["logs", "-n", "kube-request-access", "-f", "--tail=5", "deployment/kube-request-access"]);
    kubectl.stdin(Stdio::null()).spawn().context("cannot follow the server's log")
}

fn start(node: NodeChoice) -> anyhow::Result<Running> {
    match Cluster::start(&Options { node, ..Options::default() }) {
        Err(StartError::ContainersImpossible { missing }) => {
            bail!("containers cannot run here: {}; --local-agent can do without", missing.join("; "))
        }
        other => Ok(other?),
    }
}

fn write_users(cluster: &Cluster, session: &Session) -> anyhow::Result<()> {
    let users: [(&str, &[&str]); 4] =
        [("admin", &["system:masters"]), ("jane", &["devs"]), ("bob", &["devs"]), ("amy", &["approvers"])];
    Ok(cluster.write_kubeconfig(&session.kubeconfig(), &users)?)
}

fn end(cluster: Running, installed: Installed) -> anyhow::Result<()> {
    drop(installed);
    Ok(cluster.stop()?)
}

/// Starts the owner in a session of its own, shows what it says until all is up, and leaves it running.
fn detach(session: &Session, out: &mut Out) -> anyhow::Result<()> {
    if let Some(pid) = session.owner() {
        bail!("it is running already (process {pid}): end it with ./scripts/run --stop");
    }
    session.forget()?;
    std::fs::create_dir_all(session.dir())?;
    let log = std::fs::File::create(session.log())?;
    let arguments = std::env::args_os().skip(1).map(|word| if word == "--detach" { "--owner".into() } else { word });
    let mut owner = Command::new("setsid");
    owner.arg(std::env::current_exe()?).args(arguments);
    owner.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut owner = owner.spawn().context("cannot start the process that owns the cluster")?;
    let mut shown = 0;
    loop {
        shown = show_more(&session.log(), shown, out)?;
        if session.is_ready() {
            show_more(&session.log(), shown, out)?;
            return Ok(());
        }
        if let Some(status) = owner.try_wait()? {
            bail!("it did not start ({status})");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Shows what a log has beyond `from`; answers with its length. A log that is gone has nothing more.
fn show_more(log: &PathBuf, from: usize, out: &mut Out) -> anyhow::Result<usize> {
    let text = std::fs::read(log).unwrap_or_default();
    out.write_all(text.get(from..).unwrap_or_default())?;
    out.flush()?;
    Ok(text.len().max(from))
}

impl CreateUser {
    fn run(self, out: &mut Out) -> anyhow::Result<()> {
        let session = Session::here();
        let groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        session.cluster()?.add_context(&session.kubeconfig(), &self.name, &groups)?;
        writeln!(out, "Added the context {} to {}.", self.name, session.kubeconfig().canonicalize()?.display())?;
        Ok(())
    }
}
