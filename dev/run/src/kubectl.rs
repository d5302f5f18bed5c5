//! kubectl, as a function: output on success, an error with its own words else.

use std::{
    io::{self, Write as _},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

/// Why a kubectl command did not do its part.
#[derive(Debug, thiserror::Error)]
pub enum KubectlError {
    /// It cannot be started or talked to.
    #[error("cannot run {command}")]
    Run {
        /// What was run.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// It failed.
    #[error("{command} failed: {stderr}")]
    Failed {
        /// What was run.
        command: String,
        /// What it said.
        stderr: String,
    },
}

/// Runs a command and returns its standard output.
///
/// # Errors
/// It cannot be run, or ends with another code than 0.
pub fn output(command: &mut Command, input: Option<&[u8]>) -> Result<String, KubectlError> {
    let shown = format!("{command:?}");
    let failed = |source| KubectlError::Run {
        command: shown.clone(),
        source,
    };
    let stdin = if input.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    };
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let (Some(bytes), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(bytes).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(KubectlError::Failed {
        command: shown,
        stderr,
    })
}

/// A kubectl that installs: the lock lets nobody else change what it guards, cluster administrators
/// neither.
pub fn as_installer(mut kubectl: Command) -> Command {
    let groups = [
        "--as-group=system:masters",
        "--as-group=kube-request-access:installers",
    ];
    kubectl
        .arg("--as=kube-request-access:installer")
        .args(groups);
    kubectl
}

/// Applies objects.
///
/// # Errors
/// The API server refuses one.
pub fn apply(mut kubectl: Command, objects: &[Value]) -> Result<(), KubectlError> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    output(kubectl.args(["apply", "-f", "-"]), Some(list.as_bytes())).map(drop)
}
