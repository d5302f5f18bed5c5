//! The bodies of the fuzz targets: each gives an input to the real code, asks a small reference that was written
//! without looking at it, and panics where the two disagree.
//!
//! They stand in a library so that plain `cargo test` replays the committed corpus, with seeded mutations beside it;
//! `dev/fuzz` puts libFuzzer before the same functions (see `scripts/fuzz`).
//!
//! - [`review`]: the bytes of a review to the decision, through the real router, in a small world ([`scene`]).
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

#[path = "../../../crates/server/tests/admission/fake_api.rs"]
#[expect(dead_code, reason = "the server's tests use more of it")]
mod fake_api;
#[path = "../../../crates/server/tests/admission/world.rs"]
#[expect(dead_code, reason = "the server's tests use more of it")]
mod world;

/// A target: takes an input, panics where it finds something.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: [(&str, Target); 6] = [
    ("argv", argv::check),
    ("copy", copy::check),
    ("duration", duration::check),
    ("pod_update", pod_update::check),
    ("proxy", proxy::check),
    ("review", review::check),
];

/// Texts of an input: as UTF-8, what is none replaced; apart by a byte that UTF-8 never has.
pub(crate) fn texts(data: &[u8]) -> Vec<String> {
    if data.is_empty() {
        return Vec::new();
    }
    data.split(|byte| *byte == SEPARATOR).map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

/// Stands between the texts of an input.
pub const SEPARATOR: u8 = 0xff;
