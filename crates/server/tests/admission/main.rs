//! The second ring of tests: the real router, with reviews recorded from a real API server, on a
//! fake cluster.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics has failed, as it should"
)]

mod authentication;
mod calls;
mod canary;
mod door;
mod doors;
mod emergencies;
mod fake_api;
mod hostile;
mod keeping;
mod limits;
mod mutators;
mod notices;
mod objects;
mod observing;
mod outcomes;
mod overload;
mod parts;
mod policies;
mod properties;
mod records;
mod reviews;
mod seals;
mod spending;
mod statuses;
mod waiting;
mod webhooks;
mod world;
