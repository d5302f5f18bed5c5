//! The script that ends a cluster, whatever becomes of this process.

pub(crate) const SCRIPT: &str = include_str!("keeper.sh");
