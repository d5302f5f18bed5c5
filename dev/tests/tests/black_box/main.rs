//! The third ring of tests: what people see who ask, answer and run.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

mod answering;
mod asking;
mod authenticated;
mod clients;
mod contexts;
mod crowd;
mod deleting;
mod doors;
mod emergency;
mod ending;
mod faults;
mod flood;
mod forged;
mod identities;
mod identity;
mod impostor;
mod notices;
mod outage;
mod people;
mod planted;
mod policies;
mod racing;
mod raw;
mod records;
mod replayed;
mod sealed;
mod serving;
mod story;
mod targets;
mod waiting;
