//! The verbs against an API server in memory.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

mod answers;
mod exec;
mod fake;
mod lists;
