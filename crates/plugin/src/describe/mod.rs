//! What a request is, in words.
//!
//! [`summary`]: what an approver reads of it; [`api::describe`]: what it asks for; [`history`]:
//! what became of it. [`stored`]: whether what was stored is what was sent.

pub mod history;
pub mod reading;
pub mod stored;
pub mod summary;
pub mod words;

#[cfg(test)]
mod doors_tests;
