//! Writes of our own objects: who may file, answer and delete what, and what the server writes into
//! it.
//!
//! - [`state`]: what all of it works with.
//! - `requests`, `grants`, `policy`: new ones. `metadata`: what none of them may have, and updates.
//! - `removal`: deletions. `growth`: how large those that are there may become. `keeping`: what stays of what is deleted.
//! - `stamp`: what the server itself writes into new objects. `target`: what a request is for.
//! - `why`: what would become of a request.
//! - [`arrivals`]: requests that were admitted a moment ago. `mutators`: who may change what comes
//!   on its way. `decoding`: an object, as a review brings it.

pub mod arrivals;
mod decoding;
mod grants;
mod growth;
mod keeping;
pub(super) mod metadata;
mod mutators;
mod policy;
mod removal;
mod requests;
mod stamp;
pub mod state;
mod target;
mod why;

pub use arrivals::Arrivals;
pub use state::Objects;
