//! The chat receiver: posts notices of kube-request-access to a chat's incoming webhook, as Slack,
//! Mattermost, Rocket.Chat and others take them: `{"text": "…"}`.
//!
//! It answers 200 once the chat has taken the message, else 502: then the server tries again.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Request, StatusCode, Uri, header};
use axum::routing::{get, post};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde::Deserialize;
use serde_json::json;

/// A notice is small.
const MAX_BODY: usize = 1 << 20;
/// So many characters of a notice's text are said, escaped: chats refuse messages that are too long
/// (Rocket.Chat takes 5,000), and then a long command would be a way not to be seen.
const MAX_TEXT_LEN: usize = 3000;
/// How long the chat may take; the server waits for ten seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// The chat.
pub struct Chat {
    url: Uri,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// Why there is no chat to post to.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The file with its URL.
    #[error("cannot read the URL of the incoming webhook from {path}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// What stands in it. It is a secret, and not shown.
    #[error("there is no http or https URL in {path}")]
    Url {
        /// The file.
        path: String,
    },
    /// The system's roots.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

impl Chat {
    /// The chat whose URL stands in a file: whoever knows it can post.
    ///
    /// # Errors
    /// No URL stands there, or TLS cannot be set up.
    pub fn from_file(path: &Path) -> Result<Self, ChatError> {
        let shown = || path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ChatError::File {
            path: shown(),
            source,
        })?;
        let url: Option<Uri> = text.trim().parse().ok();
        let url = url.filter(|url| {
            matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some()
        });
        Self::new(url.ok_or_else(|| ChatError::Url { path: shown() })?)
    }

    /// The chat at a URL.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(url: Uri) -> Result<Self, ChatError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        // Without TLS no roots are needed, and an image of nothing but the receiver has none.
        let config = match url.scheme_str() {
            Some("http") => config.with_root_certificates(RootCertStore::empty()),
            _ => config.with_platform_verifier()?,
        };
        let config = config.with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self {
            url,
            client: Client::builder(TokioExecutor::new()).build(connector),
        })
    }

    async fn say(&self, text: &str) -> Result<(), String> {
        let body = json!({ "text": text }).to_string();
        let request =
            Request::post(self.url.clone()).header(header::CONTENT_TYPE, "application/json");
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|why| why.to_string())?;
        let answer = tokio::time::timeout(PATIENCE, self.client.request(request)).await;
        match answer
            .map_err(|_elapsed| "it did not answer in time")?
            .map_err(|why| why.to_string())?
            .status()
        {
            status if status.is_success() => Ok(()),
            status => Err(format!("it answered {status}")),
        }
    }
}

/// Takes notices under any path but `/ready`.
pub fn router(chat: Chat) -> Router {
    Router::new()
        .route("/ready", get(StatusCode::OK))
        .fallback(post(receive))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Arc::new(chat))
}

/// What is read of a notice.
#[derive(Debug, Deserialize)]
struct Notice {
    text: String,
    approve: Option<String>,
    show: Option<String>,
    url: Option<String>,
}

async fn receive(
    State(chat): State<Arc<Chat>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(), (StatusCode, String)> {
    let kind = headers
        .get("ce-type")
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    if !kind.starts_with("com.spreadgroup.accessrequest.") {
        return Err((
            StatusCode::BAD_REQUEST,
            format!("ce-type {kind:?} is not of kube-request-access"),
        ));
    }
    let notice: Notice = serde_json::from_slice(&body).map_err(|why| {
        (
            StatusCode::BAD_REQUEST,
            format!("the body is not a notice: {why}"),
        )
    })?;
    chat.say(&message(&notice)).await.map_err(|why| {
        tracing::error!(kind, %why, "the chat did not take a message");
        (
            StatusCode::BAD_GATEWAY,
            format!("the chat did not take it: {why}"),
        )
    })
}

/// The message. What people wrote stands in a block of code, where chats look for no links and call
/// nobody, and cannot end it; what to type stands below, where nobody else can write.
fn message(notice: &Notice) -> String {
    let told = plain(&notice.text);
    let (said, is_whole) = cut(&told);
    let mut text = format!("```\n{said}\n```");
    let mut say = |label: &str, line: Option<&String>| {
        if let Some(line) = line {
            let _infallible = write!(text, "\n{label}: `{}`", plain(line));
        }
    };
    if !is_whole {
        say("That is not all of it, read it whole", notice.show.as_ref());
    }
    say("To approve", notice.approve.as_ref());
    if let Some(url) = &notice.url {
        // From the server's template, every name in it percent-encoded.
        let _infallible = write!(text, "\n{url}");
    }
    text
}

/// The beginning of a text that was made plain, and whether that is all. No `&amp;` is cut in two.
fn cut(plain: &str) -> (&str, bool) {
    let Some((end, _)) = plain.char_indices().nth(MAX_TEXT_LEN) else {
        return (plain, true);
    };
    let said = plain.get(..end).unwrap_or_default();
    let begun = said
        .rfind('&')
        .filter(|at| !said.get(*at..).unwrap_or_default().contains(';'));
    (begun.and_then(|at| said.get(..at)).unwrap_or(said), false)
}

/// Slack reads `<!channel>` and `<https://…|text>` in blocks of code too, and shows `&lt;` as `<`;
/// others show it as it is. Several spaces would push what is behind them to where a line of its
/// own begins.
fn plain(text: &str) -> String {
    let text = text.replace(['\r', '\n'], " ").replace("  ", " \u{2423}");
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('`', "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(text: &str) -> Notice {
        let approve = Some("kubectl request approve -n shop ask".to_owned());
        let show = Some("kubectl request show -n shop ask".to_owned());
        Notice {
            text: text.to_owned(),
            approve,
            show,
            url: Some("https://requests.example/ask".to_owned()),
        }
    }

    #[test]
    fn a_message_says_what_is_asked_how_to_approve_and_where_there_is_more() {
        let expected = "```\njane asks: [\"ls\"].\n```\nTo approve: `kubectl request approve -n shop ask`\n\
            https://requests.example/ask";
        assert_eq!(message(&notice("jane asks: [\"ls\"].")), expected);
        let bare = Notice {
            text: "Used.".to_owned(),
            approve: None,
            show: None,
            url: None,
        };
        assert_eq!(message(&bare), "```\nUsed.\n```");
    }

    #[test]
    fn nobody_is_called_nothing_is_linked_and_the_block_is_not_left() {
        let text = message(&notice(
            "<!channel> <https://evil.example|docs> ```\n@all & more",
        ));
        assert_eq!(text.matches("```").count(), 2);
        assert!(!text.contains('<') && !text.contains('>'), "{text}");
        assert!(
            text.contains(
                "&lt;!channel&gt; &lt;https://evil.example|docs&gt; ''' @all &amp; more\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn many_spaces_do_not_make_a_line() {
        let text = message(&notice(&format!(
            "jane asks.{}To approve: kubectl delete ns shop",
            " ".repeat(60)
        )));
        assert!(
            !text.contains("  ") && text.contains("jane asks. \u{2423} \u{2423}"),
            "{text}"
        );
    }

    #[test]
    fn a_long_command_is_cut_and_not_a_way_to_be_refused_by_the_chat() {
        let text = message(&notice(&format!("jane asks: {}", "x<".repeat(20_000))));
        assert!(text.chars().count() < 5000);
        let end = "\n```\nThat is not all of it, read it whole: `kubectl request show -n shop ask`\n\
            To approve: `kubectl request approve -n shop ask`\nhttps://requests.example/ask";
        assert!(text.ends_with(end), "{text}");
        for before in 0..8 {
            let (plain, most) = (
                plain(&format!(
                    "{}{}",
                    "x".repeat(before),
                    "&".repeat(MAX_TEXT_LEN)
                )),
                MAX_TEXT_LEN,
            );
            let (said, is_whole) = cut(&plain);
            assert!(
                said.ends_with(';') && !is_whole && said.chars().count() <= most,
                "{before}"
            );
        }
        assert!(cut(&"\u{e9}".repeat(MAX_TEXT_LEN)).1);
    }
}
