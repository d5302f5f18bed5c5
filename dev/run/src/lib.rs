//! Builds kube-request-access and installs it in a cluster of [`cluster`], as `deploy/` describes
//! it and with what a development cluster needs on top: certificates of its own, images without a
//! registry, users to try it as.
//!
//! - [`binaries`]: what is built.
//! - [`manifests`]: `deploy/` rendered, and changed for the cluster; pure.
//! - [`keys`]: what is secret.
//! - [`mod@install`]: all of it applied, until the server is ready; [`remote`]: the same in a
//!   cluster that exists.
//! - [`story`]: what the project is for, played and checked.
//! - [`session`]: what `./scripts/run` leaves running; [`signals`]: how it ends.

pub mod binaries;
pub mod certificates;
pub mod install;
pub mod keys;
pub mod kubectl;
pub mod local;
pub mod manifests;
pub mod remote;
pub mod session;
pub mod signals;
pub mod story;
pub mod watch;

pub use binaries::Binaries;
pub use install::{Installed, Place, Settings, install};

use std::path::{Path, PathBuf};

/// The checkout that this was built from.
pub fn checkout() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}
