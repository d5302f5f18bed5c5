//! The project's own binaries, built statically: what runs in an image of nothing else.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use cluster::Progress;

const TARGET: &str = "x86_64-unknown-linux-musl";
const PACKAGES: [&str; 3] = ["kube-request-access", "kubectl-request", "kra-receivers"];

/// Where the binaries are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    dir: PathBuf,
}

/// Why they cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// cargo or rustup cannot be started.
    #[error("cannot run {program}: is Rust installed?")]
    Start {
        /// Which.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// cargo or rustup failed; it has said why.
    #[error("{program} failed ({status})")]
    Failed {
        /// Which.
        program: &'static str,
        /// Its end.
        status: ExitStatus,
    },
}

impl Binaries {
    /// Builds all of them; takes seconds where nothing changed.
    ///
    /// # Errors
    /// The compiler is missing, or refuses the code.
    pub fn build(progress: Progress) -> Result<Self, BuildError> {
        Self::build_with(progress, &[])
    }

    /// The same, with the points at which tests hold the server to kill it there.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_with_failpoints(progress: Progress) -> Result<Self, BuildError> {
        Self::build_with(progress, &["--features", "kube-request-access/failpoints"])
    }

    fn build_with(progress: Progress, features: &[&str]) -> Result<Self, BuildError> {
        let step = progress.long_step("building kube-request-access");
        // Targets in rust-toolchain.toml are not added where rustup's auto-install is off.
        run(
            cluster::builder("rustup").args(["--quiet", "target", "add", TARGET]),
            "rustup",
        )?;
        let mut cargo = cluster::builder("cargo");
        cargo
            .current_dir(crate::checkout())
            .args(["build", "--quiet", "--locked", "--target", TARGET]);
        cargo
            .args(PACKAGES.iter().flat_map(|package| ["-p", package]))
            .args(features);
        // Debian has no musl-gcc without musl-tools; gcc itself does for the little C that is
        // linked.
        cargo.env("CC_x86_64_unknown_linux_musl", "gcc");
        run(&mut cargo, "cargo")?;
        step.done_as("kube-request-access is built");
        Ok(Self {
            dir: target_dir().join(TARGET).join("debug"),
        })
    }

    /// Those of a directory into which somebody else has built them.
    pub fn in_dir(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// The admission server.
    pub fn server(&self) -> PathBuf {
        self.dir.join("kube-request-access")
    }

    /// The kubectl plugin.
    pub fn plugin(&self) -> PathBuf {
        self.dir.join("kubectl-request")
    }

    /// The example receiver of audit events.
    pub fn audit_receiver(&self) -> PathBuf {
        self.dir.join("audit-receiver")
    }

    /// The example receiver that validates requests.
    pub fn validation_receiver(&self) -> PathBuf {
        self.dir.join("validation-receiver")
    }
}

fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || crate::checkout().join("target"),
        |dir| Path::new(&dir).to_owned(),
    )
}

fn run(command: &mut Command, program: &'static str) -> Result<(), BuildError> {
    let status = command
        .status()
        .map_err(|source| BuildError::Start { program, source })?;
    if status.success() {
        Ok(())
    } else {
        Err(BuildError::Failed { program, status })
    }
}
