//! What this crate may never depend on.

use std::process::Command;

/// No client, no runtime, nothing that waits or knows the time of day by itself.
const FORBIDDEN: [&str; 8] = [
    "kube",
    "k8s-openapi",
    "tokio",
    "hyper",
    "async",
    "futures",
    "chrono",
    "rustls",
];

#[test]
fn no_kube_and_no_tokio_is_in_the_tree() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--package",
            "kra-decide",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(
        tree.lines().any(|line| line.starts_with("jiff ")),
        "not the tree of kra-decide: {tree}"
    );
    let forbidden: Vec<&str> = tree
        .lines()
        .filter(|line| FORBIDDEN.iter().any(|name| line.starts_with(name)))
        .collect();
    assert!(forbidden.is_empty(), "{forbidden:?}");
}
