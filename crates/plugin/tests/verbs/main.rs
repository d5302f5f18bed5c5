//! The verbs against an API server in memory.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

mod again;
mod answers;
mod attach;
mod cp;
mod debug;
mod exec;
mod fake;
mod lists;
mod pods;
mod port_forward;
mod shell;
mod waiting;
mod whoami;
mod why;
