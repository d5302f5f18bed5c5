//! What happens because objects are stored: status, role bindings, events, clean-up. Idempotent:
//! every replica runs all of it, names derive from UIDs, and writes carry the version that they are
//! based on.

pub mod bindings;
pub mod cleanup;
pub mod context;
pub mod events;
pub mod filing;
pub mod notices;
pub mod observe;
pub mod report;
pub mod requests;
pub mod sealing;
pub mod status;

pub use context::ControllerContext;
pub use requests::{Touched, run};
