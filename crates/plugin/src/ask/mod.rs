//! The verbs that ask.
//!
//! [`flags`]: what these have in common on the command line. [`filing`]: how a request is filed,
//! found and waited for. [`same`], [`secrets`], [`waiting`]: whether there is one already, what
//! looks like a password, and the wait.

pub mod again;
pub mod attach;
pub mod cp;
pub mod debug;
pub mod error;
pub mod exec;
pub mod extend;
pub mod filing;
pub mod flags;
pub mod port_forward;
pub mod request;
pub mod same;
pub mod secrets;
pub mod shell;
pub mod waiting;
pub mod why;

pub use error::AskError;
pub use filing::{Ask, Order, Terms};
pub use flags::{Asking, DryRun, Filing};
pub use request::{compose, through, told};
