//! The bodies of the fuzz targets: each gives an input to the real code, asks a small reference
//! that was written without looking at it, and panics where the two disagree.
//!
//! They stand in a library so that plain `cargo test` replays the committed corpus, with seeded
//! mutations beside it; `dev/fuzz` puts libFuzzer before the same functions (see `scripts/fuzz`).
//!
//! - [`review`]: the bytes of a review to the decision, through the real router, in a small world
//!   ([`scene`]).
//! - [`pod_update`]: what an update of a pod adds.
//! - [`duration`], [`argv`], [`proxy`], [`copy`]: the parsers and printers of `decide`.
//! - [`mutate`]: how inputs are changed so that they reach deep.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::missing_panics_doc,
    reason = "an oracle that panics has found something, which is what it is for"
)]

pub mod argv;
pub mod copy;
pub mod duration;
pub mod memory;
pub mod mutate;
pub mod pod_update;
pub mod proxy;
pub mod review;
pub mod scene;
mod targets;
mod texts;

#[path = "../../../crates/server/tests/admission/fake_api.rs"]
#[expect(dead_code, reason = "the server's tests use more of it")]
mod fake_api;
#[path = "../../../crates/server/tests/admission/parts.rs"]
mod parts;
#[path = "../../../crates/server/tests/admission/world.rs"]
#[expect(dead_code, reason = "the server's tests use more of it")]
mod world;

pub use targets::{TARGETS, Target};
pub use texts::SEPARATOR;
