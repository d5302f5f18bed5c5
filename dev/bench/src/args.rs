//! The command line.

use std::{num::NonZeroU8, path::PathBuf, time::Duration};

use bench::{load::Expected, suite};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

/// Measures admission webhooks.
#[derive(Debug, Parser)]
#[command(name = "kra-bench", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Post AdmissionReviews to any admission webhook, and say how fast it answers
    Load(Box<Load>),
    /// Measure this project's server in all scenarios, on a control plane of its own
    #[command(override_usage = "./scripts/bench [OPTIONS]")]
    Suite(Suite),
}

/// Posts AdmissionReviews to any admission webhook, and says how fast it answers.
///
/// Each review is posted under a fresh uid, over connections that are kept alive. Only answers with
/// status 200 that are an AdmissionReview with that uid count; all else is an error. A closed loop
/// (the default) shows how many decisions a server makes; for latencies under a load that does not
/// wait for the server, give a --rate.
///
/// Exits with 0 when all reviews were answered (as --expect says), with 1 when some were not, and
/// with 2 when none could be sent.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("whom-to-believe").required(true).args(["ca", "insecure"])))]
pub(crate) struct Load {
    /// The webhook, such as <https://localhost:8443/validate?timeout=10s>
    pub(crate) url: String,
    /// A file with an AdmissionReview of admission.k8s.io/v1 as JSON; of several, one is sent after
    /// the other
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub(crate) review: Vec<PathBuf>,
    /// The authorities of the server's certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Believe any certificate
    #[arg(long)]
    pub(crate) insecure: bool,
    /// The certificate to show, PEM
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub(crate) client_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub(crate) client_key: Option<PathBuf>,
    /// How many connections, each with one review at a time
    #[arg(long, default_value = "4", value_name = "N")]
    pub(crate) connections: NonZeroU8,
    /// How long to measure, in seconds
    #[arg(long, default_value = "10", value_name = "S", value_parser = seconds, conflicts_with = "requests")]
    pub(crate) duration: Duration,
    /// How many reviews to send, instead; then none warms up
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) requests: Option<u64>,
    /// How long to send before that without counting, in seconds
    #[arg(long, default_value = "1", value_name = "S", value_parser = seconds_or_none)]
    pub(crate) warm_up: Duration,
    /// Reviews a second, whether the server keeps up or not (an open loop): latency counts from the
    /// time at which a review is due, also where it waits for a connection
    #[arg(long, value_name = "R", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// The latest that an answer may come, in seconds
    #[arg(long, default_value = "10", value_name = "S", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// The server's process on this machine, to measure its CPU time and memory
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,
    /// Count every other answer as an error
    #[arg(long, value_enum, value_name = "ANSWER")]
    pub(crate) expect: Option<Expect>,
    /// How many threads send
    #[arg(long, default_value = "1", value_name = "N")]
    pub(crate) threads: NonZeroU8,
    /// The cores that these run on, by number
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    pub(crate) cores: Vec<usize>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
    pub(crate) output: Output,
}

/// Measures this project's server in all scenarios, on a control plane of its own (etcd and
/// kube-apiserver as processes of this machine; no node, no root).
///
/// Exits with 0 when all was measured, with 1 when something was not answered as it should be or,
/// with --quick, a ratio is 1.5 times as bad as the recorded one, and with 2 when it could not be
/// measured.
#[derive(Debug, Args)]
pub(crate) struct Suite {
    /// Take less than three minutes: fewer objects, short runs, and ratios compared with the
    /// recorded ones
    #[arg(long)]
    quick: bool,
    /// With how many requests, and about as many grants [default: 0,1000,10000,100000; with --quick
    /// 0,5000]
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    objects: Vec<usize>,
    /// Under how many policies, at most 500 [default: 0,10,500; with --quick 0,500, and without
    /// objects 0]
    #[arg(long, value_delimiter = ',', value_name = "N,…", value_parser = policies)]
    policies: Vec<usize>,
    /// Only these scenarios (repeatable, or separated by commas)
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    scenario: Vec<suite::Scenario>,
    /// The server, another than the one beside this program
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// Write the ratios down, for later runs with --quick to be compared with
    #[arg(long, requires = "quick", conflicts_with_all = ["objects", "policies", "scenario"])]
    record: bool,
    /// How to print; progress goes to standard error
    #[arg(short, long, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
    output: Output,
}

impl Suite {
    pub(crate) fn settings(&self) -> suite::Settings {
        suite::Settings {
            is_quick: self.quick,
            objects: self.objects.clone(),
            policies: self.policies.clone(),
            scenarios: self.scenario.clone(),
            server: self.server.clone(),
            records: self.record,
            as_json: self.output == Output::Json,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Expect {
    Allowed,
    Denied,
}

impl From<Expect> for Expected {
    fn from(expect: Expect) -> Self {
        match expect {
            Expect::Allowed => Self::Allowed,
            Expect::Denied => Self::Denied,
        }
    }
}

fn seconds_or_none(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| *duration <= Duration::from_hours(24))
        .ok_or_else(|| "write seconds, at most a day, such as 10 or 0.5".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    seconds_or_none(text).and_then(|duration| {
        if duration.is_zero() {
            Err("write more than 0 seconds".to_owned())
        } else {
            Ok(duration)
        }
    })
}

fn policies(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|&count| count <= suite::MAX_POLICIES)
        .ok_or_else(|| format!("write a number, at most {}", suite::MAX_POLICIES))
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate: &f64| *rate >= 0.01 && *rate <= 1e7)
        .ok_or_else(|| "write a number of reviews a second, such as 500".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn is_taken(line: &str) -> bool {
        Cli::try_parse_from(line.split(' ')).is_ok()
    }

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        const LOAD: &str = "kra-bench load https://localhost/ --review a.json b.json";
        assert!(is_taken(&format!("{LOAD} --insecure")));
        for wrong in [
            "",
            " --ca=ca --insecure",
            " --insecure --rate=0",
            " --insecure --rate=NaN",
            " --insecure --duration=0",
            " --insecure --duration=-1",
            " --insecure --connections=0",
            " --insecure --requests=0",
            " --insecure --requests=1 --duration=1",
            " --insecure --client-cert=a",
            " --insecure --expect=maybe",
        ] {
            assert!(!is_taken(&format!("{LOAD}{wrong}")), "{wrong}");
        }
        assert!(!is_taken("kra-bench load https://localhost/ --insecure"));
        assert!(!is_taken("kra-bench suite --objects=many"));
        assert!(!is_taken("kra-bench suite --scenario=all"));
        assert!(!is_taken("kra-bench suite --record"));
        assert!(!is_taken("kra-bench suite --policies=501"));
    }
}
