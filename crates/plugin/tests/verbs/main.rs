//! The verbs against an API server in memory.

mod answers;
mod exec;
mod fake;
mod lists;
