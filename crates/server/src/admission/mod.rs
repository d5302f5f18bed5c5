//! From the bytes of a review to the bytes of its answer.
//!
//! ```text
//! bytes ─decode→ Review ─identify→ Caller ─look up→ Candidates ─screen→ Promising ─read, confirm→ Permit ─record, spend→ Answer
//! ```
//!
//! - [`state`]: what all of it works with. [`dispatch`]: which part answers a review, by a
//!   [`decision`].
//! - [`router`]: HTTP in and out; a panic becomes a denial. `receiving`: reads no more than there
//!   is [`room`] for.
//! - [`door`]: an attempt to get into a pod, as it is `tried`, with its `outcome` and the
//!   `recording` of it.
//! - [`proxy`]: the doors that nobody can ask for.
//! - [`observing`]: attempts that are only looked at. [`canary`]: those that ask whether we are
//!   asked.
//! - [`waiting`]: a denied attempt that waits for its grant.
//! - [`requests`], [`grants`], [`removal`]: writes to our own objects. `keeping`: what stays of
//!   those that are deleted. `growth`: how large those that are there may become.
//! - [`why`]: what would become of a request. [`policy`]: writes of policies.
//! - [`stamp`]: what the server itself writes into new objects.

pub mod arrivals;
mod basis;
pub mod canary;
pub mod deadline;
pub mod decision;
pub mod dispatch;
pub mod door;
pub mod failure;
pub mod grants;
mod growth;
pub mod handover;
mod keeping;
pub mod metadata;
mod mutators;
mod objects;
pub mod observing;
mod outcome;
pub mod places;
pub mod policy;
pub mod proxy;
mod receiving;
mod recording;
pub mod removal;
pub mod requests;
pub mod room;
pub mod router;
pub mod stamp;
pub mod state;
mod tried;
pub mod waiting;
pub mod why;

pub use arrivals::Arrivals;
pub use deadline::Deadline;
pub use decision::{Decision, Step};
pub use failure::{Failure, Refused};
pub use keeping::KeepError;
pub use places::{Waiter, Waiting};
pub use state::Admission;
