//! A directory in which binaries are built.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::BuildError;

/// A group while it is built: sources in `src`, results in `out`. Removed unless finished.
pub(super) struct Staging {
    dir: PathBuf,
}

impl Staging {
    /// Held under the build lock, so a directory of this name is a leftover.
    pub(super) fn new(
        cache: &Path,
        group: &str,
        sources: &[(&str, &str)],
    ) -> Result<Self, BuildError> {
        let staging = Self {
            dir: cache.join(format!("{group}-being-built")),
        };
        drop(fs::remove_dir_all(&staging.dir));
        fs::create_dir_all(staging.out()).map_err(|source| BuildError::File {
            path: staging.out(),
            source,
        })?;
        for (name, text) in sources {
            staging.write_source(name, text)?;
        }
        Ok(staging)
    }

    pub(super) fn write_source(&self, name: &str, text: &str) -> Result<(), BuildError> {
        let path = self.source(name);
        let made = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, text));
        made.map_err(|source| BuildError::File { path, source })
    }

    pub(super) fn source(&self, name: &str) -> PathBuf {
        self.dir.join("src").join(name)
    }

    pub(super) fn out(&self) -> PathBuf {
        self.dir.join("out")
    }

    pub(super) fn finish(self, to: &Path) -> Result<(), BuildError> {
        fs::rename(self.out(), to).map_err(|source| BuildError::File {
            path: to.to_owned(),
            source,
        })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What stays is removed by the next build.
        drop(fs::remove_dir_all(&self.dir));
    }
}
