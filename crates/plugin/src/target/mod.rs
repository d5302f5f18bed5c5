//! From `deploy/nginx` to a container.

pub mod container;
pub mod place;
pub mod ports;
pub mod service;
mod workload;

pub use workload::{Target, TargetError, Workload};
