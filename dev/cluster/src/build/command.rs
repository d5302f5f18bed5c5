//! The commands that build.

use std::process::Command;

use super::error::BuildError;

/// Runs a command of the build; what it says is shown only when it fails.
pub(super) fn run(part: &'static str, command: &mut Command) -> Result<String, BuildError> {
    let shown = format!("{command:?}");
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|source| BuildError::Run {
            part,
            command: shown.clone(),
            source,
        })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = said.lines().rev().take(20).collect();
    let output_end = lines
        .iter()
        .rev()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n");
    Err(BuildError::Failed {
        part,
        command: shown,
        status: output.status,
        output: output_end,
    })
}
