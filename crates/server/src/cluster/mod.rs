//! What is known of the cluster: an index in memory that may only say no, and live reads that may
//! say yes.

pub mod clients;
pub mod index;
mod keys;
pub mod ledger;
pub mod lineage;
pub mod mutators;
pub mod outcomes;
pub mod own_pod;
pub mod pods;
pub mod policies;
pub mod records;
pub mod rights;
pub mod seal;
pub mod statuses;
pub mod together;
pub mod watch;
