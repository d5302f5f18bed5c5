//! Builds what a cluster is made of, once, into a cache.
//!
//! Each [`parts::Group`] of binaries has a directory of its own in the cache, named by a digest of
//! all that goes into it, written elsewhere and then renamed: a directory that is there is
//! complete.

mod cached;
mod command;
mod debian;
mod error;
mod go;
mod images;
mod parts;
mod staging;

pub use cached::{Built, build, dir};
pub use error::BuildError;
pub(crate) use images::{BUSYBOX as BUSYBOX_IMAGE, BUSYBOX_TAR, PAUSE as PAUSE_IMAGE, PAUSE_TAR};
