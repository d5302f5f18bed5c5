//! The time, which tests can turn.

use std::sync::Arc;

use jiff::Timestamp;

/// A clock, so that tests can turn it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
