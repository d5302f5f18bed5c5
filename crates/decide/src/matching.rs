//! What is tried, compared with what was asked for.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    access::{Ask, AttachAsk, Command, DebugAsk, ExecAsk, Request, Use, Validity, after},
    attempt::{Action, Addition, Attach, Attempt, Door, Exec},
    copy::Copy,
    standing::{Candidate, Standing},
};

/// The API server asks again about the same ephemeral container within this time. Later, whoever
/// asks is somebody whose container was never stored.
const ASKED_AGAIN: Duration = Duration::from_mins(1);

/// In what an attempt differs from a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// Another command.
    Command,
    /// Another container.
    Container,
    /// Standard input was not asked for.
    Stdin,
    /// A terminal was not asked for.
    Tty,
    /// A field of an ephemeral container, as core/v1 names it.
    Field(String),
}

/// What of a request an attempt would use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All that it is for.
    Whole,
    /// The question that `kubectl cp` asks first, which uses nothing up.
    Question,
    /// Of a debug request: the container that it adds.
    Container,
    /// Of a debug request: attaching to the container that it added.
    Attach,
}

/// Which part of a request an attempt is about, if any. A request for one door opens no other,
/// except that one for a debug container may say that its user attaches to it.
pub fn part(ask: &Ask, action: &Action) -> Option<Part> {
    match (ask, action) {
        (Ask::Copy(copy), Action::Exec(exec)) if is_question(copy, exec) => Some(Part::Question),
        (Ask::Exec(_) | Ask::Copy(_), Action::Exec(_))
        | (Ask::Attach(_), Action::Attach(_))
        | (Ask::PortForward, Action::PortForward) => Some(Part::Whole),
        (Ask::Debug(_), Action::Debug(_)) => Some(Part::Container),
        (Ask::Debug(ask), Action::Attach(_)) if ask.attach => Some(Part::Attach),
        (
            Ask::Exec(_) | Ask::Copy(_) | Ask::Attach(_) | Ask::PortForward | Ask::Debug(_),
            Action::Exec(_) | Action::Attach(_) | Action::PortForward | Action::Debug(_),
        ) => None,
    }
}

fn is_question(copy: &Copy, exec: &Exec) -> bool {
    copy.question()
        .is_some_and(|question| question == exec.command)
        && !exec.stdin
        && !exec.tty
}

/// In what an attempt differs from a request that it is about, as far as memory can tell. Less than
/// was asked for (no terminal, no standard input) is no difference.
pub fn differences(ask: &Ask, action: &Action) -> Vec<Difference> {
    match (ask, action) {
        (Ask::Exec(ask), Action::Exec(exec)) => exec_differences(ask, exec),
        (Ask::Copy(copy), Action::Exec(exec)) => exec_differences(&as_exec(copy, exec), exec),
        (Ask::Attach(ask), Action::Attach(attach)) => attach_differences(ask, attach),
        (Ask::PortForward, Action::PortForward) => Vec::new(),
        (Ask::Debug(ask), Action::Debug(addition)) => debug_differences(ask, addition),
        (Ask::Debug(ask), Action::Attach(attach)) if ask.attach => {
            attach_differences(&as_attach(ask, attach), attach)
        }
        (
            Ask::Exec(_) | Ask::Copy(_) | Ask::Attach(_) | Ask::PortForward | Ask::Debug(_),
            Action::Exec(_) | Action::Attach(_) | Action::PortForward | Action::Debug(_),
        ) => vec![Difference::Command],
    }
}

fn exec_differences(ask: &ExecAsk, exec: &Exec) -> Vec<Difference> {
    let command = match &ask.command {
        // None at all is no command: nothing would run, and a single use would be gone.
        Command::Any => exec.command.is_empty(),
        Command::Exactly(argv) => argv.is_empty() || *argv != exec.command,
    };
    // Which container an unnamed one is, only the live pod can tell.
    let container = exec.container.is_some() && exec.container != ask.container;
    which([
        (command, Difference::Command),
        (container, Difference::Container),
        (exec.stdin && !ask.stdin, Difference::Stdin),
        (exec.tty && !ask.tty, Difference::Tty),
    ])
}

/// The exec that a copy request allows, of the two that `kubectl cp` makes.
fn as_exec(copy: &Copy, exec: &Exec) -> ExecAsk {
    let question = is_question(copy, exec);
    ExecAsk {
        container: copy.container.clone(),
        command: Command::Exactly(
            copy.question()
                .filter(|_| question)
                .unwrap_or_else(|| copy.command()),
        ),
        stdin: !question && copy.direction == crate::copy::Direction::To,
        tty: false,
    }
}

fn attach_differences(ask: &AttachAsk, attach: &Attach) -> Vec<Difference> {
    which([
        (
            attach.container.is_some() && attach.container != ask.container,
            Difference::Container,
        ),
        (attach.stdin && !ask.stdin, Difference::Stdin),
        (attach.tty && !ask.tty, Difference::Tty),
    ])
}

/// How a debug request lets its user attach: as its container was asked for. Which container that
/// is, its use and the live pod tell.
fn as_attach(ask: &DebugAsk, attach: &Attach) -> AttachAsk {
    AttachAsk {
        container: attach.container.clone(),
        stdin: ask.container.stdin,
        tty: ask.container.tty,
    }
}

fn debug_differences(ask: &DebugAsk, addition: &Addition) -> Vec<Difference> {
    ask.container
        .differences(&addition.container)
        .into_iter()
        .map(Difference::Field)
        .collect()
}

fn which<const N: usize>(all: [(bool, Difference); N]) -> Vec<Difference> {
    all.into_iter()
        .filter_map(|(differs, difference)| differs.then_some(difference))
        .collect()
}

/// Whether a part of a request is there to be used by an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// It is, and must be spent first.
    ToSpend,
    /// It is, as often as wanted.
    Free,
    /// This very attempt has spent it.
    Own,
    /// Another one has.
    Spent(Use),
    /// It never was: nobody can attach to a container that was not added.
    Nothing,
}

/// What is left of a part for an attempt, in a request that stands like this. Says nothing of
/// whether they match.
pub fn left(
    candidate: &Candidate,
    standing: &Standing,
    part: Part,
    attempt: &Attempt,
    now: Timestamp,
) -> Left {
    let request = &candidate.request;
    let granted = matches!(standing, Standing::Granted(_));
    match (request.validity, part) {
        // What was added is written down, so that its user attaches to nothing else.
        (Validity::For(_), Part::Container) if granted => {
            added_for_a_time(request, &attempt.action)
        }
        (Validity::For(_) | Validity::Once, Part::Attach)
            if !was_added(request, &attempt.action) =>
        {
            Left::Nothing
        }
        (Validity::For(_), _) | (Validity::Once, Part::Question) if granted => Left::Free,
        (Validity::Once, Part::Whole) => of(request.uses.first(), granted, |one| {
            one.review_uid == attempt.review_uid
        }),
        (Validity::Once, Part::Container) => {
            of(request.used(Door::EphemeralContainers), granted, |one| {
                is_same_container(one, &attempt.action, now)
            })
        }
        (Validity::Once, Part::Attach) => of(request.used(Door::Attach), granted, |one| {
            one.review_uid == attempt.review_uid
        }),
        (Validity::For(_), _) | (Validity::Once, Part::Question) => Left::Nothing,
    }
}

fn of(spent: Option<&Use>, granted: bool, own: impl Fn(&Use) -> bool) -> Left {
    match spent {
        None if granted => Left::ToSpend,
        None => Left::Nothing,
        Some(one) if own(one) => Left::Own,
        Some(one) => Left::Spent(one.clone()),
    }
}

/// The API server asks again, under another review, when the pod's status changed meanwhile: the
/// container that is added is the same by its pod's UID and its name, which no other container of
/// that pod can ever have.
fn is_same_container(one: &Use, action: &Action, now: Timestamp) -> bool {
    match action {
        Action::Debug(addition) => {
            let same = one.container.is_some() && one.container == addition.container.name;
            same && one.pod_uid == addition.pod_uid && now < after(one.at, ASKED_AGAIN)
        }
        Action::Exec(_) | Action::Attach(_) | Action::PortForward => false,
    }
}

/// Maximum number of containers that can be attached to under one request for a time.
const MAX_ADDED: usize = 16;

/// A container that is added under a request for a time is a use only where its user may attach to
/// it.
fn added_for_a_time(request: &Request, action: &Action) -> Left {
    let (Ask::Debug(ask), Action::Debug(addition)) = (&request.ask, action) else {
        return Left::Nothing;
    };
    let known = addition
        .container
        .name
        .as_deref()
        .and_then(|name| request.added(&addition.pod_uid, name));
    match (known, request.uses.first()) {
        _ if !ask.attach => Left::Free,
        (Some(_), _) => Left::Own,
        (None, Some(first)) if request.uses.len() >= MAX_ADDED => Left::Spent(first.clone()),
        (None, _) => Left::ToSpend,
    }
}

/// Whether a container of this name was added under this request; in which pod, the live pod tells.
fn was_added(request: &Request, action: &Action) -> bool {
    let added = request
        .uses
        .iter()
        .filter(|one| one.door == Door::EphemeralContainers);
    action.container().is_some_and(|name| {
        added
            .map(|one| one.container.as_deref())
            .any(|added| added == Some(name))
    })
}
