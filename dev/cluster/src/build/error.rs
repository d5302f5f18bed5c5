//! Why the cluster could not be built.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::image::ImageError;

/// Why a part of the cluster could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Neither `$KRA_CACHE` nor `$HOME` says where to keep what is built.
    #[error("there is no place for the cache: set KRA_CACHE or HOME")]
    NoCache,
    /// Root by sudo builds nothing.
    #[error(
        "not everything is built yet, and nothing is built as root: build it as yourself, with {how}"
    )]
    AsRoot {
        /// What builds it.
        how: &'static str,
    },
    /// Commands the build needs are not there.
    #[error("to build the cluster, install first:\n{}", list(.missing))]
    Tools {
        /// Each with where to get it.
        missing: Vec<String>,
    },
    /// A file or directory of the cache cannot be used.
    #[error("cannot write {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A command cannot be started.
    #[error("cannot run {command} to build {part}")]
    Run {
        /// What is built.
        part: &'static str,
        /// The command.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// A command has failed.
    #[error("{command} failed ({status}) building {part}:\n{output}")]
    Failed {
        /// What is built.
        part: &'static str,
        /// The command.
        command: String,
        /// How.
        status: ExitStatus,
        /// The end of what it said.
        output: String,
    },
    /// Something expected is not in a downloaded package.
    #[error("there is no {file} in what was unpacked for {part}")]
    Absent {
        /// What is built.
        part: &'static str,
        /// The file.
        file: &'static str,
    },
    /// An image cannot be written.
    #[error("cannot make the image for {part}")]
    Image {
        /// What is built.
        part: &'static str,
        /// Why.
        source: ImageError,
    },
}

fn list(items: &[String]) -> String {
    items
        .iter()
        .map(|item| format!("  {item}"))
        .collect::<Vec<_>>()
        .join("\n")
}
