//! The decision from outside: tables for every way in which an attempt can miss, and properties
//! that hold for all.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that panics has failed, which is what it is for"
)]

mod build;
mod canary;
mod emergencies;
mod kept;
mod lifecycle;
mod policies;
mod properties;
mod record;
mod standing;
mod texts;
mod tree;
mod verdict;
mod worlds;
