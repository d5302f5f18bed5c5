//! What whoever asks is told of an argument that looks like a password (see [`api::secrets`]).

pub use api::secrets::{mask, masked, suspect};

use decide::text::safe_word;

/// The warning, for an argument that is masked already.
pub fn warning(argument: &str) -> String {
    format!(
        "warning: {} looks like a password: a request and its command are stored, logged, and read by whoever approves. \
         Pass it otherwise, from a file or the container's environment",
        safe_word(argument)
    )
}
