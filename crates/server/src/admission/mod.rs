//! From the bytes of a review to the bytes of its answer.
//!
//! ```text
//! bytes ─decode→ Review ─identify→ Caller ─look up→ Candidates ─screen→ Promising ─read, confirm→ Permit ─record, spend→ Answer
//! ```
//!
//! - [`dispatch`]: which part answers a review, by a [`decision`]. [`common`]: what all parts work
//!   with.
//! - [`received`]: a review, and who acts by it.
//! - [`router`]: HTTP in and out; a panic becomes a denial. `receiving`: reads no more than there
//!   is [`room`] for, and until a [`deadline`]. [`handover`]: whether an answer was taken.
//! - [`gate`]: attempts to get into a pod, and nothing of what only objects need.
//! - [`objects`]: writes of our own objects, and nothing of what only attempts need.
//! - [`failure`]: why something is refused.

pub mod common;
pub mod deadline;
pub mod decision;
pub mod dispatch;
pub mod failure;
pub mod gate;
pub mod handover;
pub mod objects;
pub mod received;
mod receiving;
pub mod room;
pub mod router;

pub use common::Common;
pub use deadline::Deadline;
pub use decision::{Decision, Step};
pub use dispatch::Admission;
pub use failure::{Failure, KeepError, Refused};
pub use gate::{Gate, Waiter, WaitingRoom};
pub use objects::{Arrivals, FilingRate, Objects, RequestLimits};
pub use received::Received;
