//! The proxies of pods, services and nodes, which nobody can ask for: neither method nor query of what goes through is
//! visible to admission.

use crate::rules::hides;

/// What somebody proxies to, by the name in the URL: `[scheme:]name[:port]`
/// (apimachinery, `util/net.SplitSchemeNamePort`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyName {
    /// `http` or `https`, where one is written.
    pub scheme: Option<String>,
    /// The name of the pod, service or node.
    pub name: String,
    /// A number or the name of a port, where one is written.
    pub port: Option<String>,
}

/// Why a name or path is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Not of the form `[scheme:]name[:port]`.
    #[error("it is not of the form [scheme:]name[:port]")]
    Name,
    /// A path that can be read in two ways.
    #[error("its path can be read in more than one way")]
    Path,
}

/// Reads a name, once: nothing in it is decoded again.
///
/// # Errors
/// It is not of the form, or has characters that no name has.
pub fn name(text: &str) -> Result<ProxyName, ProxyError> {
    let parts: Vec<&str> = text.split(':').collect();
    let some = |part: &str| (!part.is_empty()).then(|| part.to_owned());
    let (scheme, name, port) = match parts.as_slice() {
        [name] => (None, *name, None),
        [name, port] => (None, *name, Some(*port)),
        [scheme, name, port] => (Some(*scheme), *name, Some(*port)),
        _ => return Err(ProxyError::Name),
    };
    let word = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    let known = scheme.is_none_or(|scheme| matches!(scheme, "" | "http" | "https"));
    let way_up = matches!(name, "." | "..");
    if name.is_empty() || way_up || !word(name) || !known || !port.is_none_or(word) {
        return Err(ProxyError::Name);
    }
    Ok(ProxyName { scheme: scheme.and_then(some), name: name.to_owned(), port: port.and_then(some) })
}

/// Checks that a path, as the API server has decoded it once, means one thing: no `..`, no `//`, nothing encoded.
///
/// # Errors
/// It could be read in another way behind the proxy.
pub fn check_path(path: &str) -> Result<(), ProxyError> {
    let dots = path.split('/').any(|part| part == "." || part == "..");
    let hidden = path.chars().any(|c| hides(c) || c == '%' || c == '\\' || c == '?' || c == '#');
    if dots || hidden || path.contains("//") { Err(ProxyError::Path) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("nginx", None, "nginx", None)]
    #[case("nginx:80", None, "nginx", Some("80"))]
    #[case("https:node-0:10250", Some("https"), "node-0", Some("10250"))]
    #[case("http:web:metrics", Some("http"), "web", Some("metrics"))]
    #[case(":web:", None, "web", None)]
    #[case("127.0.0.1", None, "127.0.0.1", None)]
    fn a_name_has_a_scheme_a_name_and_a_port(
        #[case] text: &str,
        #[case] scheme: Option<&str>,
        #[case] expected: &str,
        #[case] port: Option<&str>,
    ) {
        let parsed = name(text).unwrap();
        assert_eq!((parsed.scheme.as_deref(), parsed.name.as_str(), parsed.port.as_deref()), (scheme, expected, port));
    }

    #[rstest]
    #[case("")]
    #[case(":")]
    #[case("::")]
    #[case("a:b:c:d")]
    #[case("ftp:web:80")]
    #[case("HTTPS:web:443")]
    #[case("web%3a80")]
    #[case("we b")]
    #[case("..%2fweb")]
    #[case("web/x")]
    #[case("w\u{435}b")]
    #[case("..")]
    #[case("http:.:80")]
    fn what_is_no_name_is_refused(#[case] text: &str) {
        assert_eq!(name(text), Err(ProxyError::Name));
    }

    #[rstest]
    #[case("/metrics", true)]
    #[case("", true)]
    #[case("/stats/summary", true)]
    #[case("/metrics/../exec/default/nginx/nginx", false)]
    #[case("/./metrics", false)]
    #[case("//metrics", false)]
    #[case("/metrics%2f..%2fexec", false)]
    #[case("/metrics\\..\\exec", false)]
    #[case("/metrics?x=1", false)]
    #[case("/metrics\u{200b}", false)]
    fn a_path_that_can_be_read_in_two_ways_is_refused(#[case] path: &str, #[case] plain: bool) {
        assert_eq!(check_path(path).is_ok(), plain);
    }

    proptest! {
        #[test]
        fn a_name_that_was_read_is_what_was_written(text in "(https?:)?[a-z0-9.-]{1,8}(:[a-z0-9]{0,5})?|\\PC{0,12}") {
            if let Ok(parsed) = name(&text) {
                // With a scheme there is always a port, if an empty one.
                let written: Vec<&str> = text.split(':').collect();
                prop_assert!(written.contains(&parsed.name.as_str()));
                prop_assert!(!parsed.name.contains(':'));
            }
        }
    }
}
