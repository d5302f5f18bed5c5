//! `kra-cluster`: builds a Kubernetes, runs it in the foreground, adds users and images to one that
//! runs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use kra_cluster::{Cluster, Node, NodeChoice, Options, Progress, StartError};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// A real one-node Kubernetes without Docker: etcd, kube-apiserver, kube-controller-manager,
/// kubelet, containerd, runc.
///
/// Built from source once (about ten minutes), kept in `$KRA_CACHE` or
/// `~/.cache/kube-request-access`, then up in seconds.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build what is not built yet, and print where it is
    Build(NodeArgs),
    /// Start a cluster with a Deployment nginx and run it until ^C or TERM; then nothing of it is
    /// left
    Up(UpArgs),
    /// Print the path of a kubeconfig for a user of a running cluster
    User(UserArgs),
    /// Load an image (a docker archive) into a running cluster's node
    Load(LoadArgs),
}

#[derive(Debug, Args)]
struct NodeArgs {
    /// Run pods as plain processes of this machine, without root and without isolation
    #[arg(long)]
    local_agent: bool,
}

#[derive(Debug, Args)]
struct UpArgs {
    /// The cluster's directory, empty or not there yet; removed at the end [default: one in the
    /// cache]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Args)]
struct UserArgs {
    /// The user's name
    name: String,
    /// A group the user is in; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Add a context for the user to this kubeconfig instead
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The cluster's directory, which `up` has printed
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct LoadArgs {
    /// The archive, as `docker save` writes it
    image: PathBuf,
    /// The cluster's directory, which `up` has printed
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kra-cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Build(args) => build(&args),
        Verb::Up(args) => up(args),
        Verb::User(args) => user(&args),
        Verb::Load(args) => Ok(Cluster::attach(&args.dir)?.load_image(&args.image)?),
    }
}

fn build(args: &NodeArgs) -> Result<()> {
    let node = if args.local_agent {
        Node::LocalAgent
    } else {
        Node::Containers
    };
    let built = kra_cluster::build(node, Progress::Stderr)?;
    for dir in [
        Some(built.kubernetes),
        Some(built.busybox),
        built.runtime,
        built.localnode,
    ]
    .into_iter()
    .flatten()
    {
        tell(&dir.display().to_string());
    }
    Ok(())
}

fn up(args: UpArgs) -> Result<()> {
    let node = if args.node.local_agent {
        NodeChoice::LocalAgent
    } else {
        NodeChoice::Auto
    };
    let options = Options {
        node,
        dir: args.dir,
        ..Options::default()
    };
    let cluster = match Cluster::start(&options) {
        Err(error @ StartError::ContainersImpossible { .. }) => {
            return Err(error).context(
                "try --local-agent, which needs none of it (pods are then plain processes)",
            );
        }
        outcome => outcome?,
    };
    cluster.deploy_nginx(Progress::Stderr)?;
    // Only now: until here a signal may end this process as it likes, the cluster goes with it.
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen for signals")?;
    tell(&format!(
        "\n  export KUBECONFIG={}\n",
        cluster.admin_kubeconfig().display()
    ));
    tell(&format!(
        "Directory {}; ^C ends the cluster.",
        cluster.dir().display()
    ));
    signals.forever().next();
    cluster.stop().context("the cluster did not end in order")
}

fn user(args: &UserArgs) -> Result<()> {
    let cluster = Cluster::attach(&args.dir)?;
    let groups: Vec<_> = args.groups.iter().map(String::as_str).collect();
    let path = match &args.kubeconfig {
        Some(path) => cluster
            .add_context(path, &args.name, &groups)
            .map(|()| path.clone())?,
        None => cluster.user(&args.name, &groups)?,
    };
    tell(&path.display().to_string());
    Ok(())
}

#[expect(
    clippy::print_stdout,
    reason = "what the user asked for; everything else goes to standard error"
)]
fn tell(line: &str) {
    println!("{line}");
}
