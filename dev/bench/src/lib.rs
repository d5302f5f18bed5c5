//! Measures admission webhooks.
//!
//! - [`load`]: posts an AdmissionReview, many times, to any webhook, in a closed or an open loop, and counts what
//!   becomes of them: [`review`] is what is sent, [`connection`] how, [`pace`] when, [`tally`] what
//!   came of it, [`process`] what it cost the server.
//! - [`suite`]: this project's scenarios, on a control plane of their own.

pub mod connection;
pub mod load;
pub mod pace;
pub mod process;
pub mod report;
pub mod review;
pub mod suite;
pub mod tally;
