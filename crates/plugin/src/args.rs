//! The command line.

use clap::{Parser, Subcommand};

use crate::answer::approve::ApproveArgs;
use crate::answer::deny::DenyArgs;
use crate::answer::grant::GrantArgs;
use crate::answer::review::ReviewArgs;
use crate::answer::revoke::RevokeArgs;
use crate::answer::withdraw::WithdrawArgs;
use crate::ask::again::AgainArgs;
use crate::ask::extend::ExtendArgs;
use crate::ask::why::{DoorArgs, WhyArgs};
use crate::complete::completion::CompletionArgs;
use crate::connect::ConnectionFlags;
use crate::look::list::ListArgs;
use crate::look::policy::PolicyArgs;
use crate::look::report::ReportArgs;
use crate::look::show::ShowArgs;
use crate::look::whoami::WhoamiArgs;
use crate::terminal::exit;

/// Version, commit and date of the commit.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("KRA_COMMIT"),
    ", ",
    env!("KRA_COMMIT_DATE"),
    ")"
);

const EXAMPLES: &str = "\
Examples:
  # A developer asks …
  kubectl request exec deploy/nginx -- ls

  # … somebody grants …
  kubectl request list
  kubectl request grant access-exec-jane-x4k2z

  # … and the plain kubectl works
  kubectl exec deploy/nginx -- ls";

/// Ask for access to a pod, and grant or deny what others ask for
#[derive(Debug, Parser)]
#[command(name = "kubectl-request", bin_name = "kubectl request", version = VERSION, after_help = EXAMPLES)]
#[command(after_long_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
#[command(
    subcommand_value_name = "VERB",
    subcommand_help_heading = "Verbs",
    disable_help_subcommand = true
)]
#[command(max_term_width = 120)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// How to reach the cluster.
    #[command(flatten)]
    pub connection: ConnectionFlags,
    /// Log what is asked of the API server, to standard error: from 6 on each call
    #[arg(
        short,
        long = "v",
        global = true,
        value_name = "LEVEL",
        default_value_t = 0,
        hide_short_help = true
    )]
    pub v: u8,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// The doors.
    #[command(flatten)]
    Ask(DoorArgs),
    /// Ask again for what an earlier request was for
    Again(AgainArgs),
    /// Ask for more time for what an earlier request was for
    Extend(ExtendArgs),
    /// Ask the server what would become of a command, and file nothing
    Why(Box<WhyArgs>),
    /// List requests, and where they stand
    List(ListArgs),
    /// Show one request as an approver reads it
    Show(ShowArgs),
    /// Grant requests, by name or from a list
    Approve(ApproveArgs),
    /// Grant one request, after its whole object was shown
    Grant(GrantArgs),
    /// Deny requests, for good
    Deny(DenyArgs),
    /// Review what was granted in an emergency
    Review(ReviewArgs),
    /// End a granted access
    Revoke(RevokeArgs),
    /// Take back a request of yours
    Withdraw(WithdrawArgs),
    /// Print who you are to the cluster, and what you may do there
    Whoami(WhoamiArgs),
    /// Report what would have been denied in observe mode
    Report(ReportArgs),
    /// Test access policies before they are applied
    Policy(Box<PolicyArgs>),
    /// Print completions for a shell
    Completion(CompletionArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;
    use rstest::rstest;

    use super::*;
    use crate::ask::exec::ExecArgs;

    fn exec(line: &[&str]) -> (Cli, ExecArgs) {
        let mut cli = Cli::try_parse_from([&["kubectl-request"], line].concat()).unwrap();
        let other = Verb::Completion(CompletionArgs {
            shell: clap_complete::Shell::Bash,
        });
        let Verb::Ask(DoorArgs::Exec(args)) = std::mem::replace(&mut cli.verb, other) else {
            panic!("not exec: {line:?}")
        };
        (cli, *args)
    }

    fn refused(line: &[&str]) -> ErrorKind {
        Cli::try_parse_from([&["kubectl-request"], line].concat())
            .unwrap_err()
            .kind()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn everything_behind_two_dashes_is_the_command() {
        let (_, args) = exec(&[
            "exec", "nginx", "-c", "web", "--", "ls", "-l", "--", "-n", "x",
        ]);
        assert_eq!(args.command, ["ls", "-l", "--", "-n", "x"]);
        assert_eq!(args.container.as_deref(), Some("web"));
    }

    #[test]
    fn without_two_dashes_the_command_starts_with_the_second_word() {
        let (cli, args) = exec(&["exec", "nginx", "-n", "web", "ls", "-l", "--", "-n", "x"]);
        assert_eq!(args.command, ["ls", "-l", "--", "-n", "x"]);
        assert_eq!(cli.connection.namespace.as_deref(), Some("web"));
    }

    #[test]
    fn flags_between_pod_and_two_dashes_are_ours() {
        let (_, args) = exec(&[
            "exec",
            "nginx",
            "-it",
            "--valid-for",
            "1h",
            "-k",
            "a=1",
            "-k",
            "b=2",
            "--",
            "sh",
        ]);
        assert!(args.stdin && args.tty);
        assert_eq!(args.asking.valid_for.as_deref(), Some("1h"));
        assert_eq!(args.asking.custom_keys, ["a=1", "b=2"]);
        assert_eq!(args.command, ["sh"]);
    }

    #[test]
    fn connection_flags_stand_before_or_after_the_verb() {
        for line in [
            &[
                "-n",
                "web",
                "--as",
                "jane",
                "--as-group",
                "a",
                "--as-group",
                "b",
                "exec",
                "nginx",
                "--",
                "ls",
            ],
            &[
                "exec",
                "-n",
                "web",
                "--as",
                "jane",
                "--as-group",
                "a",
                "--as-group",
                "b",
                "nginx",
                "--",
                "ls",
            ],
        ] {
            let (cli, _) = exec(line);
            assert_eq!(cli.connection.namespace.as_deref(), Some("web"));
            assert_eq!(cli.connection.as_user.as_deref(), Some("jane"));
            assert_eq!(cli.connection.as_group, ["a", "b"]);
        }
    }

    #[test]
    fn a_negative_duration_reaches_the_check_that_explains_it() {
        let (_, args) = exec(&["exec", "nginx", "-d", "-1h", "--", "ls"]);
        assert_eq!(args.asking.valid_for.as_deref(), Some("-1h"));
    }

    #[test]
    fn booleans_take_a_value_as_kubectl_s_do() {
        let (cli, _) = exec(&["exec", "--insecure-skip-tls-verify", "nginx", "ls"]);
        assert_eq!(cli.connection.insecure_skip_tls_verify, Some(true));
        let (cli, _) = exec(&["exec", "--insecure-skip-tls-verify=false", "nginx", "ls"]);
        assert_eq!(cli.connection.insecure_skip_tls_verify, Some(false));
    }

    #[test]
    fn any_command_and_a_command_exclude_each_other() {
        assert_eq!(
            refused(&["exec", "nginx", "--any-command", "--", "ls"]),
            ErrorKind::ArgumentConflict
        );
    }

    #[test]
    fn a_pod_is_needed() {
        assert_eq!(refused(&["exec"]), ErrorKind::MissingRequiredArgument);
    }

    #[rstest]
    #[case(&["debug", "web-0", "--image=busybox", "sh"], ErrorKind::UnknownArgument)]
    #[case(&["debug", "web-0", "--image=busybox", "--profile=root"], ErrorKind::InvalidValue)]
    #[case(&["debug", "web-0", "--image=busybox", "--attach=maybe"], ErrorKind::InvalidValue)]
    #[case(&["attach", "web-0", "--", "sh"], ErrorKind::UnknownArgument)]
    #[case(&["shell", "web-0", "--", "sh"], ErrorKind::UnknownArgument)]
    #[case(&["shell", "web-0", "-it"], ErrorKind::UnknownArgument)]
    #[case(&["cp", "a"], ErrorKind::MissingRequiredArgument)]
    #[case(&["cp", "a", "b", "c"], ErrorKind::UnknownArgument)]
    #[case(&["again", "a", "--valid-for=1h"], ErrorKind::UnknownArgument)]
    #[case(&["port-forward"], ErrorKind::MissingRequiredArgument)]
    fn what_no_verb_takes_is_refused(#[case] line: &[&str], #[case] kind: ErrorKind) {
        assert_eq!(refused(line), kind);
    }

    #[rstest]
    #[case(&["debug", "-n", "shop", "-i", "-t", "box", "--image=busybox", "--target=main", "-c", "mine", "--", "sh"])]
    #[case(&["port-forward", "-n", "shop", "box"])]
    #[case(&["attach", "-n", "shop", "-i", "-t", "box", "-c", "main"])]
    #[case(&["cp", "-n", "shop", "-c", "main", "box:/etc/hostname", "."])]
    fn the_lines_that_denials_say_to_type_are_understood(#[case] line: &[&str]) {
        let cli = Cli::try_parse_from([&["kubectl-request"], line].concat()).unwrap();
        assert_eq!(cli.connection.namespace.as_deref(), Some("shop"));
    }

    #[test]
    fn help_of_every_verb_shows_an_example() {
        for verb in Cli::command().get_subcommands() {
            let name = verb.get_name();
            let help = Cli::try_parse_from(["kubectl-request", name, "-h"])
                .unwrap_err()
                .to_string();
            assert!(help.contains("Examples:\n  # "), "{help}");
            let example = [
                format!("\n  kubectl request {name}"),
                format!("<(kubectl request {name}"),
            ];
            assert!(
                example.iter().any(|example| help.contains(example)),
                "{help}"
            );
        }
    }

    #[rstest]
    fn every_verb_that_asks_waits_and_tells_its_exit_codes(
        #[values(
            "exec",
            "shell",
            "attach",
            "port-forward",
            "debug",
            "cp",
            "again",
            "extend"
        )]
        verb: &str,
    ) {
        let help = Cli::try_parse_from(["kubectl-request", verb, "--help"])
            .unwrap_err()
            .to_string();
        for flag in [
            "--dry-run",
            "--wait",
            "--timeout",
            "--run",
            "Exit codes: 0 done; 1 error; 2 wrong usage; 3 denied;",
        ] {
            assert!(help.contains(flag), "{help}");
        }
    }

    #[test]
    fn dry_run_alone_means_client() {
        let (_, args) = exec(&["exec", "--dry-run", "nginx", "ls"]);
        assert_eq!(args.asking.filing.dry_run, crate::ask::DryRun::Client);
    }

    #[test]
    fn help_speaks_of_kubectl_request() {
        let help = Cli::try_parse_from(["kubectl-request", "exec", "--help"])
            .unwrap_err()
            .to_string();
        assert!(
            help.contains("Usage: kubectl request exec [OPTIONS] <POD | TYPE/NAME> [COMMAND]..."),
            "{help}"
        );
    }

    #[test]
    fn the_version_names_the_commit() {
        let version = Cli::try_parse_from(["kubectl-request", "--version"])
            .unwrap_err()
            .to_string();
        assert!(
            version.starts_with(concat!("kubectl-request ", env!("CARGO_PKG_VERSION"), " (")),
            "{version}"
        );
    }
}
