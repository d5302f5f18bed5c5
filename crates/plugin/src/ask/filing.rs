//! How a request is filed, or the same found, and what follows.

use std::collections::BTreeMap;

use api::names::NOBODY;
use api::objects::GROUP;
use api::{AccessRequest, AccessRequestSpec, UserInfo};
use decide::duration;
use decide::text::{safe, safe_lines, safe_word};
use kube::ResourceExt;

use super::error::AskError;
use super::flags::{Asking, DryRun, Filing};
use super::request::compose;
use super::waiting::{self, Wait};
use super::{same, secrets};
use crate::cluster::Cluster;
use crate::describe::{stored, summary};
use crate::terminal::Terminal;
use crate::terminal::kubectl::{self, Line, Next};
use crate::terminal::lines::Hint;
use crate::terminal::output::{self, ObjectFormat};

/// The flags, checked.
pub struct Terms {
    valid_for: Option<String>,
    reason: Option<String>,
    custom_keys: Option<BTreeMap<String, String>>,
    on_behalf_of: Option<String>,
    /// Whether a workload stands for one of its running pods.
    pub pin_pod: bool,
    new: bool,
    filing: Filing,
    wait: Option<Wait>,
    explain: bool,
}

/// What a verb asks for.
pub struct Ask {
    /// The verb, for the request's name.
    pub verb: &'static str,
    /// The door and where it leads.
    pub spec: AccessRequestSpec,
    /// What kubectl is run with, as far as that is known.
    pub words: Option<Vec<String>>,
}

impl Asking {
    /// Checks what was typed.
    ///
    /// # Errors
    /// When a duration or a key is none, or flags contradict each other.
    pub fn check(self) -> Result<Terms, AskError> {
        let Self {
            valid_for,
            reason,
            custom_keys: keys,
            on_behalf_of,
            pin_pod,
            new,
            filing,
            waiting,
            explain,
        } = self;
        if let Some(text) = &valid_for {
            duration::parse(text, duration::MAX_ACCESS).map_err(AskError::ValidFor)?;
        }
        let custom_keys = custom_keys(&keys)?;
        let wait = waiting.check()?;
        filing.check(wait)?;
        if wait.is_some_and(|wait| wait.run) && on_behalf_of.is_some() {
            return Err(AskError::Together {
                flag: "--run",
                other: "--on-behalf-of",
            });
        }
        Ok(Terms {
            valid_for,
            reason,
            custom_keys,
            on_behalf_of,
            pin_pod,
            new,
            filing,
            wait,
            explain,
        })
    }
}

impl Terms {
    /// Whether kubectl runs in the end.
    pub fn runs(&self) -> bool {
        self.wait.is_some_and(|wait| wait.run)
    }

    /// Files a request for what is asked for, or finds the same, and waits for it where that was
    /// asked for.
    ///
    /// # Errors
    /// When the server refuses, or cannot be asked; when it was waited for in vain.
    pub async fn file(
        self,
        ask: Ask,
        cluster: &Cluster,
        terminal: &mut Terminal<'_>,
    ) -> Result<Next, AskError> {
        let username = |user: String| UserInfo {
            username: Some(user),
            ..UserInfo::default()
        };
        let spec = AccessRequestSpec {
            user_info: self.on_behalf_of.clone().map(username),
            valid_for: self.valid_for,
            custom_keys: self.custom_keys,
            reason: self.reason,
            ..ask.spec
        };
        secrets::check(&spec, self.filing, terminal)?;
        let user = match self.on_behalf_of {
            Some(user) => user,
            None => cluster.whoami().await?.unwrap_or_else(|| NOBODY.to_owned()),
        };
        let request = compose(ask.verb, spec, &user, &cluster.namespace);
        if self.explain {
            return explain(&request, cluster, terminal).await;
        }
        let order = Order {
            request,
            filing: self.filing,
            wait: self.wait,
            words: ask.words,
        };
        if self.new || self.filing.dry_run != DryRun::None {
            return Box::pin(order.file(cluster, terminal)).await;
        }
        Box::pin(order.file_or_find(cluster, terminal)).await
    }
}

/// A request that is about to be filed, and what follows.
pub struct Order {
    /// The request.
    pub request: AccessRequest,
    /// How it is filed.
    pub filing: Filing,
    /// Whether it is waited for.
    pub wait: Option<Wait>,
    /// What kubectl is run with, as far as that is known.
    pub words: Option<Vec<String>>,
}

impl Order {
    /// Files the request, and goes on.
    ///
    /// # Errors
    /// When the server refuses, or cannot be asked; when it was waited for in vain.
    pub async fn file(
        self,
        cluster: &Cluster,
        terminal: &mut Terminal<'_>,
    ) -> Result<Next, AskError> {
        self.check(terminal)?;
        let filed = match self.filing.dry_run {
            DryRun::Client => self.request.clone(),
            DryRun::Server => cluster.create_request(&self.request, true).await?,
            DryRun::None => Box::pin(self.create(cluster)).await?,
        };
        let sentence = format!(
            "created accessrequest {}{}",
            shown_name(&filed),
            self.fate()
        );
        self.print(&filed, &sentence, terminal)?;
        if self.may_be_granted_at_once()
            // A watch is a large future.
            && let Some(granted) = Box::pin(waiting::granted_at_once(&filed, cluster)).await
        {
            writeln!(
                terminal.err,
                "{}",
                summary::granted(&granted, &terminal.now)
            )?;
        }
        self.go_on(filed, cluster, terminal).await
    }

    /// Stores the request, and makes sure that what was stored is what was sent; another one is
    /// deleted at once.
    async fn create(&self, cluster: &Cluster) -> Result<AccessRequest, AskError> {
        let stored = cluster.create_request(&self.request, false).await?;
        let differs = stored::request_differs(&self.request, &stored);
        if differs.is_empty() {
            return Ok(stored);
        }
        let deleted = cluster.delete_request(&stored).await.is_ok();
        let request = safe_word(&stored.name_any());
        let line = kubectl::told(cluster, Hint::DeleteAlteredRequest, &stored.name_any());
        let fate = stored::fate(deleted, &line);
        Err(AskError::Altered {
            request,
            differs,
            fate,
        })
    }

    /// What is to be done now, behind the name. Whoever waits reads that next.
    fn fate(&self) -> &'static str {
        match self.filing.dry_run {
            DryRun::None if self.wait.is_some() => "",
            DryRun::None => " (please wait for an admin to grant the permission)",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        }
    }

    /// Whether a policy may grant it, which whoever does not wait would not read: all that do want
    /// a reason or keys.
    fn may_be_granted_at_once(&self) -> bool {
        let says = self.request.spec.reason.is_some() || self.request.spec.custom_keys.is_some();
        says && self.wait.is_none()
            && self.filing.dry_run == DryRun::None
            && self.filing.output.is_none()
    }

    /// The same, unless a request for the same is there.
    async fn file_or_find(
        self,
        cluster: &Cluster,
        terminal: &mut Terminal<'_>,
    ) -> Result<Next, AskError> {
        self.check(terminal)?;
        let Some(found) = same::find(&self.request, cluster, terminal.now.timestamp()).await else {
            return self.file(cluster, terminal).await;
        };
        let sentence = summary::found(&found, &terminal.now);
        self.print(&found, &sentence, terminal)?;
        self.go_on(found, cluster, terminal).await
    }

    /// What must not be found out only after something was filed.
    fn check(&self, terminal: &Terminal<'_>) -> Result<(), AskError> {
        let Some(wait) = self.wait else { return Ok(()) };
        wait.patience(terminal)?;
        if wait.run && self.words.is_none() {
            Err(AskError::NothingToRun)
        } else {
            Ok(())
        }
    }

    async fn go_on(
        self,
        filed: AccessRequest,
        cluster: &Cluster,
        terminal: &mut Terminal<'_>,
    ) -> Result<Next, AskError> {
        let Some(wait) = self.wait else {
            return Ok(Next::Done);
        };
        // Of what is granted already she has read just now.
        if !same::is_granted(&filed) {
            let patience = wait.patience(terminal)?;
            // A watch is a large future.
            let granted =
                Box::pin(waiting::until_granted(&filed, patience, cluster, terminal)).await?;
            writeln!(
                terminal.err,
                "{}",
                summary::granted(&granted, &terminal.now)
            )?;
        }
        match self.words.map(|words| Line::new(words, cluster)) {
            Some(line) if wait.run => Ok(Next::Run(Box::new(line))),
            Some(line) => {
                writeln!(terminal.err, "  {}", line.shown())?;
                Ok(Next::Done)
            }
            None => Ok(Next::Done),
        }
    }

    /// Beside the output where that is kubectl's.
    fn print(
        &self,
        request: &AccessRequest,
        sentence: &str,
        terminal: &mut Terminal<'_>,
    ) -> Result<(), AskError> {
        let value = || output::value_of(request).map_err(AskError::Print);
        match self.filing.output {
            None if self.wait.is_some_and(|wait| wait.run) => writeln!(terminal.err, "{sentence}")?,
            None => writeln!(terminal.out, "{sentence}")?,
            Some(ObjectFormat::Name) => {
                writeln!(
                    terminal.out,
                    "accessrequest.{}/{}",
                    api::objects::GROUP,
                    shown_name(request)
                )?;
            }
            Some(ObjectFormat::Json) => {
                write!(
                    terminal.out,
                    "{}",
                    output::json(&value()?).map_err(AskError::Print)?
                )?;
            }
            Some(ObjectFormat::Yaml) => write!(terminal.out, "{}", output::yaml(&value()?))?,
        }
        Ok(())
    }
}

/// Sends the request as a dry run that is to be explained, and prints what the server says.
///
/// # Errors
/// When the server refuses, cannot be asked, or is one that explains nothing.
async fn explain(
    request: &AccessRequest,
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
) -> Result<Next, AskError> {
    let mut question = request.clone();
    question
        .annotations_mut()
        .insert(format!("{GROUP}/explain"), "true".to_owned());
    let answer = cluster.create_request(&question, true).await?;
    let explanation = answer.annotations().get(&format!("{GROUP}/explanation"));
    let explanation = explanation.ok_or(AskError::NoExplanation)?;
    let explanation = kubectl::led(cluster, &safe_lines(explanation.trim_end()));
    writeln!(terminal.out, "{explanation}")?;
    Ok(Next::Done)
}

/// `K=V,…`, as kubectl's flags of this kind: a text with one `=` is one pair, so that its value may
/// have commas.
fn custom_keys(given: &[String]) -> Result<Option<BTreeMap<String, String>>, AskError> {
    let mut keys = BTreeMap::new();
    for text in given {
        let pairs: Vec<&str> = if text.matches('=').count() == 1 {
            vec![text]
        } else {
            text.split(',').collect()
        };
        for pair in pairs {
            let bad = || AskError::CustomKey {
                text: pair.to_owned(),
            };
            let (key, value) = pair
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .ok_or_else(bad)?;
            if keys.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(AskError::CustomKeyTwice {
                    key: key.to_owned(),
                });
            }
        }
    }
    Ok((!keys.is_empty()).then_some(keys))
}

/// The name, or what the API server would begin it with.
fn shown_name(request: &AccessRequest) -> String {
    let generated = || {
        request
            .metadata
            .generate_name
            .as_ref()
            .map(|prefix| format!("{prefix}…"))
    };
    safe(
        &request
            .metadata
            .name
            .clone()
            .or_else(generated)
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn keys(given: &[&str]) -> Result<Option<BTreeMap<String, String>>, String> {
        let given: Vec<String> = given.iter().map(|&text| text.to_owned()).collect();
        custom_keys(&given).map_err(|error| error.to_string())
    }

    #[rstest]
    #[case(&["a=1,b=2"], &[("a", "1"), ("b", "2")])]
    #[case(&["a=1", "b=2"], &[("a", "1"), ("b", "2")])]
    #[case(&["why=this, and that"], &[("why", "this, and that")])]
    #[case(&["a="], &[("a", "")])]
    fn custom_keys_are_read_as_kubectl_reads_pairs(
        #[case] given: &[&str],
        #[case] expected: &[(&str, &str)],
    ) {
        let expected = expected
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        assert_eq!(keys(given), Ok(Some(expected)));
    }

    #[test]
    fn no_custom_keys_are_none() {
        assert_eq!(keys(&[]), Ok(None));
    }

    #[rstest]
    #[case(&["a"], "--custom-key a: write it as KEY=VALUE")]
    #[case(&["=1"], "--custom-key =1: write it as KEY=VALUE")]
    #[case(&["a=1,b=2,c"], "--custom-key c: write it as KEY=VALUE")]
    #[case(&["a=1", "a=2"], "--custom-key: a is given twice")]
    fn bad_custom_keys_are_refused(#[case] given: &[&str], #[case] message: &str) {
        assert_eq!(keys(given), Err(message.to_owned()));
    }
}
