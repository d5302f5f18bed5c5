//! Names and paths of proxies: what is taken can be read in one way only.

use decide::proxy::{check_path, name};

/// Takes two texts, a name and a path.
pub fn check(data: &[u8]) {
    let texts = crate::texts::texts(data);
    let text = texts.first().cloned().unwrap_or_default();
    check_name(&text);
    let path = texts.get(1).unwrap_or(&text);
    if check_path(path).is_ok() {
        assert_eq!(normal(path), *path, "a path that normalises to another");
        assert!(
            path.chars()
                .all(|c| !c.is_control() && !"%\\?#".contains(c)),
            "{path:?}"
        );
    } else {
        let plain = path
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'/' || byte == b'-');
        assert!(
            !plain || path.contains("//"),
            "a plain path is refused: {path:?}"
        );
    }
}

fn check_name(text: &str) {
    let Ok(read) = name(text) else {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        assert!(!plain, "a plain name is refused: {text:?}");
        return;
    };
    let (scheme, host, port) = split_scheme_name_port(text).expect("the API server takes it apart");
    assert_eq!(
        (
            read.scheme.as_deref().unwrap_or(""),
            read.port.as_deref().unwrap_or("")
        ),
        (scheme, port)
    );
    assert_eq!(read.name, host);
    assert!(read.scheme.as_deref() != Some("") && read.port.as_deref() != Some(""));
    assert!(host != "." && host != "..", "a name that is a way up");
    let canonical = match (scheme, port) {
        ("", "") => host.to_owned(),
        ("", port) => format!("{host}:{port}"),
        (scheme, port) => format!("{scheme}:{host}:{port}"),
    };
    assert_eq!(name(&canonical).as_ref(), Ok(&read), "{text:?}");
    assert!(
        !text.contains(['/', '%', '\\', '?', '#', '@', ' ']) && text.is_ascii(),
        "{text:?}"
    );
}

/// As apimachinery's `util/net.SplitSchemeNamePort`.
fn split_scheme_name_port(id: &str) -> Option<(&str, &str, &str)> {
    let parts: Vec<&str> = id.split(':').collect();
    let (scheme, name, port) = match parts[..] {
        [name] => ("", name, ""),
        [name, port] => ("", name, port),
        [scheme, name, port] => (scheme, name, port),
        _ => return None,
    };
    (!name.is_empty() && ["", "http", "https"].contains(&scheme)).then_some((scheme, name, port))
}

/// A path as something behind the proxy may make it: decoded again, without empty and dot segments
/// (RFC 3986, 5.2.4).
fn normal(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: Option<u8>| char::from(byte.unwrap_or_default()).to_digit(16);
        let mut ahead = rest.clone();
        match (byte, hex(ahead.next()), hex(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap());
                rest = ahead;
            }
            _ => bytes.push(byte),
        }
    }
    let decoded = String::from_utf8_lossy(&bytes).replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    let all: Vec<&str> = decoded.split('/').collect();
    for (at, segment) in all.iter().enumerate() {
        match *segment {
            "." => {}
            ".." => drop(segments.pop()),
            "" if at > 0 && at + 1 < all.len() => {}
            segment => segments.push(segment),
        }
    }
    segments.join("/")
}
