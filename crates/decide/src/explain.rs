//! What a denied caller reads in her terminal: what happened, the nearest miss, and what to type
//! next.
//!
//! kubectl puts `error: unable to upgrade connection: admission webhook "…" denied the request: `
//! before the first line. A few lines; the texts speak of the caller's own requests only.

use jiff::Timestamp;

use crate::{
    access::{Ask, Command, Outcome},
    argv,
    attempt::{Action, Attempt, Door, Exec},
    copy,
    debug::{DebugContainer, Profile, SECURITY_CONTEXT},
    duration,
    matching::Difference,
    ruling::{Forbidden, Wanted},
    standing::Standing,
    text::{is_hidden, safe},
    verdict::{Denied, Miss, PodMiss},
};

/// Longest command, in bytes, that is repeated in a denial.
const MAX_LINE_LEN: usize = 1024;

/// What the text may speak of beside the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// `--cluster-name`, or empty.
    pub cluster: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// The text of a denial.
pub fn denial(denied: &Denied, attempt: &Attempt, context: Context<'_>) -> String {
    let ask = ask(attempt);
    match denied {
        Denied::InteractiveOff => format!(
            "interactive access (-i, -t) cannot be granted here: the server runs without --allow-interactive.\n\
             Run kubectl {} without -i and -t, or ask your administrators.",
            attempt.door().verb()
        ),
        Denied::Forbidden(forbidden) => {
            format!(
                "{}{}.{}",
                forbids(forbidden),
                place(attempt, context),
                contact(forbidden)
            )
        }
        Denied::NoRequest if is_without_command(attempt) => {
            format!(
                "no command was sent, and you have no access to run any{}.",
                place(attempt, context)
            )
        }
        Denied::NoRequest => format!(
            "you have not asked for this yet{}.\n{ask}\nOnce somebody grants it, the same kubectl {} works.",
            place(attempt, context),
            verb(attempt),
        ),
        Denied::Near { request, miss } => near(request, miss, attempt, context, &ask),
    }
}

fn is_without_command(attempt: &Attempt) -> bool {
    matches!(&attempt.action, Action::Exec(exec) if exec.command.is_empty())
}

/// What was typed behind `kubectl`, as far as it can be told.
fn verb(attempt: &Attempt) -> &'static str {
    match &attempt.action {
        Action::Exec(exec) if exec.looks_like_copy() || copy::packed(&exec.command).is_some() => {
            "cp"
        }
        Action::Exec(_) | Action::Attach(_) | Action::PortForward | Action::Debug(_) => {
            attempt.door().verb()
        }
    }
}

fn near(request: &str, miss: &Miss, attempt: &Attempt, context: Context<'_>, ask: &str) -> String {
    match miss {
        Miss::Waiting { since, wanted } => format!(
            "your request {request} {} since {}{}.\n\
             Run the same command again once it is granted; whoever may grant it types:\n  \
             kubectl request grant -n {} {request}",
            awaited(wanted),
            span(*since, context.now),
            place(attempt, context),
            argv::quote_posix(&attempt.namespace),
        ),
        Miss::Over(Standing::Forbidden(forbidden)) => {
            let again = forbidden
                .unmet
                .as_ref()
                .map(|_| format!("\nTo ask again, with that:\n{ask}"));
            format!(
                "your request {request} gives no access: {}{}.{}{}",
                forbids(forbidden),
                place(attempt, context),
                contact(forbidden),
                again.unwrap_or_default()
            )
        }
        Miss::Over(standing) => {
            let ask = ask_again(request, standing, attempt, ask);
            format!(
                "{}{}.\n{ask}",
                over(request, standing, context),
                place(attempt, context)
            )
        }
        Miss::Differs {
            differences,
            granted,
        } => differs(request, differences, granted, attempt, ask),
        Miss::Pod(miss) => {
            format!(
                "{}{}.\nTo ask for this pod as it is now:\n{ask}",
                pod(request, miss),
                place(attempt, context)
            )
        }
    }
}

/// `waits for a grant`, or how many of how many approvals it has.
fn awaited(wanted: &Wanted) -> String {
    let sets = safe(&wanted.from.join(", and one of "));
    let from = if sets.is_empty() {
        String::new()
    } else {
        format!(" (among them one of {sets})")
    };
    match (wanted.needed, wanted.have.as_slice()) {
        (0 | 1, _) if sets.is_empty() => "waits for a grant".to_owned(),
        (0 | 1, _) => format!("waits for a grant by one of {sets}"),
        (needed, []) => format!("waits for {needed} approvals{from}"),
        (needed, have) => {
            format!(
                "has {} of {needed} approvals (by {}), and waits for more{from}",
                have.len(),
                safe(&have.join(", "))
            )
        }
    }
}

/// What a policy forbids, or asks for.
pub fn forbids(forbidden: &Forbidden) -> String {
    let name = safe(&forbidden.policy.name);
    match (&forbidden.unmet, &forbidden.fault) {
        (_, Some(fault)) => {
            format!(
                "policy {name} is not understood ({}), and so nobody may do this",
                safe(fault)
            )
        }
        (Some(unmet), None) => format!("policy {name} requires {}", safe(&unmet.to_string())),
        (None, None) => format!("policy {name} forbids this"),
    }
}

/// Whom to ask about it, where the policy says: a sentence with a space before it.
pub fn contact(forbidden: &Forbidden) -> String {
    forbidden
        .contact
        .as_ref()
        .map(|contact| format!(" Ask {}.", safe(contact)))
        .unwrap_or_default()
}

fn over(request: &str, standing: &Standing, context: Context<'_>) -> String {
    match standing {
        Standing::Denied(denial) => {
            let reason = denial
                .reason
                .as_ref()
                .map(|reason| format!(" ({})", safe(reason)))
                .unwrap_or_default();
            let by = if denial.by.is_empty() {
                "somebody".to_owned()
            } else {
                safe(&denial.by)
            };
            format!(
                "{by} denied your request {request} {} ago{reason}",
                span(denial.at, context.now)
            )
        }
        Standing::Used { last, by } => {
            let (by, at) = (granted_by(by), clock(last.at));
            match last.outcome {
                Some(Outcome::Answered) => {
                    format!("your request {request}{by} was for one use, and was used at {at}")
                }
                Some(Outcome::Lost) => format!(
                    "your request {request}{by} was for one use, which was taken at {at} and may have been lost: the \
                     server stopped before it could answer"
                ),
                None => {
                    format!("your request {request}{by} was for one use, which was taken at {at}")
                }
            }
        }
        Standing::Expired { at, by } if by.is_empty() => {
            format!(
                "your request {request} was never answered, and lapsed {} ago",
                span(*at, context.now)
            )
        }
        Standing::Expired { at, by } => {
            format!(
                "your access by request {request}{} ended {} ago",
                granted_by(by),
                span(*at, context.now)
            )
        }
        Standing::Revoked => format!("your request {request} is being deleted"),
        Standing::Forbidden(forbidden) => format!(
            "your request {request} gives no access: {}",
            forbids(forbidden)
        ),
        Standing::Pending | Standing::Granted(_) => {
            format!("your request {request} does not give this access")
        }
    }
}

/// How to ask again: for a use that may be lost, for the very same.
fn ask_again(request: &str, standing: &Standing, attempt: &Attempt, ask: &str) -> String {
    let again = format!(
        "  kubectl request again -n {} {request}",
        argv::quote_posix(&attempt.namespace)
    );
    match standing {
        Standing::Used { last, .. } if last.outcome == Some(Outcome::Lost) => {
            format!("To ask for it again:\n{again}")
        }
        Standing::Used { last, .. } if last.outcome.is_none() => format!(
            "If nothing ran then, it may have been lost: the server stopped before it could answer. To ask for it again:\n{again}"
        ),
        Standing::Used { .. }
        | Standing::Pending
        | Standing::Granted(_)
        | Standing::Denied(_)
        | Standing::Forbidden(_)
        | Standing::Expired { .. }
        | Standing::Revoked => format!("To ask again:\n{ask}"),
    }
}

fn granted_by(by: &[String]) -> String {
    match by {
        [] => String::new(),
        by => format!(" (granted by {})", safe(&by.join(", "))),
    }
}

fn pod(request: &str, miss: &PodMiss) -> String {
    match miss {
        PodMiss::NotTheOne => {
            format!(
                "your request {request} was granted for another pod: this one is not it, or is gone"
            )
        }
        PodMiss::NotAsTheTemplate => {
            format!(
                "your request {request} is for a workload, and this pod does not run what its template says now"
            )
        }
        PodMiss::NotRunning => {
            format!(
                "your request {request} is granted, but the container does not run; nothing was used up"
            )
        }
    }
}

fn differs(
    request: &str,
    differences: &[Difference],
    granted: &Ask,
    attempt: &Attempt,
    ask: &str,
) -> String {
    let mut lines = vec![format!(
        "what you ran is not what was granted with your request {request}:"
    )];
    if differences.contains(&Difference::Command)
        && let (Some(granted), Action::Exec(exec)) = (command(granted), &attempt.action)
    {
        lines.extend(compare(&granted, &exec.command));
    }
    let others: Vec<&str> = differences.iter().filter_map(other).collect();
    if !others.is_empty() {
        lines.push(format!("  {}", others.join(", ")));
    }
    lines.extend(
        differences
            .iter()
            .filter_map(|difference| field(difference, granted, attempt)),
    );
    if matches!((granted, &attempt.action), (Ask::Copy(_), Action::Exec(exec)) if exec.looks_like_copy())
    {
        lines.push(
            "  kubectl cp unpacks in a path that is a directory, else beside it: to ask for the directory itself, write \
             a / at its end or add --into-directory"
                .to_owned(),
        );
    }
    lines.push(format!("To ask for what you ran:\n{ask}"));
    lines.join("\n")
}

/// The one command that was granted.
fn command(granted: &Ask) -> Option<Vec<String>> {
    match granted {
        Ask::Exec(ask) => match &ask.command {
            Command::Exactly(argv) => Some(argv.clone()),
            Command::Any => None,
        },
        Ask::Copy(copy) => Some(copy.command()),
        Ask::Attach(_) | Ask::PortForward | Ask::Debug(_) => None,
    }
}

fn other(difference: &Difference) -> Option<&'static str> {
    match difference {
        Difference::Command | Difference::Field(_) => None,
        Difference::Container => Some("another container"),
        Difference::Stdin => Some("standard input (-i) was not asked for"),
        Difference::Tty => Some("a terminal (-t) was not asked for"),
    }
}

/// A field of an ephemeral container, as granted and as sent.
fn field(difference: &Difference, granted: &Ask, attempt: &Attempt) -> Option<String> {
    let Difference::Field(name) = difference else {
        return None;
    };
    let sent = match (granted, &attempt.action) {
        (Ask::Debug(ask), Action::Debug(addition)) => {
            Some((ask.container.field(name), addition.container.field(name)))
        }
        _ => None,
    };
    let name = safe(name);
    Some(match sent {
        Some((granted, sent)) if granted.len().max(sent.len()) <= MAX_LINE_LEN => {
            format!(
                "  {name}: granted is {}, you sent {}",
                safe(&granted),
                safe(&sent)
            )
        }
        Some(_) | None => format!("  another {name}"),
    })
}

/// Both commands where they are short, else the first argument in which they differ. Never a part
/// of one.
fn compare(granted: &[String], ran: &[String]) -> Vec<String> {
    let (shown_granted, shown_ran) = (argv::show(granted), argv::show(ran));
    if shown_granted.len() <= MAX_LINE_LEN && shown_ran.len() <= MAX_LINE_LEN {
        return vec![
            format!("  granted is  {shown_granted}"),
            format!("  you ran     {shown_ran}"),
        ];
    }
    let same = granted
        .iter()
        .zip(ran)
        .take_while(|(granted, ran)| granted == ran)
        .count();
    let first = same.saturating_add(1);
    vec![format!(
        "  argument {first} differs ({} were granted, you sent {})",
        granted.len(),
        ran.len()
    )]
}

/// The line that asks for exactly this, to paste; where it would be long or not show, how to make
/// it.
fn ask(attempt: &Attempt) -> String {
    let words = match &attempt.action {
        Action::Exec(exec) if exec.looks_like_copy() => None,
        Action::Exec(exec) => Some(ask_exec(attempt, exec)),
        Action::Attach(attach) => Some(attach_words(
            attempt,
            attach.container.as_deref(),
            attach.stdin,
            attach.tty,
        )),
        Action::PortForward => Some(beginning(attempt, "port-forward")),
        Action::Debug(addition) => ask_debug(attempt, &addition.container),
    };
    let line = words.map(|words| {
        (
            words.iter().any(|word| word.chars().any(is_hidden)),
            argv::shell_line(&words),
        )
    });
    match line {
        Some((false, line)) if line.len() <= MAX_LINE_LEN => format!("  {line}"),
        Some(_) | None => {
            let verb = verb(attempt);
            format!(
                "  type your line again with `kubectl request {verb}` in place of `kubectl {verb}`"
            )
        }
    }
}

/// `kubectl request VERB -n NAMESPACE POD`, and whatever follows the verb.
fn words(attempt: &Attempt, verb: &str, flags: &[&str], pod: &str) -> Vec<String> {
    let before = ["kubectl", "request", verb, "-n", &attempt.namespace];
    before
        .iter()
        .chain(flags)
        .chain([&pod])
        .map(|&word| word.to_owned())
        .collect()
}

fn beginning(attempt: &Attempt, verb: &str) -> Vec<String> {
    words(attempt, verb, &[], &attempt.pod)
}

fn typed(stdin: bool, tty: bool) -> Vec<&'static str> {
    [stdin.then_some("-i"), tty.then_some("-t")]
        .into_iter()
        .flatten()
        .collect()
}

fn ask_exec(attempt: &Attempt, exec: &Exec) -> Vec<String> {
    let container = exec.container.as_deref().unwrap_or("CONTAINER");
    if let Some(path) = copy::packed(&exec.command).filter(|_| !exec.stdin && !exec.tty) {
        let mut line = words(
            attempt,
            "cp",
            &["-c", container],
            &format!("{}:{path}", attempt.pod),
        );
        line.push(".".to_owned());
        return line;
    }
    let mut line = words(
        attempt,
        Door::Exec.verb(),
        &typed(exec.stdin, exec.tty),
        &attempt.pod,
    );
    line.extend(["-c", container, "--"].map(str::to_owned));
    if exec.command.is_empty() {
        line.push("COMMAND".to_owned());
    }
    line.extend(exec.command.iter().cloned());
    line
}

fn attach_words(attempt: &Attempt, container: Option<&str>, stdin: bool, tty: bool) -> Vec<String> {
    let mut line = words(
        attempt,
        Door::Attach.verb(),
        &typed(stdin, tty),
        &attempt.pod,
    );
    line.extend(["-c", container.unwrap_or("CONTAINER")].map(str::to_owned));
    line
}

/// `None` where flags of `kubectl debug` cannot say what was sent.
fn ask_debug(attempt: &Attempt, container: &DebugContainer) -> Option<Vec<String>> {
    let profile = container.profile()?;
    let more = container
        .others
        .keys()
        .any(|field| field != SECURITY_CONTEXT);
    if more || (!container.command.is_empty() && !container.args.is_empty()) {
        return None;
    }
    let mut line = words(
        attempt,
        Door::EphemeralContainers.verb(),
        &typed(container.stdin, container.tty),
        &attempt.pod,
    );
    line.push(format!("--image={}", container.image));
    line.extend(
        container
            .target
            .iter()
            .map(|target| format!("--target={target}")),
    );
    if profile != Profile::General {
        line.push(format!("--profile={}", profile.name()));
    }
    // kubectl makes up another such name each time.
    let own = container
        .name
        .iter()
        .filter(|name| !name.starts_with("debugger-"));
    line.extend(own.flat_map(|name| ["-c".to_owned(), name.clone()]));
    if !container.args.is_empty() {
        line.push("--arguments-only".to_owned());
    }
    let command = container.command.iter().chain(&container.args);
    if !container.command.is_empty() || !container.args.is_empty() {
        line.push("--".to_owned());
    }
    line.extend(command.cloned());
    Some(line)
}

fn place(attempt: &Attempt, context: Context<'_>) -> String {
    let namespace = safe(&attempt.namespace);
    match context.cluster {
        "" => format!(" (namespace {namespace})"),
        cluster => format!(" (cluster {cluster}, namespace {namespace})"),
    }
}

/// How long ago something was, in the two largest units: `4m`, `1h30m`, `12s`.
fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs();
    let seconds = u64::try_from(seconds).unwrap_or_default();
    // Seconds are of no interest after the first minutes.
    let rounded = if seconds >= 120 {
        seconds.saturating_sub(seconds.checked_rem(60).unwrap_or_default())
    } else {
        seconds
    };
    duration::show(std::time::Duration::from_secs(rounded))
}

fn clock(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
