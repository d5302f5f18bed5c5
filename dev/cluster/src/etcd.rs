//! Writing into the store behind the API server's back, as whoever holds it can: for tests of what
//! becomes of that.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

/// One write may take this long.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How many values go into one transaction; etcd takes 128.
pub(crate) const MANY: usize = 100;

/// Puts a value under a key, by etcd's JSON gateway.
pub(crate) fn put(socket: &Path, key: &str, value: &[u8]) -> io::Result<()> {
    post(socket, "put", &pair(key, value)).map(drop)
}

/// Puts values under their keys, at most [`MANY`], all at once.
pub(crate) fn put_all(socket: &Path, pairs: &[(String, Vec<u8>)]) -> io::Result<()> {
    let puts: Vec<Value> = pairs
        .iter()
        .map(|(key, value)| json!({"requestPut": pair(key, value)}))
        .collect();
    post(socket, "txn", &json!({"success": puts})).map(drop)
}

/// The value under a key; `None` where there is none.
pub(crate) fn get(socket: &Path, key: &str) -> io::Result<Option<Vec<u8>>> {
    let answer = post(
        socket,
        "range",
        &json!({"key": BASE64_STANDARD.encode(key)}),
    )?;
    let answer: Value = serde_json::from_str(&answer)?;
    answer
        .pointer("/kvs/0/value")
        .and_then(Value::as_str)
        .map(|value| BASE64_STANDARD.decode(value).map_err(io::Error::other))
        .transpose()
}

/// Removes a key.
pub(crate) fn delete(socket: &Path, key: &str) -> io::Result<()> {
    post(
        socket,
        "deleterange",
        &json!({"key": BASE64_STANDARD.encode(key)}),
    )
    .map(drop)
}

fn pair(key: &str, value: &[u8]) -> Value {
    json!({"key": BASE64_STANDARD.encode(key), "value": BASE64_STANDARD.encode(value)})
}

/// The body of the answer to one call.
fn post(socket: &Path, call: &str, body: &Value) -> io::Result<String> {
    let body = body.to_string();
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // ureq speaks to no sockets of files. HTTP/1.0: the answer comes in one piece.
    write!(
        stream,
        "POST /v3/kv/{call} HTTP/1.0\r\nHost: etcd\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(body.to_owned()),
        _ => Err(io::Error::other(answer)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufRead as _;

    use super::*;

    fn asked_and_answered<T>(
        answer: &'static str,
        ask: impl FnOnce(&Path) -> io::Result<T>,
    ) -> (io::Result<T>, String) {
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
            write!(&stream, "{answer}").unwrap();
            head + &String::from_utf8(body).unwrap()
        });
        (ask(&socket), etcd.join().unwrap())
    }

    #[test]
    fn a_value_is_put_and_a_refusal_told() {
        let put = |socket: &Path| put(socket, "/a", b"b");
        let (done, asked) = asked_and_answered("HTTP/1.1 200 OK\r\n\r\n{}", put);
        assert!(done.is_ok());
        assert!(asked.starts_with("POST /v3/kv/put HTTP/1.0\r\n"), "{asked}");
        assert!(
            asked.ends_with(r#"{"key":"L2E=","value":"Yg=="}"#),
            "{asked}"
        );
        let (refused, _) = asked_and_answered("HTTP/1.1 400 Bad Request\r\n\r\n{}", put);
        let refused = refused.unwrap_err();
        assert!(refused.to_string().contains("400 Bad Request"));
    }

    #[test]
    fn many_values_are_put_at_once() {
        let pairs = [
            ("/a".to_owned(), b"b".to_vec()),
            ("/c".to_owned(), Vec::new()),
        ];
        let (done, asked) = asked_and_answered("HTTP/1.0 200 OK\r\n\r\n{}", |socket| {
            put_all(socket, &pairs)
        });
        assert!(done.is_ok());
        assert!(
            asked.ends_with(r#"{"success":[{"requestPut":{"key":"L2E=","value":"Yg=="}},{"requestPut":{"key":"L2M=","value":""}}]}"#),
            "{asked}"
        );
    }

    #[test]
    fn a_value_is_read_and_one_that_is_not_there_is_none() {
        let read = |socket: &Path| get(socket, "/a");
        let found = "HTTP/1.0 200 OK\r\n\r\n{\"kvs\":[{\"key\":\"L2E=\",\"value\":\"Yg==\"}]}";
        assert_eq!(
            asked_and_answered(found, read).0.unwrap(),
            Some(b"b".to_vec())
        );
        let nothing = "HTTP/1.0 200 OK\r\n\r\n{\"header\":{}}";
        assert_eq!(asked_and_answered(nothing, read).0.unwrap(), None);
    }
}
