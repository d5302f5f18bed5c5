//! The contract, against what was recorded: reviews of a real API server, objects and payloads of
//! the original.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

mod convert;
mod crds;
mod fixtures;
mod notices;
mod objects;
mod options;
mod payloads;
mod pod_updates;
mod reviews;
mod schemas;
