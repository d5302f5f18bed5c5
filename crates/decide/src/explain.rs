//! What a denied caller reads in her terminal: what happened, the nearest miss, and what to type next.
//!
//! kubectl puts `error: unable to upgrade connection: admission webhook "…" denied the request: ` before the first
//! line. At most six lines; the texts speak of the caller's own requests only.

use jiff::Timestamp;

use crate::{
    access::{Command, Standing},
    argv,
    attempt::Attempt,
    duration,
    rules::hides,
    verdict::{Denied, Difference, Miss, PodMiss},
};

/// Longest command, in bytes, that is repeated in a denial.
const LONGEST_LINE: usize = 1024;

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
        Denied::InteractiveOff => {
            "interactive commands (-i, -t) cannot be granted here: the server runs without --allow-interactive.\n\
             Run the command without -i and -t, or ask your administrators."
                .to_owned()
        }
        Denied::NoRequest if attempt.exec.command.is_empty() => {
            format!("no command was sent, and you have no access to run any{}.", place(attempt, context))
        }
        Denied::NoRequest => format!(
            "you have not asked for this yet{}.\n{ask}\nOnce somebody grants it, the same kubectl exec works.",
            place(attempt, context)
        ),
        Denied::Near { request, miss } => near(request, miss, attempt, context, &ask),
    }
}

fn near(request: &str, miss: &Miss, attempt: &Attempt, context: Context<'_>, ask: &str) -> String {
    match miss {
        Miss::Waiting { since } => format!(
            "your request {request} waits for a grant since {}{}.\n\
             Run the same command again once it is granted; whoever may grant it types:\n  \
             kubectl request grant -n {} {request}",
            span(*since, context.now),
            place(attempt, context),
            argv::quote_posix(&attempt.namespace),
        ),
        Miss::Over(standing) => {
            format!("{}{}.\nTo ask again:\n{ask}", over(request, standing, context), place(attempt, context))
        }
        Miss::Differs { differences, granted } => differs(request, differences, granted, attempt, ask),
        Miss::Pod(miss) => {
            format!("{}{}.\nTo ask for this pod as it is now:\n{ask}", pod(request, miss), place(attempt, context))
        }
    }
}

fn over(request: &str, standing: &Standing, context: Context<'_>) -> String {
    match standing {
        Standing::Denied(denial) => {
            let reason = denial.reason.as_ref().map(|reason| format!(" ({})", safe(reason))).unwrap_or_default();
            let by = if denial.by.is_empty() { "somebody".to_owned() } else { safe(&denial.by) };
            format!("{by} denied your request {request} {} ago{reason}", span(denial.at, context.now))
        }
        Standing::Used { first, by } => {
            format!("your request {request}{} was for one use, and was used at {}", granted_by(by), clock(first.at))
        }
        Standing::Expired { at, by } if by.is_empty() => {
            format!("your request {request} was never answered, and lapsed {} ago", span(*at, context.now))
        }
        Standing::Expired { at, by } => {
            format!("your access by request {request}{} ended {} ago", granted_by(by), span(*at, context.now))
        }
        Standing::Revoked => format!("your request {request} is being deleted"),
        Standing::Pending | Standing::Granted(_) => format!("your request {request} does not give this access"),
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
            format!("your request {request} was granted for another pod: this one is not it, or is gone")
        }
        PodMiss::NotAsTheTemplate => {
            format!("your request {request} is for a workload, and this pod does not run what its template says now")
        }
        PodMiss::NotRunning => {
            format!("your request {request} is granted, but the container does not run; nothing was used up")
        }
    }
}

fn differs(request: &str, differences: &[Difference], granted: &Command, attempt: &Attempt, ask: &str) -> String {
    let mut lines = vec![format!("what you ran is not what was granted with your request {request}:")];
    if let (true, Command::Exactly(granted)) = (differences.contains(&Difference::Command), granted) {
        lines.extend(compare(granted, &attempt.exec.command));
    }
    let others: Vec<&str> = differences.iter().filter_map(|difference| other(*difference)).collect();
    if !others.is_empty() {
        lines.push(format!("  {}", others.join(", ")));
    }
    lines.push(format!("To ask for what you ran:\n{ask}"));
    lines.join("\n")
}

fn other(difference: Difference) -> Option<&'static str> {
    match difference {
        Difference::Command => None,
        Difference::Container => Some("another container"),
        Difference::Stdin => Some("standard input (-i) was not asked for"),
        Difference::Tty => Some("a terminal (-t) was not asked for"),
    }
}

/// Both commands where they are short, else the first argument in which they differ. Never a part of one.
fn compare(granted: &[String], ran: &[String]) -> Vec<String> {
    let (shown_granted, shown_ran) = (argv::show(granted), argv::show(ran));
    if shown_granted.len() <= LONGEST_LINE && shown_ran.len() <= LONGEST_LINE {
        return vec![format!("  granted is  {shown_granted}"), format!("  you ran     {shown_ran}")];
    }
    let same = granted.iter().zip(ran).take_while(|(granted, ran)| granted == ran).count();
    let first = same.saturating_add(1);
    vec![format!("  argument {first} differs ({} were granted, you sent {})", granted.len(), ran.len())]
}

/// The line that asks for exactly this, to paste; where the command is long or would not show, how to make it.
fn ask(attempt: &Attempt) -> String {
    let exec = &attempt.exec;
    let container = exec.container.as_deref().unwrap_or("CONTAINER");
    let names = [attempt.namespace.as_str(), &attempt.pod, container];
    let hidden = names.into_iter().chain(exec.command.iter().map(String::as_str)).any(|word| word.chars().any(hides));
    if hidden || argv::shell_line(&exec.command).len() > LONGEST_LINE {
        return "  type your line again with `kubectl request exec` in place of `kubectl exec`".to_owned();
    }
    let mut words: Vec<&str> = vec!["kubectl", "request", "exec", "-n", &attempt.namespace];
    words.extend(exec.stdin.then_some("-i"));
    words.extend(exec.tty.then_some("-t"));
    words.extend([attempt.pod.as_str(), "-c", container, "--"]);
    if exec.command.is_empty() {
        words.push("COMMAND");
    }
    words.extend(exec.command.iter().map(String::as_str));
    format!("  {}", argv::shell_line(&words))
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
    let rounded =
        if seconds >= 120 { seconds.saturating_sub(seconds.checked_rem(60).unwrap_or_default()) } else { seconds };
    duration::show(std::time::Duration::from_secs(rounded))
}

fn clock(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A text for people, with whatever does not show escaped by its code point.
pub fn safe(text: &str) -> String {
    text.chars().map(|c| if hides(c) { format!("\\u{{{:x}}}", u32::from(c)) } else { c.to_string() }).collect()
}
