//! What the third ring of tests shares: a real Kubernetes, the server in it, stock kubectl. Run by
//! `./scripts/test`.
//!
//! Two test binaries, one after the other: every cluster ends with the process that started it, and
//! all of them at once would take more inotify instances than Linux gives to a user (128; a cluster
//! takes 16).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test that panics has failed, as it should"
)]

pub mod notices;
pub mod processes;
pub mod scene;
pub mod world;
