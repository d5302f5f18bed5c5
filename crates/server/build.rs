//! Tells the binary which commit it is built from: `KRA_COMMIT` and `KRA_COMMIT_DATE`, else git,
//! else `unknown`.

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-env-changed=KRA_COMMIT");
    println!("cargo::rerun-if-env-changed=KRA_COMMIT_DATE");
    println!("cargo::rerun-if-changed=../../.git/HEAD");
    println!("cargo::rerun-if-changed=../../.git/logs/HEAD");
    let commit = told("KRA_COMMIT", &["rev-parse", "--short=12", "HEAD"]);
    let date = told("KRA_COMMIT_DATE", &["log", "-1", "--format=%cs"]);
    println!(
        "cargo::rustc-env=KRA_VERSION={} ({commit}, {date})",
        env!("CARGO_PKG_VERSION")
    );
}

fn told(variable: &str, git: &[&str]) -> String {
    env::var(variable)
        .ok()
        .filter(|value| !value.is_empty())
        .or_else(|| ask_git(git))
        .unwrap_or_else(|| "unknown".into())
}

fn ask_git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}
