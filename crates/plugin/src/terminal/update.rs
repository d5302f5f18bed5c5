//! Whether there is a newer version, where the user has this looked up. It is said on a terminal only,
//! once a day, from what was learnt before; a process of its own learns it. No command waits for it,
//! or fails because of it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use etcetera::BaseStrategy as _;
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Limited};
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use kube::{Client, Config};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::connect::proxy::Proxies;
use decide::text::safe_word;

/// Switches it on, with the value `1`: a plugin of kubectl asks nothing of the network by itself.
pub const ON: &str = "KUBECTL_REQUEST_UPDATE_CHECK";
/// Another place to ask, for mirrors: it answers as GitHub's releases do.
pub const URL: &str = "KUBECTL_REQUEST_UPDATE_URL";
/// The word with which we start ourselves to ask.
pub const WORD: &str = "__learn-latest-version";

const RELEASES: &str =
    "https://api.github.com/repos/kube-request-access/kube-request-access/releases/latest";
/// How often a newer version is looked for, and reported.
const CHECK_INTERVAL: SignedDuration = SignedDuration::from_hours(24);
/// Maximum size of an answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// How long the other process may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// What was learnt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Learnt {
    /// When it was last asked, whatever came of it.
    asked: Option<Timestamp>,
    /// When it was last said.
    said: Option<Timestamp>,
    /// The latest version.
    latest: Option<Version>,
}

/// A release, as GitHub tells it.
#[derive(Debug, Deserialize)]
struct Release {
    tag_name: String,
}

/// After a command: says on standard error what was learnt, and has it asked anew where a day has
/// passed.
pub fn after_command(watched: bool, now: Timestamp) {
    if !watched || std::env::var_os(ON).is_none_or(|value| value != "1") {
        return;
    }
    let Some(file) = cache() else { return };
    let before = read(&file);
    let mut learnt = before.clone();
    if let Some(notice) = notice(&learnt, env!("CARGO_PKG_VERSION"), now) {
        anstream::eprintln!("{notice}");
        learnt.said = Some(now);
    }
    let due = is_past(learnt.asked, now);
    if due {
        // Before it is asked: of several commands at once one asks.
        learnt.asked = Some(now);
    }
    let written = learnt == before || write(&file, &learnt).is_ok();
    if due && written {
        // Where it cannot be started, tomorrow will do.
        let _asking = ask_aside();
    }
}

/// In a process of its own: asks, and writes down what it learns.
///
/// # Errors
/// It could not be learnt or written down; nobody reads that.
pub async fn learn() -> Result<(), Box<dyn std::error::Error>> {
    let file = cache().ok_or("there is no place to write to")?;
    let latest = tokio::time::timeout(CHECK_TIMEOUT, latest()).await??;
    let learnt = Learnt {
        latest: Some(latest),
        ..read(&file)
    };
    Ok(write(&file, &learnt)?)
}

async fn latest() -> Result<Version, Box<dyn std::error::Error>> {
    let url: Uri = std::env::var(URL)
        .unwrap_or_else(|_unset| RELEASES.to_owned())
        .parse()?;
    let mut config = Config::new(url.clone());
    config.proxy_url = Proxies::from_env().for_server(&url, None)?;
    let agent = concat!("kubectl-request/", env!("CARGO_PKG_VERSION"));
    let request = Request::get(url.path())
        .header("user-agent", agent)
        .header("accept", "application/json");
    // The client puts the path behind the one of its URL.
    config.cluster_url = root(&url)?;
    let answer = Client::try_from(config)?
        .send(request.body(Body::empty())?)
        .await?;
    // Whoever holds that name may answer anything, and without an end.
    let body = Limited::new(answer.into_body(), MAX_ANSWER);
    let body = body.collect().await.map_err(io::Error::other)?;
    let release: Release = serde_json::from_slice(&body.to_bytes())?;
    Ok(plain(&release.tag_name).ok_or("the tag of the release is no version like 1.2.3")?)
}

/// A version of three numbers: nothing else is said to anybody.
fn plain(tag: &str) -> Option<Version> {
    let version = Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()?;
    (version.pre.is_empty() && version.build.is_empty()).then_some(version)
}

fn root(url: &Uri) -> Result<Uri, http::Error> {
    let (scheme, authority) = (
        url.scheme_str().unwrap_or("https"),
        url.authority().map_or("", |authority| authority.as_str()),
    );
    Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query("/")
        .build()
}

/// What is said, where something is to be said.
fn notice(learnt: &Learnt, own: &str, now: Timestamp) -> Option<String> {
    // What is stored was written by whoever can write there.
    let latest = &plain(&learnt.latest.as_ref()?.to_string())?;
    let own = Version::parse(own).ok()?;
    if *latest <= own || !is_past(learnt.said, now) {
        return None;
    }
    // A version is ASCII, and yet it came from elsewhere.
    let latest = safe_word(&latest.to_string());
    Some(format!(
        "kubectl request {latest} is available (you have {own}). Unset {ON} to turn this notice off"
    ))
}

fn is_past(last: Option<Timestamp>, now: Timestamp) -> bool {
    // One from the future is a clock that was turned: not waited for.
    last.is_none_or(|last| last > now || now.duration_since(last) >= CHECK_INTERVAL)
}

fn cache() -> Option<PathBuf> {
    Some(
        etcetera::choose_base_strategy()
            .ok()?
            .cache_dir()
            .join("kubectl-request/latest.json"),
    )
}

fn read(file: &Path) -> Learnt {
    std::fs::read(file)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

fn write(file: &Path, learnt: &Learnt) -> io::Result<()> {
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::write(file, serde_json::to_vec(learnt)?)
}

fn ask_aside() -> io::Result<()> {
    let mut asking = Command::new(std::env::current_exe()?);
    asking
        .arg(WORD)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    asking.spawn().map(drop)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn learnt(latest: &str, said: Option<&str>) -> Learnt {
        Learnt {
            asked: None,
            said: said.map(at),
            latest: Some(Version::parse(latest).unwrap()),
        }
    }

    #[rstest]
    #[case::newer("0.3.0", None, true)]
    #[case::newer_in_numbers("0.10.0", None, true)]
    #[case::the_same("0.2.0", None, false)]
    #[case::older("0.1.9", None, false)]
    #[case::said_today("0.3.0", Some("2026-01-02T00:00:01Z"), false)]
    #[case::said_yesterday("0.3.0", Some("2026-01-02T00:00:00Z"), true)]
    #[case::said_in_the_future("0.3.0", Some("2026-01-04T00:00:00Z"), true)]
    fn a_newer_version_is_told_once_a_day(
        #[case] latest: &str,
        #[case] said: Option<&str>,
        #[case] told: bool,
    ) {
        let notice = notice(&learnt(latest, said), "0.2.0", at("2026-01-03T00:00:00Z"));
        assert_eq!(notice.is_some(), told, "{notice:?}");
    }

    #[test]
    fn it_says_both_versions_and_how_to_switch_it_off() {
        let text = notice(&learnt("0.3.0", None), "0.2.0", at("2026-01-03T00:00:00Z")).unwrap();
        assert_eq!(
            text,
            "kubectl request 0.3.0 is available (you have 0.2.0). Unset KUBECTL_REQUEST_UPDATE_CHECK to turn this notice off"
        );
    }

    // P18
    #[rstest]
    #[case("v1.2.3", true)]
    #[case("1.2.3", true)]
    #[case("v1.2.3-RUN-THIS-NOW", false)]
    #[case("v1.2.3+see.evil.example", false)]
    #[case("\u{1b}[31m1.2.3", false)]
    #[case("latest", false)]
    fn a_version_is_three_numbers(#[case] tag: &str, #[case] taken: bool) {
        assert_eq!(plain(tag).is_some(), taken);
    }

    #[test]
    fn what_is_stored_may_be_anything() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("deep/latest.json");
        assert_eq!(read(&file), Learnt::default());
        write(&file, &learnt("0.3.0", None)).unwrap();
        assert_eq!(read(&file), learnt("0.3.0", None));
        for spoiled in ["", "[]", r#"{"latest": "\u001b[31m"}"#, r#"{"asked": 5}"#] {
            std::fs::write(&file, spoiled).unwrap();
            assert_eq!(read(&file), Learnt::default());
        }
    }

    #[test]
    fn the_root_of_a_url_has_its_port() {
        let url = "http://127.0.0.1:8080/repos/latest".parse().unwrap();
        assert_eq!(root(&url).unwrap(), "http://127.0.0.1:8080/");
    }
}
