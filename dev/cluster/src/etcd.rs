//! Writing into the store behind the API server's back, as whoever holds it can: for tests of what
//! becomes of that.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::json;

/// One write may take this long.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Puts a value under a key, by etcd's JSON gateway.
pub(crate) fn put(socket: &Path, key: &str, value: &[u8]) -> io::Result<()> {
    let body = json!({"key": BASE64_STANDARD.encode(key), "value": BASE64_STANDARD.encode(value)})
        .to_string();
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // ureq speaks to no sockets of files.
    write!(
        stream,
        "POST /v3/kv/put HTTP/1.1\r\nHost: etcd\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200 ") {
        Ok(())
    } else {
        Err(io::Error::other(answer))
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufRead as _;

    use super::*;

    fn put_answered_with(status: &'static str) -> (io::Result<()>, String) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("etcd.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let etcd = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut asked = io::BufReader::new(&stream);
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                let start = head.len();
                asked.read_line(&mut head).unwrap();
                length = head[start..]
                    .trim()
                    .strip_prefix("Content-Length: ")
                    .map_or(length, |n| n.parse().unwrap());
            }
            let mut body = vec![0; length];
            asked.read_exact(&mut body).unwrap();
            write!(&stream, "HTTP/1.1 {status}\r\n\r\n{{}}").unwrap();
            head + &String::from_utf8(body).unwrap()
        });
        (put(&socket, "/a", b"b"), etcd.join().unwrap())
    }

    #[test]
    fn a_value_is_put_and_a_refusal_told() {
        let (put, asked) = put_answered_with("200 OK");
        assert!(put.is_ok());
        assert!(asked.starts_with("POST /v3/kv/put HTTP/1.1\r\n"), "{asked}");
        assert!(
            asked.ends_with(r#"{"key":"L2E=","value":"Yg=="}"#),
            "{asked}"
        );
        let refused = put_answered_with("400 Bad Request").0.unwrap_err();
        assert!(refused.to_string().contains("400 Bad Request"));
    }
}
