//! What whoever asks is told of a text that looks like a password (see [`api::secrets`]), before
//! anything of it leaves their machine.

use api::AccessRequestSpec;
pub use api::secrets::{mask, masked, suspect};

use super::error::AskError;
use super::flags::{DryRun, Filing};
use crate::terminal::{Reply, Terminal};
use decide::text::safe_word;

/// Asks about what looks like a password, unless that is accepted or nothing is sent.
///
/// # Errors
/// When nobody says yes.
pub fn check(
    spec: &AccessRequestSpec,
    filing: Filing,
    terminal: &mut Terminal<'_>,
) -> Result<(), AskError> {
    let Some(text) = suspect(spec) else {
        return Ok(());
    };
    writeln!(terminal.err, "{}", warning(&text))?;
    if filing.accept_secrets || filing.dry_run == DryRun::Client {
        return Ok(());
    }
    match terminal.ask("Send it all the same ([yN])?")? {
        Reply::Yes => Ok(()),
        Reply::No | Reply::Shrank => Err(AskError::Secret {
            how: "only y or Y, typed after the question, is a yes",
        }),
        Reply::NobodyAsked => Err(AskError::Secret {
            how: "if it is none, or everybody may read it, give --accept-secrets",
        }),
    }
}

/// The warning, for a text that is masked already.
fn warning(text: &str) -> String {
    format!(
        "warning: {} looks like a password: a request is stored, logged, and read by whoever approves. Pass it \
         otherwise, from a file or the container's environment",
        safe_word(text)
    )
}
