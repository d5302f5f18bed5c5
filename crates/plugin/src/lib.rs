//! The kubectl plugin of kube-request-access: ask for access to a pod, and grant or deny what
//! others ask for.
//!
//! ```text
//! flags + kubeconfig ──connect──▶ Cluster ──verb──▶ Terminal
//! ```
//!
//! One file a verb, and below them what they share:
//!
//! - [`args`], [`dispatch`], [`failure`]: from the command line to a verb, and what it says where
//!   it fails.
//! - [`ask`]: the verbs that ask; [`answer`]: those that answer, and that end an access; [`look`]:
//!   those that only look.
//! - [`complete`]: what the shell completes.
//! - [`describe`]: what a request is, in words: what an approver reads before they answer.
//! - [`target`]: from `deploy/nginx` to a container.
//! - [`connect`]: from flags and kubeconfig to a client, as kubectl does it. [`cluster`]: what is
//!   asked of the API server, and its errors in kubectl's words.
//! - [`terminal`]: what reaches the screen and the shell, and the real kubectl.

pub mod answer;
pub mod args;
pub mod ask;
pub mod cluster;
pub mod complete;
pub mod connect;
pub mod describe;
pub mod dispatch;
pub mod failure;
pub mod look;
pub mod target;
pub mod terminal;

pub use dispatch::{perform, run};
pub use failure::Failure;
