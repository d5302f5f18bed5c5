//! The proxies of pods, services and nodes, which nobody can ask for: neither method nor query of
//! what goes through is visible to admission. A policy may let somebody through to exact paths.

use crate::text::is_hidden;

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

/// Whose proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyResource {
    /// `pods/proxy`
    Pods,
    /// `services/proxy`
    Services,
    /// `nodes/proxy`, which is in no namespace
    Nodes,
}

impl ProxyResource {
    /// By the plural.
    pub fn of(resource: &str) -> Option<Self> {
        match resource {
            "pods" => Some(Self::Pods),
            "services" => Some(Self::Services),
            "nodes" => Some(Self::Nodes),
            _ => None,
        }
    }
}

/// What a policy lets somebody through to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyRule {
    /// Whose proxy.
    pub resource: ProxyResource,
    /// On which ports, as they stand in the name. Empty: only without one.
    pub ports: Vec<String>,
    /// Which paths.
    pub paths: Vec<ProxyPath>,
}

/// Where the kubelet listens.
const KUBELET: &str = "10250";

impl ProxyRule {
    /// Whether it lets through to a path on a port. Of a node only the kubelet's own is meant:
    /// behind others anything of the node may listen.
    pub fn leads_to(&self, resource: ProxyResource, port: Option<&str>, path: &str) -> bool {
        let port = match (resource, port) {
            (ProxyResource::Nodes, port) => port.is_none_or(|port| port == KUBELET),
            (ProxyResource::Pods | ProxyResource::Services, None) => self.ports.is_empty(),
            (ProxyResource::Pods | ProxyResource::Services, Some(port)) => {
                self.ports.iter().any(|known| known == port)
            }
        };
        resource == self.resource && port && self.paths.iter().any(|rule| rule.leads_to(path))
    }
}

/// Paths behind a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyPath {
    /// This one.
    Exactly(String),
    /// All below this one, which ends in a slash.
    Below(String),
}

/// What may be let through behind the proxy of a node: there the kubelet also runs commands.
const OF_NODES: [&str; 6] = [
    "/metrics",
    "/metrics/*",
    "/stats/*",
    "/healthz",
    "/pods",
    "/configz",
];

/// Why paths cannot be let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyPathError {
    /// Not a path.
    #[error(
        "it must begin with a slash, mean one thing (no //, ., .. or %), and have a star only behind the last slash"
    )]
    Path,
    /// Everything.
    #[error("it is every path: name what is needed")]
    Everything,
    /// Where the kubelet does more than tell.
    #[error("of a node only {} may be let through", OF_NODES.join(", "))]
    OfNode,
}

impl ProxyPath {
    /// Reads `/metrics`, or `/metrics/*` for all below it.
    ///
    /// # Errors
    /// It means more or less than that.
    pub fn read(text: &str, resource: ProxyResource) -> Result<Self, ProxyPathError> {
        let base = text.strip_suffix("/*");
        let plain = base.unwrap_or(text);
        if base == Some("") {
            return Err(ProxyPathError::Everything);
        }
        if !plain.starts_with('/') || plain.contains('*') || check_path(plain).is_err() {
            return Err(ProxyPathError::Path);
        }
        if resource == ProxyResource::Nodes && !OF_NODES.contains(&text) {
            return Err(ProxyPathError::OfNode);
        }
        Ok(base.map_or_else(
            || Self::Exactly(text.to_owned()),
            |base| Self::Below(format!("{base}/")),
        ))
    }

    /// Whether a path, which was checked, is this one or below it.
    pub fn leads_to(&self, path: &str) -> bool {
        match self {
            Self::Exactly(exactly) => exactly == path,
            Self::Below(base) => path.starts_with(base.as_str()) && path.len() > base.len(),
        }
    }
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
    let word = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
    };
    let known = scheme.is_none_or(|scheme| matches!(scheme, "" | "http" | "https"));
    let way_up = matches!(name, "." | "..");
    if name.is_empty() || way_up || !word(name) || !known || !port.is_none_or(word) {
        return Err(ProxyError::Name);
    }
    Ok(ProxyName {
        scheme: scheme.and_then(some),
        name: name.to_owned(),
        port: port.and_then(some),
    })
}

/// Checks that a path, as the API server has decoded it once, means one thing: no `..`, no `//`,
/// nothing encoded.
///
/// # Errors
/// It could be read in another way behind the proxy.
pub fn check_path(path: &str) -> Result<(), ProxyError> {
    let dots = path.split('/').any(|part| part == "." || part == "..");
    // Some servers take what follows a `;` away before they look at the dots.
    let hidden = path
        .chars()
        .any(|c| is_hidden(c) || matches!(c, '%' | '\\' | '?' | '#' | ';'));
    if dots || hidden || path.contains("//") {
        Err(ProxyError::Path)
    } else {
        Ok(())
    }
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
        assert_eq!(
            (
                parsed.scheme.as_deref(),
                parsed.name.as_str(),
                parsed.port.as_deref()
            ),
            (scheme, expected, port)
        );
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

    #[rstest]
    #[case("/metrics", ProxyResource::Nodes, true)]
    #[case("/stats/*", ProxyResource::Nodes, true)]
    #[case("/exec/*", ProxyResource::Nodes, false)]
    #[case("/run", ProxyResource::Nodes, false)]
    #[case("/stats", ProxyResource::Nodes, false)]
    #[case("/*", ProxyResource::Pods, false)]
    #[case("", ProxyResource::Pods, false)]
    #[case("metrics", ProxyResource::Pods, false)]
    #[case("/a*", ProxyResource::Pods, false)]
    #[case("/*/a", ProxyResource::Pods, false)]
    #[case("/a/../b", ProxyResource::Pods, false)]
    #[case("/a//b", ProxyResource::Services, false)]
    #[case("/a%2fb", ProxyResource::Services, false)]
    #[case("/a/..;/b", ProxyResource::Services, false)]
    #[case("/api/v1/*", ProxyResource::Services, true)]
    #[case("/", ProxyResource::Pods, true)]
    fn only_paths_that_mean_one_thing_and_not_everything_may_be_let_through(
        #[case] text: &str,
        #[case] resource: ProxyResource,
        #[case] taken: bool,
    ) {
        assert_eq!(ProxyPath::read(text, resource).is_ok(), taken);
    }

    #[rstest]
    #[case("/metrics", "/metrics", true)]
    #[case("/metrics", "/metrics/", false)]
    #[case("/metrics", "/metricsx", false)]
    #[case("/a/*", "/a/b", true)]
    #[case("/a/*", "/a/b/c", true)]
    #[case("/a/*", "/a/", false)]
    #[case("/a/*", "/a", false)]
    #[case("/a/*", "/ab", false)]
    fn a_path_leads_to_itself_or_below(
        #[case] rule: &str,
        #[case] path: &str,
        #[case] leads: bool,
    ) {
        assert_eq!(
            ProxyPath::read(rule, ProxyResource::Pods)
                .unwrap()
                .leads_to(path),
            leads
        );
    }

    #[rstest]
    #[case(ProxyResource::Nodes, &[], None, true)]
    #[case(ProxyResource::Nodes, &[], Some("10250"), true)]
    #[case(ProxyResource::Nodes, &["9100"], Some("9100"), false)]
    #[case(ProxyResource::Pods, &[], None, true)]
    #[case(ProxyResource::Pods, &[], Some("80"), false)]
    #[case(ProxyResource::Pods, &["80"], Some("80"), true)]
    #[case(ProxyResource::Pods, &["80"], Some("8080"), false)]
    #[case(ProxyResource::Services, &["http"], None, false)]
    fn a_rule_is_for_its_ports(
        #[case] resource: ProxyResource,
        #[case] ports: &[&str],
        #[case] port: Option<&str>,
        #[case] leads: bool,
    ) {
        let ports = ports.iter().map(|&port| port.to_owned()).collect();
        let rule = ProxyRule {
            resource,
            ports,
            paths: vec![ProxyPath::Exactly("/metrics".to_owned())],
        };
        assert_eq!(rule.leads_to(resource, port, "/metrics"), leads);
        assert!(!rule.leads_to(resource, port, "/other"));
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
