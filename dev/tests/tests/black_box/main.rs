//! The third ring of tests: a real Kubernetes, the server in it, stock kubectl. Run by `./scripts/test`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

mod answering;
mod asking;
mod authenticated;
mod crowd;
mod deleting;
mod doors;
mod ending;
mod faults;
mod fleet;
mod forged;
mod history;
mod identities;
mod identity;
mod impostor;
mod injected;
mod killing;
mod lock;
mod outage;
mod planted;
mod proxies;
mod racing;
mod raw;
mod replayed;
mod scene;
mod serving;
mod story;
mod targets;
mod world;
