//! Example receivers for the webhooks of kube-request-access, small enough to copy.
//!
//! - [`audit`]: writes down who tried, asked for and granted what (`--audit-webhook-url`).
//! - [`validation`]: says whether a request may be filed (`--extended-validation-webhook-url`).
//! - [`chat`]: posts notices to a chat (`--notice-url`).
//! - [`body`]: what the first two read of the bodies they get.
//! - [`serve`] and [`tls`]: HTTPS, certificates that may be renewed, and an orderly end.
//!
//! Whatever a receiver answers is final: an audit that is not answered with 200, or a validation
//! that cannot be understood, stops what was going to happen.

pub mod audit;
pub mod body;
pub mod chat;
pub mod serve;
pub mod tls;
pub mod validation;
