//! The verbs that only look.

pub mod drafts;
pub mod list;
pub mod policy;
pub mod printer;
pub mod report;
pub mod show;
pub mod whoami;
