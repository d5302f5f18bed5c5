//! Writes of our own objects: who may file, answer and delete what, and what the server writes into
//! it.
//!
//! - [`state`]: what all of it works with.
//! - `requests`, `grants`, `policy`: new ones. `metadata`: what none of them may have, and updates.
//! - `removal`: deletions. `growth`: how large those that are there may become. `keeping`: what stays of what is deleted.
//! - `stamp`: what the server itself writes into new objects. `target`: what a request is for.
//! - `why`: what would become of a request.
//! - [`limits`]: how many requests there may be. [`rate`]: how fast they are filed.
//! - [`arrivals`]: requests that were admitted a moment ago. `mutators`: who may change what comes
//!   on its way. `decoding`: an object, as a review brings it.

pub mod arrivals;
mod decoding;
mod grants;
mod growth;
mod keeping;
pub mod limits;
pub(super) mod metadata;
mod mutators;
mod policy;
pub mod rate;
mod removal;
mod requests;
mod stamp;
pub mod state;
mod target;
mod why;

pub use arrivals::Arrivals;
pub use limits::RequestLimits;
pub use rate::FilingRate;
pub use state::Objects;
