//! An attempt as its review shows it, read once and strictly.

use api::{
    ExecOptions, convert,
    review::{StrictAttachOptions, StrictExecOptions, StrictPortForwardOptions},
};
use decide::{
    attempt::{Action, Attempt, Door},
    rules,
};

use crate::admission::{Deadline, Received};

/// An attempt on its way to an answer: what is derived of its review once.
#[derive(Debug)]
pub(super) struct Tried<'a> {
    /// The review, and who acts by it.
    pub(super) received: &'a Received,
    /// What is tried, and by whom.
    pub(super) attempt: Attempt,
    /// Its options as the audit webhook of the original gets to see them.
    pub(super) options: ExecOptions,
    /// Until when it must be answered.
    pub(super) deadline: Deadline,
}

/// The attempt, and its options as webhooks of the original get to see them: empty for doors that
/// it did not know.
pub(super) fn read(received: &Received, door: Door) -> Result<(Attempt, ExecOptions), String> {
    let unclear = |error: &dyn std::fmt::Display| {
        format!(
            "what this {} asks for is not understood in full, so nothing is allowed: {error}",
            door.verb()
        )
    };
    let object = || {
        received
            .request()
            .object
            .as_deref()
            .ok_or("the review has no options: nothing is allowed")
    };
    let mut shown = ExecOptions::default();
    let action = match door {
        Door::Exec => {
            let options = StrictExecOptions::decode(object()?).map_err(|error| unclear(&error))?;
            shown = show_options(&options);
            convert::exec(options)
        }
        Door::Attach => convert::attach(
            StrictAttachOptions::decode(object()?).map_err(|error| unclear(&error))?,
        ),
        Door::PortForward => {
            // Its ports bind nobody, and are read only so that nothing unknown stands beside them.
            StrictPortForwardOptions::decode(object()?).map_err(|error| unclear(&error))?;
            Action::PortForward
        }
        Door::EphemeralContainers => {
            convert::debug(received.request()).map_err(|error| unclear(&error))?
        }
    };
    let attempt = convert::attempt(received.request(), received.caller.clone(), action)
        .map_err(|error| format!("the review is incomplete, so nothing is allowed: {error}"))?;
    // For the always allowed too, and whom a policy allows it: what runs stands in the record.
    rules::check_attempt(&attempt.action).map_err(|refusal| {
        format!(
            "this {} is larger than any that can be asked for, so it is not allowed: {refusal}",
            door.verb()
        )
    })?;
    Ok((attempt, shown))
}

fn show_options(options: &StrictExecOptions) -> ExecOptions {
    ExecOptions {
        kind: Some("PodExecOptions".to_owned()),
        api_version: Some("v1".to_owned()),
        stdin: options.stdin.then_some(true),
        stdout: options.stdout.then_some(true),
        stderr: options.stderr.then_some(true),
        tty: options.tty.then_some(true),
        container: options.container.clone(),
        command: options.command.clone(),
    }
}
