//! The gate: attempts to get into a pod, and what lets them through.
//!
//! - [`state`]: what all of it works with.
//! - `door`: an attempt, as it is `tried`, with its `outcome` and the `recording` of it.
//!   `confirming`: access by a request. `basis`: what an attempt was decided by, as the audit
//!   webhook is told.
//! - `proxy`: the doors that nobody can ask for.
//! - `observing`: attempts that are only looked at. `canary`: those that ask whether we are asked.
//! - [`turns`]: how many are confirmed at once.
//! - `waiting`: a denied attempt that waits for its grant, in one of the [`places`].

mod basis;
mod canary;
mod confirming;
mod door;
mod observing;
mod outcome;
pub mod places;
mod proxy;
mod recording;
pub mod state;
mod tried;
pub mod turns;
mod waiting;

pub use places::{Waiter, WaitingRoom};
pub use state::Gate;
