//! The verbs that answer a request, or end its access.
//!
//! [`answering`]: read a request, ask, and store the answer to what was read. [`remove`]: why
//! nothing was deleted. [`named`]: requests by name, several at a time.

pub mod answering;
pub mod approve;
pub mod deny;
pub mod grant;
pub mod named;
pub mod remove;
pub mod review;
pub mod revoke;
pub mod withdraw;

pub use answering::{Answer, AnswerError, Naming};
pub use remove::RemoveError;
