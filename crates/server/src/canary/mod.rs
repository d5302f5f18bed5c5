//! Notices when an API server no longer asks us: while it does not, every door is open there, and
//! no line of ours says so.
//!
//! An account that may do nothing else tries, at the address of each API server, to enter a pod
//! that cannot exist. Admission comes before the pod is looked up: whoever is asked answers with a
//! proof, and whoever is not lets the API server say that there is no such pod. It only tells:
//! nothing is decided, restarted or written anew by it.
//!
//! - [`rounds`]: one call after the other.
//! - [`account`]: who the canary is. [`reviews`]: how the server knows its attempts.
//! - [`proof`]: what only a server of ours can answer.
//! - [`mod@probe`]: one call; [`targets`]: where, and with which token.
//! - [`gauges`], [`speaking`]: metrics; log, events and the condition of our own pod.
//! - [`decide::canary`]: what is told, and when.

pub mod account;
pub mod gauges;
pub mod probe;
pub mod proof;
pub mod reviews;
pub mod rounds;
pub mod speaking;
pub mod targets;

pub use rounds::{Canary, start};
