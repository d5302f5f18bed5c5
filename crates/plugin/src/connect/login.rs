//! The login plugin of a kubeconfig's user, run as client-go runs it: once for a command, told
//! whether somebody can be asked and, where it wants to know, about the cluster; never with what is
//! piped into the command (client-go, `plugin/pkg/client/auth/exec`).
//!
//! kube runs it anew for each part of a connection, and hands it the standard input. So it is run
//! here, and kube gets what came of it.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, header::AUTHORIZATION};
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use kube::config::{ExecConfig, ExecInteractiveMode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use tower::filter::AsyncPredicate;

use super::kuberc::PluginPolicy;
use super::program::on_the_path;
use decide::text::{safe_lines, safe_word};

/// How long before its end a token is renewed.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_secs(10);

/// For whom a login plugin runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A command that somebody typed.
    Command,
    /// The completion of a line: whoever pressed Tab is asked nothing.
    Completion,
}

/// Why nobody is logged in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The user's preferences forbid the plugin.
    #[error("getting credentials: plugin {command} not allowed: {why}")]
    Forbidden {
        /// The program.
        command: String,
        /// Which rule forbids it.
        why: String,
    },
    /// The plugin asks, and nobody is there.
    #[error(
        "getting credentials: plugin {command} needs a terminal on the standard input (interactiveMode: Always)"
    )]
    NobodyToAsk {
        /// The program.
        command: String,
    },
    /// The plugin is not there, or cannot be started.
    #[error("getting credentials: cannot run {command}: {source}{}", told(hint))]
    Start {
        /// The program.
        command: String,
        /// What the kubeconfig says about installing it.
        hint: String,
        /// Why it did not start.
        source: io::Error,
    },
    /// The plugin failed.
    #[error("getting credentials: {command} failed with {status}")]
    Failed {
        /// The program.
        command: String,
        /// How it ended. What it said, it said itself.
        status: ExitStatus,
    },
    /// The plugin printed something else than credentials.
    #[error("getting credentials: what {command} printed is not understood: {why}")]
    Answer {
        /// The program.
        command: String,
        /// What is wrong with it.
        why: String,
    },
}

fn told(hint: &str) -> String {
    let text = safe_lines(hint.trim());
    if text.is_empty() {
        text
    } else {
        format!(": {text}")
    }
}

/// A login plugin, ready to run.
#[derive(Debug, Clone)]
pub struct Login {
    /// How the kubeconfig describes it.
    pub plugin: ExecConfig,
    /// Which plugins may run.
    pub policy: PluginPolicy,
    /// For whom it runs.
    pub purpose: Purpose,
}

/// What a plugin gave.
pub struct Credentials {
    /// Goes into a header.
    pub token: Option<SecretString>,
    /// A certificate and its key, in PEM.
    pub certificate: Option<(String, SecretString)>,
    /// When they end. `None`: they do not say.
    expires: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    api_version: Option<String>,
    kind: Option<String>,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<Timestamp>,
    token: Option<SecretString>,
    client_certificate_data: Option<String>,
    client_key_data: Option<SecretString>,
}

impl Login {
    /// Runs the plugin, and waits for it.
    ///
    /// # Errors
    /// When it may not run, cannot be started, fails, or prints no credentials.
    pub fn run(&self) -> Result<Credentials, LoginError> {
        let plugin = &self.plugin;
        let given = plugin.command.clone().unwrap_or_default();
        let command = safe_word(&given);
        let interactive = self.is_interactive(io::stdin().is_terminal());
        if plugin.interactive_mode == Some(ExecInteractiveMode::Always) && !interactive {
            return Err(LoginError::NobodyToAsk { command });
        }
        let program = find(&given).map_err(|source| self.not_started(source))?;
        if let Some(why) = self.policy.forbids(&given, &program) {
            return Err(LoginError::Forbidden { command, why });
        }
        let output = self
            .command(&program, interactive)
            .output()
            .map_err(|source| self.not_started(source))?;
        if !output.status.success() {
            let status = output.status;
            return Err(LoginError::Failed { command, status });
        }
        self.understood(&output.stdout)
            .map_err(|why| LoginError::Answer { command, why })
    }

    /// Whether the plugin may ask whoever sits at the terminal.
    fn is_interactive(&self, terminal: bool) -> bool {
        let mode = &self.plugin.interactive_mode;
        terminal && self.purpose == Purpose::Command && *mode != Some(ExecInteractiveMode::Never)
    }

    fn not_started(&self, source: io::Error) -> LoginError {
        LoginError::Start {
            command: safe_word(self.plugin.command.as_deref().unwrap_or_default()),
            hint: self.plugin.install_hint.clone().unwrap_or_default(),
            source,
        }
    }

    fn command(&self, program: &Path, interactive: bool) -> Command {
        let plugin = &self.plugin;
        let mut command = Command::new(program);
        command.args(plugin.args.iter().flatten());
        for variable in plugin.env.iter().flatten() {
            if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
                command.env(name, value);
            }
        }
        for name in plugin.drop_env.iter().flatten() {
            command.env_remove(name);
        }
        let spec = if plugin.provide_cluster_info {
            json!({"interactive": interactive, "cluster": plugin.cluster})
        } else {
            json!({"interactive": interactive})
        };
        let asked =
            json!({"kind": "ExecCredential", "apiVersion": plugin.api_version, "spec": spec});
        command.env("KUBERNETES_EXEC_INFO", asked.to_string());
        command.stdin(if interactive {
            Stdio::inherit()
        } else {
            Stdio::null()
        });
        command.stderr(match self.purpose {
            Purpose::Command => Stdio::inherit(),
            Purpose::Completion => Stdio::null(),
        });
        command.stdout(Stdio::piped());
        command
    }

    fn understood(&self, printed: &[u8]) -> Result<Credentials, String> {
        // YAML is a superset of JSON, and client-go takes both.
        let text = std::str::from_utf8(printed).map_err(|_error| "it is no text".to_owned())?;
        let answer: Answer = serde_saphyr::from_str(text)
            .map_err(|_secret| "it is no ExecCredential in JSON or YAML".to_owned())?;
        if answer.kind.as_deref() != Some("ExecCredential") {
            return Err("its kind is not ExecCredential".to_owned());
        }
        if answer.api_version != self.plugin.api_version {
            return Err(format!(
                "its apiVersion is {}, and the kubeconfig says {}",
                safe_word(answer.api_version.as_deref().unwrap_or_default()),
                safe_word(self.plugin.api_version.as_deref().unwrap_or_default())
            ));
        }
        let status = answer.status.ok_or("it has no status")?;
        let token = status
            .token
            .filter(|token| !token.expose_secret().is_empty());
        let certificate = match (status.client_certificate_data, status.client_key_data) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                return Err("it has only one of certificate and key".to_owned());
            }
        };
        if token.is_none() && certificate.is_none() {
            return Err("it has neither a token nor a certificate".to_owned());
        }
        Ok(Credentials {
            token,
            certificate,
            expires: status.expiration_timestamp,
        })
    }
}

/// The file of a command: as it is named where it is a path, else from the PATH.
fn find(command: &str) -> io::Result<PathBuf> {
    if Path::new(command).components().count() > 1 {
        return Ok(PathBuf::from(command));
    }
    on_the_path(command, std::env::var_os("PATH").as_deref()).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "none of the absolute directories on the PATH has it",
        )
    })
}

/// Puts the token of a plugin into each request, and runs the plugin again once it has ended, or was
/// refused, as client-go does it: the request that was refused is not sent again.
#[derive(Clone)]
pub struct Tokens {
    state: Arc<Mutex<State>>,
    refused: Arc<AtomicBool>,
}

struct State {
    login: Login,
    token: SecretString,
    expires: Option<Timestamp>,
}

impl Tokens {
    /// The layer of a client, where the plugin gave a token.
    pub fn of(login: Login, first: &Credentials) -> Option<Self> {
        let state = State {
            login,
            token: first.token.clone()?,
            expires: first.expires,
        };
        Some(Self {
            state: Arc::new(Mutex::new(state)),
            refused: Arc::default(),
        })
    }

    /// Takes note of an answer that the token is none.
    pub fn note<B>(&self, answer: Response<B>) -> Response<B> {
        if answer.status() == StatusCode::UNAUTHORIZED {
            self.refused.store(true, Ordering::Relaxed);
        }
        answer
    }

    async fn header(&self) -> Result<HeaderValue, tower::BoxError> {
        let mut state = self.state.lock().await;
        let refused = self.refused.swap(false, Ordering::Relaxed);
        if refused || is_over(state.expires, Timestamp::now()) {
            let login = state.login.clone();
            let renewed = tokio::task::spawn_blocking(move || login.run()).await??;
            state.token = renewed
                .token
                .ok_or("the login plugin gave no token any more")?;
            state.expires = renewed.expires;
        }
        let mut header = HeaderValue::try_from(format!("Bearer {}", state.token.expose_secret()))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

fn is_over(expires: Option<Timestamp>, now: Timestamp) -> bool {
    expires.is_some_and(|at| at.duration_since(now) <= RENEW_BEFORE)
}

impl AsyncPredicate<Request<Body>> for Tokens {
    type Future = BoxFuture<'static, Result<Request<Body>, tower::BoxError>>;
    type Request = Request<Body>;

    fn check(&mut self, mut request: Request<Body>) -> Self::Future {
        let tokens = self.clone();
        Box::pin(async move {
            let header = tokens.header().await?;
            request.headers_mut().insert(AUTHORIZATION, header);
            Ok(request)
        })
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use rstest::rstest;

    use super::*;

    const V1: &str = "client.authentication.k8s.io/v1";

    /// A plugin that writes down each run and what it is told, and its directory.
    fn plugin(answer: &str) -> (tempfile::TempDir, Login) {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("login");
        let shown = directory.path().display();
        fs::write(
            &program,
            format!(
                "#!/bin/sh\nprintf '%s\\n' \"$KUBERNETES_EXEC_INFO\" >> {shown}/told\ncat > {shown}/stdin\ncat <<'E'\n{answer}\nE\n"
            ),
        )
        .unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let plugin = ExecConfig {
            api_version: Some(V1.to_owned()),
            command: Some(program.to_string_lossy().into_owned()),
            ..ExecConfig::default()
        };
        let (policy, purpose) = (PluginPolicy::AllowAll, Purpose::Command);
        (
            directory,
            Login {
                plugin,
                policy,
                purpose,
            },
        )
    }

    fn answer(status: &str) -> String {
        format!(r#"{{"kind":"ExecCredential","apiVersion":"{V1}","status":{status}}}"#)
    }

    #[test]
    fn a_plugin_is_told_that_nobody_can_be_asked_and_gets_nothing_that_was_piped() {
        let (directory, mut login) = plugin(&answer(r#"{"token":"t"}"#));
        login.purpose = Purpose::Completion;
        let credentials = login.run().unwrap();
        assert_eq!(credentials.token.unwrap().expose_secret(), "t");
        let told = fs::read_to_string(directory.path().join("told")).unwrap();
        assert_eq!(
            told,
            format!(
                "{{\"kind\":\"ExecCredential\",\"apiVersion\":\"{V1}\",\"spec\":{{\"interactive\":false}}}}\n"
            )
        );
        assert_eq!(
            fs::read_to_string(directory.path().join("stdin")).unwrap(),
            ""
        );
    }

    #[test]
    fn a_plugin_that_wants_to_know_is_told_of_the_cluster() {
        let (directory, mut login) = plugin(&answer(r#"{"token":"t"}"#));
        login.purpose = Purpose::Completion;
        login.plugin.provide_cluster_info = true;
        login.plugin.cluster = Some(kube::config::ExecAuthCluster {
            server: Some("https://prod:6443".to_owned()),
            ..Default::default()
        });
        login.run().unwrap_or_else(|error| panic!("{error}"));
        let told = fs::read_to_string(directory.path().join("told")).unwrap();
        assert!(
            told.contains(r#""cluster":{"server":"https://prod:6443""#),
            "{told}"
        );
    }

    #[rstest]
    #[case::always(Some(ExecInteractiveMode::Always), Purpose::Command, true, true)]
    #[case::if_available(Some(ExecInteractiveMode::IfAvailable), Purpose::Command, true, true)]
    #[case::unsaid(None, Purpose::Command, true, true)]
    #[case::never(Some(ExecInteractiveMode::Never), Purpose::Command, true, false)]
    #[case::piped(Some(ExecInteractiveMode::IfAvailable), Purpose::Command, false, false)]
    #[case::tab(
        Some(ExecInteractiveMode::IfAvailable),
        Purpose::Completion,
        true,
        false
    )]
    fn somebody_can_be_asked_at_a_terminal_that_they_typed_a_command_into(
        #[case] mode: Option<ExecInteractiveMode>,
        #[case] purpose: Purpose,
        #[case] terminal: bool,
        #[case] interactive: bool,
    ) {
        let (_directory, mut login) = plugin("");
        login.plugin.interactive_mode = mode;
        login.purpose = purpose;
        assert_eq!(login.is_interactive(terminal), interactive);
    }

    #[test]
    fn a_plugin_that_must_ask_does_not_run_on_tab() {
        let (directory, mut login) = plugin(&answer(r#"{"token":"t"}"#));
        login.plugin.interactive_mode = Some(ExecInteractiveMode::Always);
        login.purpose = Purpose::Completion;
        let error = login.run().err().unwrap();
        assert!(matches!(error, LoginError::NobodyToAsk { .. }), "{error}");
        assert!(!directory.path().join("told").exists());
    }

    #[test]
    fn what_the_preferences_forbid_does_not_run() {
        let (directory, mut login) = plugin(&answer(r#"{"token":"t"}"#));
        login.policy = PluginPolicy::DenyAll("policy set to \"DenyAll\"".to_owned());
        let error = login.run().err().unwrap().to_string();
        assert!(
            error.ends_with("not allowed: policy set to \"DenyAll\""),
            "{error}"
        );
        assert!(!directory.path().join("told").exists());
    }

    #[rstest]
    #[case("", "its kind is not ExecCredential")]
    #[case("no: [", "it is no ExecCredential in JSON or YAML")]
    #[case("{\"kind\":\"Secret\"}", "its kind is not ExecCredential")]
    #[case(&answer("{}").replace("v1", "v2"), "its apiVersion is client.authentication.k8s.io/v2")]
    #[case(&answer("{}"), "it has neither a token nor a certificate")]
    #[case(&answer("{\"token\":\"\"}"), "it has neither a token nor a certificate")]
    #[case(&answer("{\"clientKeyData\":\"k\"}"), "it has only one of certificate and key")]
    #[case(&answer("{\"token\":\"t\",\"expirationTimestamp\":\"soon\"}"), "it is no ExecCredential")]
    fn what_is_no_answer_is_refused(#[case] printed: &str, #[case] why: &str) {
        let (_directory, mut login) = plugin(printed);
        login.purpose = Purpose::Completion;
        let error = login.run().err().unwrap().to_string();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn a_certificate_is_an_answer_too() {
        let printed = answer(r#"{"clientCertificateData":"c","clientKeyData":"k"}"#);
        let (_directory, mut login) = plugin(&printed);
        login.purpose = Purpose::Completion;
        let (certificate, key) = login.run().unwrap().certificate.unwrap();
        assert_eq!((certificate.as_str(), key.expose_secret()), ("c", "k"));
    }

    #[tokio::test]
    async fn a_token_is_used_until_it_ends_and_then_the_plugin_runs_again() {
        let (directory, mut login) = plugin(&answer(
            r#"{"token":"renewed","expirationTimestamp":"2999-01-01T00:00:00Z"}"#,
        ));
        login.purpose = Purpose::Completion;
        let state = State {
            login,
            token: SecretString::from("old"),
            expires: Some(Timestamp::UNIX_EPOCH),
        };
        let tokens = Tokens {
            state: Arc::new(Mutex::new(state)),
            refused: Arc::default(),
        };
        for _ in 0..3 {
            assert_eq!(tokens.header().await.unwrap(), "Bearer renewed");
        }
        let runs = || {
            let told = fs::read_to_string(directory.path().join("told")).unwrap();
            told.lines().count()
        };
        assert_eq!(runs(), 1);
        // Once for each time that it is refused.
        let answered = |code| Response::builder().status(code).body(()).unwrap();
        for (code, expected) in [(200, 1), (403, 1), (401, 2), (200, 2)] {
            tokens.note(answered(code));
            tokens.header().await.unwrap();
            assert_eq!(runs(), expected, "{code}");
        }
    }

    #[rstest]
    #[case(None, false)]
    #[case(Some(9), true)]
    #[case(Some(11), false)]
    #[case(Some(-1), true)]
    fn a_token_is_renewed_a_moment_before_it_ends(#[case] left: Option<i64>, #[case] over: bool) {
        let now = Timestamp::UNIX_EPOCH;
        let expires = left.map(|left| now.checked_add(SignedDuration::from_secs(left)).unwrap());
        assert_eq!(is_over(expires, now), over);
    }
}
