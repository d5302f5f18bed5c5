//! The verbs against an API server in memory.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod again;
mod altered;
mod answers;
mod approve;
mod attach;
mod complete;
mod cp;
mod debug;
mod exec;
mod extend;
mod fake;
mod lines;
mod listing;
mod lists;
mod pods;
mod policy;
mod port_forward;
mod removing;
mod report;
mod review;
mod shell;
mod show;
mod waiting;
mod whoami;
mod why;
