//! The binaries, from start to SIGTERM.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::chat::{FILED, listening};
use crate::https::SelfSigned;
use crate::recorded::Recorded;

const DEADLINE: Duration = Duration::from_secs(10);
const AUDIT: &str = env!("CARGO_BIN_EXE_audit-receiver");
const CHAT: &str = env!("CARGO_BIN_EXE_chat-receiver");
const VALIDATION: &str = env!("CARGO_BIN_EXE_validation-receiver");

fn command(binary: &str, dir: &Path) -> Command {
    let mut command = Command::new(binary);
    command
        .args(["--address", "127.0.0.1:0"])
        .arg("--cert-file")
        .arg(dir.join("tls.crt"));
    command
        .arg("--key-file")
        .arg(dir.join("tls.key"))
        .kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn announced_address(child: &mut Child) -> SocketAddr {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = timeout(DEADLINE, lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    // Kept open: a receiver whose standard error is gone could not say what goes wrong.
    child.stderr = Some(lines.into_inner().into_inner());
    line.rsplit_once("address=").unwrap().1.parse().unwrap()
}

async fn terminate(child: Child) -> Output {
    let pid = child.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .await
            .unwrap()
            .success()
    );
    timeout(DEADLINE, child.wait_with_output())
        .await
        .unwrap()
        .unwrap()
}

/// Starts a receiver, replays one recorded POST, ends the receiver; gives back the answer and what
/// was left.
async fn replay(binary: &str, name: &str) -> (String, Output) {
    let (dir, certificate, recorded) = (
        TempDir::new().unwrap(),
        SelfSigned::generate(),
        Recorded::read(name),
    );
    certificate.write(dir.path());
    let mut child = command(binary, dir.path()).spawn().unwrap();
    let address = announced_address(&mut child).await;
    let answer = certificate
        .post(address, &recorded.path, &recorded.body.to_string())
        .await;
    (answer, terminate(child).await)
}

#[tokio::test]
async fn the_audit_receiver_prints_a_line_and_ends_well_on_sigterm() {
    let (answer, output) = replay(AUDIT, "audit-exec-denied").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(output.status.success(), "{output:?}");
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&line["who"], &line["allowed"]),
        (&Value::from("jane"), &Value::from(false))
    );
}

#[tokio::test]
async fn the_validation_receiver_answers_and_ends_well_on_sigterm() {
    let (answer, output) = replay(VALIDATION, "validate").await;
    assert!(answer.ends_with(r#"{"status":"valid"}"#), "{answer}");
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn the_chat_receiver_says_it_in_the_chat_of_its_file_and_ends_well_on_sigterm() {
    let (dir, certificate, (url, said)) = (
        TempDir::new().unwrap(),
        SelfSigned::generate(),
        listening(StatusCode::OK).await,
    );
    certificate.write(dir.path());
    let file = dir.path().join("url");
    std::fs::write(&file, url).unwrap();
    let mut child = command(CHAT, dir.path())
        .arg("--incoming-webhook-url-file")
        .arg(file)
        .spawn()
        .unwrap();
    let address = announced_address(&mut child).await;
    let header = format!("ce-type: {FILED}\r\n");
    let answer = certificate
        .post_with(address, "/", &header, r#"{"text": "jane asks"}"#)
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(said.lock().unwrap()[0]["text"], "```\njane asks\n```");
    assert!(terminate(child).await.status.success());
}

#[tokio::test]
async fn a_missing_certificate_is_named_and_nothing_is_served() {
    let dir = TempDir::new().unwrap();
    let output = timeout(DEADLINE, command(AUDIT, dir.path()).output())
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains(&format!(
        "cannot read the certificate file {}",
        dir.path().join("tls.crt").display()
    )));
}
