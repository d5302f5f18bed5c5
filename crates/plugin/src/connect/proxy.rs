//! Which proxy leads to the API server, by Go's rules (golang.org/x/net/http/httpproxy), which
//! kubectl follows.
//!
//! kube matches `NO_PROXY` against the address of the proxy instead of that of the server.

use std::net::IpAddr;

use http::Uri;
use http::uri::InvalidUri;
use ipnet::IpNet;

use decide::text::safe_word;

/// The variables of the environment that say which proxy to use.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    https: Option<String>,
    http: Option<String>,
    none: Option<String>,
}

/// Why a proxy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// Not a URL.
    #[error(
        "cannot use the proxy {}: it is not a URL like http://proxy:3128",
        safe_word(url)
    )]
    Malformed {
        /// What is configured.
        url: String,
        /// What is wrong with it.
        source: InvalidUri,
    },
}

impl Proxies {
    /// What the environment says, in capitals or not.
    pub fn from_env() -> Self {
        let read = |name: &str| {
            let value = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
            value(name).or_else(|| value(&name.to_lowercase()))
        };
        Self {
            https: read("HTTPS_PROXY"),
            http: read("HTTP_PROXY"),
            none: read("NO_PROXY"),
        }
    }

    /// The proxy for a server. One that the kubeconfig names is used whatever `NO_PROXY` says, as
    /// kubectl does.
    ///
    /// # Errors
    /// When what is configured is not a URL.
    pub fn for_server(
        &self,
        server: &Uri,
        configured: Option<&str>,
    ) -> Result<Option<Uri>, ProxyError> {
        let usual = if is_https(server) {
            &self.https
        } else {
            &self.http
        };
        let usual = usual.as_deref().filter(|_| !self.passes_by(server));
        configured.or(usual).map(parse).transpose()
    }

    fn passes_by(&self, server: &Uri) -> bool {
        let host = server
            .host()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_lowercase();
        let port = server
            .port_u16()
            .unwrap_or(if is_https(server) { 443 } else { 80 });
        let patterns = self
            .none
            .as_deref()
            .unwrap_or_default()
            .split(',')
            .map(str::trim);
        is_local(&host)
            || patterns
                .filter(|pattern| !pattern.is_empty())
                .any(|pattern| matches(pattern, &host, port))
    }
}

/// As Go, an address without a scheme is taken for one of an HTTP proxy.
fn parse(url: &str) -> Result<Uri, ProxyError> {
    let with_scheme = if url.contains("://") {
        url.to_owned()
    } else {
        format!("http://{url}")
    };
    with_scheme.parse().map_err(|source| ProxyError::Malformed {
        url: url.to_owned(),
        source,
    })
}

fn is_local(host: &str) -> bool {
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Whether one entry of `NO_PROXY` means this server: `*`, an address, a network, a domain with its
/// subdomains, or (with a dot in front) its subdomains alone; each but networks with a port or
/// without. A domain is none of an address: `.1` does not mean 10.0.0.1 (`domainMatch.match`).
fn matches(pattern: &str, host: &str, port: u16) -> bool {
    let pattern = pattern.to_lowercase();
    if pattern == "*" {
        return true;
    }
    let address: Option<IpAddr> = host.parse().ok();
    if let (Ok(network), Some(address)) = (pattern.parse::<IpNet>(), address) {
        return network.contains(&address);
    }
    let (name, wanted) = split_port(&pattern);
    if wanted.is_some_and(|wanted| wanted != port) {
        return false;
    }
    if let Ok(wanted) = name.parse::<IpAddr>() {
        return address == Some(wanted);
    }
    if address.is_some() {
        return false;
    }
    let domain = if name.starts_with("*.") {
        name.trim_start_matches('*')
    } else {
        name
    };
    match domain.strip_prefix('.') {
        Some(parent) => is_below(host, parent),
        None => host == domain || is_below(host, domain),
    }
}

/// `name:port`, `[address]:port`, or either alone.
fn split_port(pattern: &str) -> (&str, Option<u16>) {
    let bare = |name: &'_ str| name.trim_matches(['[', ']']).len();
    match pattern.rsplit_once(':') {
        // More colons without brackets are an IPv6 address.
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse() {
            Ok(port) => (name.trim_matches(['[', ']']), Some(port)),
            Err(_) => (pattern, None),
        },
        _ if bare(pattern) == pattern.len() => (pattern, None),
        _ => (pattern.trim_matches(['[', ']']), None),
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
}

/// Whether a URL asks for TLS.
pub(crate) fn is_https(url: &Uri) -> bool {
    url.scheme() == Some(&http::uri::Scheme::HTTPS)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn proxy(none: &str, server: &str) -> Option<String> {
        let proxies = Proxies {
            https: Some("http://proxy:3128".to_owned()),
            http: None,
            none: Some(none.to_owned()),
        };
        proxies
            .for_server(&server.parse().unwrap(), None)
            .unwrap()
            .map(|uri| uri.to_string())
    }

    #[rstest]
    #[case("*", "https://api.corp.com")]
    #[case("api.corp.com", "https://api.corp.com:6443")]
    #[case("corp.com", "https://api.corp.com:6443")]
    #[case(".corp.com", "https://api.corp.com:6443")]
    #[case("*.corp.com", "https://api.corp.com:6443")]
    #[case("API.Corp.com", "https://api.corp.com:6443")]
    #[case("other, api.corp.com:6443,", "https://api.corp.com:6443")]
    #[case("corp.com:443", "https://api.corp.com")]
    #[case("10.0.0.1", "https://10.0.0.1:6443")]
    #[case("10.0.0.0/8", "https://10.1.2.3:6443")]
    #[case("fd00::/8", "https://[fd00::1]:6443")]
    #[case("fd00::1", "https://[fd00::1]:6443")]
    #[case("[fd00::1]:6443", "https://[fd00::1]:6443")]
    #[case("", "https://localhost:6443")]
    #[case("", "https://127.0.0.1:6443")]
    #[case("", "https://[::1]:6443")]
    fn a_server_that_no_proxy_names_is_asked_directly(#[case] none: &str, #[case] server: &str) {
        assert_eq!(proxy(none, server), None);
    }

    #[rstest]
    // The trap: this names the proxy, not the server.
    #[case("proxy", "https://api.corp.com:6443")]
    #[case("proxy:3128", "https://api.corp.com:6443")]
    #[case("", "https://api.corp.com:6443")]
    #[case(",", "https://api.corp.com:6443")]
    #[case("api.corp.com:443", "https://api.corp.com:6443")]
    #[case(".api.corp.com", "https://api.corp.com")]
    #[case("rp.com", "https://api.corp.com")]
    #[case("11.0.0.0/8", "https://10.1.2.3:6443")]
    #[case("10.1.2.3/8/8", "https://10.1.2.3:6443")]
    #[case::a_domain_is_none_of_an_address(".1", "https://10.0.0.1:6443")]
    #[case::a_domain_is_none_of_an_address("0.1", "https://10.0.0.1:6443")]
    #[case::a_domain_is_none_of_an_address("*.0.1", "https://10.0.0.1:6443")]
    #[case::a_domain_is_none_of_an_address("1:6443", "https://10.0.0.1:6443")]
    #[case("*corp.com", "https://api.corp.com")]
    fn any_other_server_is_asked_through_the_proxy(#[case] none: &str, #[case] server: &str) {
        assert_eq!(proxy(none, server).as_deref(), Some("http://proxy:3128/"));
    }

    #[test]
    fn the_proxy_of_the_kubeconfig_is_used_whatever_no_proxy_says() {
        let proxies = Proxies {
            none: Some("*".to_owned()),
            ..Proxies::default()
        };
        let uri = proxies
            .for_server(&"https://api".parse().unwrap(), Some("socks5://sock:1080"))
            .unwrap();
        assert_eq!(uri.unwrap().to_string(), "socks5://sock:1080/");
    }

    #[test]
    fn a_proxy_for_https_is_not_one_for_http() {
        assert_eq!(proxy("", "http://api.corp.com"), None);
    }

    #[test]
    fn a_proxy_that_is_no_url_is_refused() {
        let message = Proxies::default()
            .for_server(&"https://api".parse().unwrap(), Some("a b"))
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "cannot use the proxy \"a b\": it is not a URL like http://proxy:3128"
        );
    }
}
