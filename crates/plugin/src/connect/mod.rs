//! From flags and kubeconfig to a client, as kubectl does it.

pub mod authority;
mod client;
pub mod destination;
pub mod flags;
pub mod kubeconfig;
pub mod kuberc;
pub mod login;
pub mod program;
pub mod proxy;

pub use client::{ConnectError, connect};
pub use flags::ConnectionFlags;
