//! Tells the binary which commit it was built from: asked of git, or given where there is no
//! checkout.

use std::path::Path;
use std::process::Command;

fn main() {
    stamp("KRA_COMMIT", &["rev-parse", "--short=12", "HEAD"]);
    stamp("KRA_COMMIT_DATE", &["log", "-1", "--format=%cs"]);
    // A path that is missing would make cargo build this crate anew every time.
    for path in ["../../.git/HEAD", "../../.git/logs/HEAD"]
        .iter()
        .filter(|path| Path::new(path).exists())
    {
        println!("cargo:rerun-if-changed={path}");
    }
}

fn stamp(variable: &str, question: &[&str]) {
    let given = std::env::var(variable)
        .ok()
        .filter(|value| !value.is_empty());
    let value = given
        .or_else(|| git(question))
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rerun-if-env-changed={variable}");
    println!("cargo:rustc-env={variable}={value}");
}

fn git(question: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(question)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    String::from_utf8(output.stdout)
        .ok()
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}
