//! The command lines of the scripts.

use clap::{Args, Parser, Subcommand, ValueEnum, builder::NonEmptyStringValueParser};
use kra_run::remote::Installation;

#[derive(Debug, Parser)]
#[command(name = "kra-run", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Builds kube-request-access and a Kubernetes to run it in, shows what it does, and leaves it
    /// running
    #[command(
        name = "run",
        override_usage = "./scripts/run [OPTIONS] [-- SERVER-FLAGS…]"
    )]
    Run(Box<Run>),
    /// Adds a user to the cluster that ./scripts/run left running
    #[command(
        name = "create-user",
        override_usage = "./scripts/create-user NAME [--group GROUP]…"
    )]
    CreateUser(CreateUser),
    /// Fails with what is missing where containers cannot run
    CanRunContainers,
}

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Run {
    /// Return when everything is up; end it with --stop
    #[arg(long, conflicts_with_all = ["stop", "watch"])]
    pub(crate) detach: bool,
    /// End what runs, and leave nothing behind; with --context: remove it from that cluster
    #[arg(long, conflicts_with = "watch")]
    pub(crate) stop: bool,
    /// Rebuild and redeploy when a source file changes, and follow the server's log
    #[arg(long, conflicts_with = "local_agent")]
    pub(crate) watch: bool,
    /// Where the server runs: in the cluster, or as a process on this machine
    #[arg(long, value_enum, default_value_t = Server::Cluster)]
    pub(crate) server: Server,
    /// Run pods as plain processes of this machine, as this user, without isolation: for machines
    /// without root
    #[arg(long)]
    pub(crate) local_agent: bool,
    /// The second access model: no standing rights, a RoleBinding per grant
    #[arg(long)]
    pub(crate) role_model: bool,
    /// How many servers, in the cluster
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=5))]
    pub(crate) replicas: u32,
    /// Start without playing the story, which takes the server as it is by default
    #[arg(long)]
    pub(crate) no_story: bool,
    /// Deploy to this cluster of your kubeconfig instead of one of our own
    #[arg(long, value_name = "NAME", conflicts_with_all = ["detach", "watch", "server", "local_agent", "no_story"])]
    pub(crate) context: Option<String>,
    /// Where that cluster pulls the image from (kind and k3d are given it)
    #[arg(long, requires = "context", value_name = "REF")]
    pub(crate) image: Option<String>,
    /// More flags for the server
    #[arg(last = true, value_name = "SERVER-FLAGS")]
    pub(crate) flags: Vec<String>,
    /// The process that owns what --detach leaves running
    #[arg(long, hide = true)]
    pub(crate) owner: bool,
}

impl Run {
    /// What is installed into a cluster that exists.
    pub(crate) fn installation(&self) -> Installation {
        Installation {
            flags: self.flags.clone(),
            role_model: self.role_model,
            replicas: self.replicas,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CreateUser {
    /// Name of the user
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: String,
    /// A group of hers (repeatable): devs may ask, approvers may grant
    #[arg(long = "group", value_name = "GROUP")]
    pub(crate) groups: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Server {
    Cluster,
    Local,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Run, clap::Error> {
        match Cli::try_parse_from(line.split(' '))?.command {
            Verb::Run(run) => Ok(*run),
            other @ (Verb::CreateUser(_) | Verb::CanRunContainers) => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_two_dashes_is_the_servers() {
        let run = parse("kra-run run --role-model -- --allow-interactive --stop").unwrap();
        assert!(!run.stop);
        assert_eq!(run.flags, ["--allow-interactive", "--stop"]);
    }

    #[test]
    fn flags_of_our_own_cluster_are_refused_for_one_that_exists() {
        for flag in [
            "--detach",
            "--watch",
            "--server=local",
            "--local-agent",
            "--no-story",
        ] {
            assert!(
                parse(&format!("kra-run run --context kind-dev {flag}")).is_err(),
                "{flag}"
            );
        }
        assert!(parse("kra-run run --image example.com/image").is_err());
        assert!(parse("kra-run run --context kind-dev --stop").is_ok());
    }

    #[test]
    fn a_user_needs_a_name() {
        assert!(Cli::try_parse_from(["kra-run", "create-user", ""]).is_err());
    }
}
