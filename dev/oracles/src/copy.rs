//! Paths of `kubectl cp`: cleaned as Go does, and unpacked nowhere else.

use decide::copy::{Copy, Direction, clean, is_unpack, packed, parent, sent};

/// Takes two texts, a path and a directory.
pub fn check(data: &[u8]) {
    let texts = crate::texts::texts(data);
    let path = texts.first().cloned().unwrap_or_default();
    let directory = texts.get(1).cloned().unwrap_or_else(|| clean(&path));
    assert_eq!(clean(&path), go_clean(&path), "{path:?}");
    assert_eq!(parent(&path), go_dir(&path), "{path:?}");
    assert_eq!(clean(&clean(&path)), clean(&path));
    let sent = sent(&path);
    assert!(!sent.contains('\\'));
    for direction in [Direction::To, Direction::From] {
        for path in [&path, &sent] {
            consistent(path, &directory, direction);
        }
    }
}

fn consistent(path: &str, directory: &str, direction: Direction) {
    let copy = Copy {
        container: None,
        direction,
        path: path.to_owned(),
        directory: directory.to_owned(),
        no_preserve: directory.len().is_multiple_of(2),
    };
    let as_sent = path == "/" || (!path.is_empty() && !path.ends_with('/'));
    let into = [go_clean(path), go_dir(path)]
        .iter()
        .any(|place| place == directory);
    assert_eq!(
        copy.is_consistent(),
        as_sent && (direction == Direction::From || into),
        "{copy:?}"
    );
    assert_eq!(is_unpack(&copy.command()), direction == Direction::To);
    match direction {
        Direction::From => assert_eq!(
            (packed(&copy.command()), copy.question()),
            (Some(path), None)
        ),
        Direction::To => assert_eq!(copy.question().unwrap(), ["test", "-d", path]),
    }
}

/// Go's `path.Clean`, in its own words: bytes, an output that is written and rewound.
fn go_clean(path: &str) -> String {
    let path = path.as_bytes();
    if path.is_empty() {
        return ".".to_owned();
    }
    let rooted = path[0] == b'/';
    let (n, mut r) = (path.len(), usize::from(rooted));
    let mut out: Vec<u8> = if rooted { vec![b'/'] } else { vec![] };
    let mut dotdot = usize::from(rooted);
    while r < n {
        if path[r] == b'/' || (path[r] == b'.' && (r + 1 == n || path[r + 1] == b'/')) {
            r += 1;
        } else if path[r] == b'.' && path[r + 1] == b'.' && (r + 2 == n || path[r + 2] == b'/') {
            r += 2;
            if out.len() > dotdot {
                let mut last = out.pop();
                while out.len() > dotdot && last != Some(b'/') {
                    last = out.pop();
                }
            } else if !rooted {
                if !out.is_empty() {
                    out.push(b'/');
                }
                out.extend(b"..");
                dotdot = out.len();
            }
        } else {
            if (rooted && out.len() != 1) || (!rooted && !out.is_empty()) {
                out.push(b'/');
            }
            while r < n && path[r] != b'/' {
                out.push(path[r]);
                r += 1;
            }
        }
    }
    if out.is_empty() {
        ".".to_owned()
    } else {
        String::from_utf8(out).unwrap()
    }
}

/// Go's `path.Dir`: all up to the last slash, cleaned.
fn go_dir(path: &str) -> String {
    let end = path
        .bytes()
        .rposition(|byte| byte == b'/')
        .map_or(0, |slash| slash + 1);
    go_clean(&path[..end])
}
