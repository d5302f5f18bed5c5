//! The process that learns which version is the latest, with a server that tells it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, as it should"
)]
#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Command, ExitStatus};

/// Answers one request with this body; gives back what was asked.
fn answer_once(listener: &TcpListener, body: &str) -> Vec<String> {
    let (mut connection, _) = listener.accept().unwrap();
    let lines = BufReader::new(connection.try_clone().unwrap())
        .lines()
        .map(Result::unwrap);
    let asked: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    // Whoever has read enough hangs up.
    let _hung_up = connection.write_all(format!("{head}{body}").as_bytes());
    asked
}

/// Learns from a server that answers so; gives back the exit status, what was asked, and what is
/// stored.
fn learn(body: &str) -> (ExitStatus, Vec<String>, Option<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/releases/latest", listener.local_addr().unwrap());
    let home = tempfile::tempdir().unwrap();
    let mut learning = Command::new(env!("CARGO_BIN_EXE_kubectl-request"))
        .arg("__learn-latest-version")
        .env("KUBECTL_REQUEST_UPDATE_URL", url)
        .env("XDG_CACHE_HOME", home.path())
        .env("NO_PROXY", "127.0.0.1")
        .spawn()
        .unwrap();
    let asked = answer_once(&listener, body);
    let status = learning.wait().unwrap();
    (
        status,
        asked,
        std::fs::read_to_string(home.path().join("kubectl-request/latest.json")).ok(),
    )
}

#[test]
fn the_latest_version_is_learnt_and_written_down() {
    let (status, asked, stored) = learn(r#"{"tag_name": "v1.2.3", "name": "whatever"}"#);
    assert!(status.success());
    assert!(
        asked
            .first()
            .is_some_and(|line| line.starts_with("GET /releases/latest ")),
        "{asked:?}"
    );
    assert!(
        asked.iter().any(|line| line
            .to_lowercase()
            .starts_with("user-agent: kubectl-request/")),
        "{asked:?}"
    );
    assert!(stored.is_some_and(|stored| stored.contains(r#""latest":"1.2.3""#)));
}

// P17
#[test]
fn an_answer_without_an_end_is_not_read() {
    let (status, _, stored) = learn(&format!(
        r#"{{"name": "{}", "tag_name": "v1.2.3"}}"#,
        "x".repeat(1 << 20)
    ));
    assert!(!status.success());
    assert_eq!(stored, None);
}

#[test]
fn what_is_no_version_is_not_written_down() {
    let (status, _, stored) = learn(r#"{"tag_name": "\u001b[31mnew"}"#);
    assert!(!status.success());
    assert_eq!(stored, None);
}
