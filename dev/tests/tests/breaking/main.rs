//! The third ring of tests, the second part: servers that are killed, clusters that are broken,
//! faults of all kinds. Every module has a cluster of its own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

mod fleet;
mod history;
mod injected;
mod killing;
mod lock;
mod proxies;
mod restored;
mod rollout;
