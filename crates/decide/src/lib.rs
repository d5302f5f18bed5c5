//! Every decision of kube-request-access, as pure functions: no kube client, no tokio, no clock.
//!
//! ```text
//! Attempt + Candidates + now ──decide──▶ Verdict   (best match, or the nearest miss with its reason)
//! ```
//!
//! - [`attempt`]: what somebody tries to do, and who she is.
//! - [`debug`], [`copy`]: what `kubectl debug` adds and `kubectl cp` runs.
//! - [`access`]: requests and grants as values; [`standing`]: whether a request gives access now.
//! - [`verdict`]: the decision itself; [`matching`] compares what is tried with what was asked for.
//! - [`proxy`]: the doors that nobody can ask for.
//! - [`lifecycle`]: where a request stands, for its status, its role binding and the clean-up.
//! - [`policy`]: what needs no request, more than one approval, or cannot be had at all;
//!   [`namespaces`]: where; [`ruling`]: what all say together.
//! - [`settings`]: what decisions go by.
//! - [`rules`]: what a request may ask for at all.
//! - [`identity`]: names, with and without the authenticator's prefix.
//! - [`explain`]: what a denied caller reads.
//! - [`waiting`]: which denied attempts may wait for a grant, and until when.
//! - [`record`]: lines of the log, which are never long, and what is counted instead of written.
//! - [`kept`]: records of what was deleted, which are never long nor too many.
//! - [`canary`]: whether an API server still asks us.
//! - [`text`]: which characters do not show, and texts of others made safe to show.
//! - [`duration`], [`argv`]: durations in Go's syntax, and commands shown so that no two look the
//!   same.

pub mod access;
pub mod argv;
pub mod attempt;
pub mod canary;
pub mod copy;
pub mod debug;
pub mod duration;
pub mod explain;
pub mod identity;
pub mod kept;
pub mod lifecycle;
pub mod matching;
pub mod mutators;
pub mod namespaces;
pub mod policy;
pub mod policy_id;
pub mod proxy;
pub mod record;
pub mod rules;
pub mod ruling;
pub mod settings;
pub mod standing;
pub mod text;
pub mod verdict;
pub mod waiting;
