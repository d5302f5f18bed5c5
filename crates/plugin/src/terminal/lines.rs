//! The one maker of the lines that people are told to type: each leads where the plugin was led when
//! it told it.
//!
//! Which lines there are says [`Hint`]: one for each place of the code that tells one. A test runs
//! each of them, and another one finds lines that are made elsewhere.

use clap::ValueEnum;
use decide::argv;
use decide::text::safe;

use crate::connect::flags::ConnectionFlags;

/// A line that people are told to type, by the place that tells it. Each is told in one place only.
///
/// What it is about goes by its name alone where nothing is granted by it: a denial, revocation or
/// withdrawal of a later request of that name lets nobody in, and is read again first. What grants,
/// or answers without a question, is named with its UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Hint {
    /// What was typed is no name of a request.
    ListForNames,
    /// The request changed while an approver read it.
    ListAfterReading,
    /// The request changed before it was deleted.
    ListAfterDeleting,
    /// `approve` leaves out what it does not understand.
    ListOfLeftOut,
    /// `--yes` needs the UID, which `show` tells.
    ShowForUid,
    /// Somebody else's request, which can be read but not repeated.
    ShowAnothers,
    /// A use that may be lost.
    AgainAfterLoss,
    /// A request that gave no access, or gives none any more.
    AgainAfterWait,
    /// A request that nobody answered in time.
    WithdrawAfterWait,
    /// `revoke` of what gives no access yet.
    WithdrawPending,
    /// After or instead of `revoke`.
    DenyInsteadOfRevoke,
    /// `withdraw` of somebody else's request.
    DenyAnothers,
    /// `withdraw` of an emergency.
    DenyEmergency,
    /// `approve` of an emergency that nobody has reviewed.
    DenyGrantedEmergency,
    /// `withdraw` of what is granted.
    RevokeInsteadOfWithdraw,
    /// `approve` of what is granted.
    RevokeGranted,
    /// Nobody can be asked whether to grant it.
    ApproveWithYes,
    /// Nobody can be asked whether to deny it.
    DenyWithYes,
    /// Nobody can be asked whether it was reviewed.
    ReviewWithYes,
    /// Policies from what was observed.
    ReportPolicies,
    /// A request that was changed on its way, and could not be deleted.
    DeleteAlteredRequest,
    /// An answer that was changed on its way, and could not be deleted.
    DeleteAlteredGrant,
    /// An answer that is in the way of another.
    DeleteAnswer,
    /// No such context, or no current one.
    Contexts,
    /// No such cluster.
    Clusters,
    /// No such user.
    Users,
}

impl Hint {
    /// The words behind `kubectl`; `of`: what they are about.
    fn words(self, of: &str) -> Vec<String> {
        let words: &[&str] = match self {
            Self::ListForNames
            | Self::ListAfterReading
            | Self::ListAfterDeleting
            | Self::ListOfLeftOut => &["request", "list"],
            Self::ShowForUid | Self::ShowAnothers => &["request", "show", of],
            Self::AgainAfterLoss | Self::AgainAfterWait => &["request", "again", of],
            Self::WithdrawAfterWait | Self::WithdrawPending => &["request", "withdraw", of],
            Self::DenyInsteadOfRevoke
            | Self::DenyAnothers
            | Self::DenyEmergency
            | Self::DenyGrantedEmergency => &["request", "deny", of],
            Self::RevokeInsteadOfWithdraw | Self::RevokeGranted => &["request", "revoke", of],
            Self::ApproveWithYes => &["request", "approve", of, "--yes"],
            Self::DenyWithYes => &["request", "deny", of, "--yes"],
            Self::ReviewWithYes => &["request", "review", of, "--yes"],
            Self::ReportPolicies => &["request", "report", "--policies", of],
            Self::DeleteAlteredRequest => &["delete", "acr", of],
            Self::DeleteAlteredGrant | Self::DeleteAnswer => &["delete", "acg", of],
            Self::Contexts => &["config", "get-contexts"],
            Self::Clusters => &["config", "get-clusters"],
            Self::Users => &["config", "get-users"],
        };
        words.iter().map(|&word| word.to_owned()).collect()
    }

    /// The line, with what leads where these flags lead.
    pub fn line(self, of: &str, leads: &Leads<'_>) -> String {
        leads.line(&self.words(of))
    }

    /// A line about the kubeconfig itself, where no cluster is found in it.
    pub fn of_kubeconfig(self, flags: &ConnectionFlags) -> String {
        let flags = ConnectionFlags {
            kubeconfig: flags.kubeconfig.clone(),
            ..ConnectionFlags::default()
        };
        let leads = Leads {
            flags: &flags,
            namespace: None,
        };
        self.line("", &leads)
    }
}

/// What a line that is typed must name to lead where it should.
pub struct Leads<'a> {
    /// The connection flags, with the context where it must be named.
    pub flags: &'a ConnectionFlags,
    /// In which namespace.
    pub namespace: Option<&'a str>,
}

impl Leads<'_> {
    /// The line as it is typed into a shell, with what must be added to it in words:
    /// ` (and your --token)`. Secrets are left out.
    pub fn line(&self, words: &[String]) -> String {
        // Behind the word for us stands our verb, and behind delete the resource.
        let verbs = match words.first().map(String::as_str) {
            Some("request" | "delete" | "config") => 2,
            Some(_) | None => 1,
        };
        let (verbs, rest) = words.split_at(verbs.min(words.len()));
        let line: Vec<String> = std::iter::once("kubectl".to_owned())
            .chain(verbs.iter().cloned())
            .chain(self.flags())
            .chain(rest.iter().filter(|word| !word.is_empty()).cloned())
            .collect();
        format!("{}{}", safe(&argv::shell_line(&line)), self.left_out())
    }

    /// Lines of the server's, which knows its namespaces but none of our contexts, lead here too.
    pub fn lead(&self, text: &str) -> String {
        let lead = |row: &str| {
            let words = row.strip_prefix("  kubectl request ")?;
            let (verb, rest) = words.split_once(" -n ")?;
            let is_verb =
                !verb.is_empty() && verb.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            let here = Leads {
                flags: self.flags,
                namespace: None,
            };
            let flags = argv::shell_line(&here.flags());
            (is_verb && !flags.is_empty()).then(|| {
                format!(
                    "  kubectl request {verb} {flags} -n {rest}{}",
                    self.left_out()
                )
            })
        };
        let rows: Vec<String> = text
            .lines()
            .map(|row| lead(row).unwrap_or_else(|| row.to_owned()))
            .collect();
        rows.join("\n")
    }

    fn flags(&self) -> Vec<String> {
        let flags = ConnectionFlags {
            namespace: None,
            ..self.flags.clone()
        };
        self.namespace
            .iter()
            .flat_map(|namespace| ["-n".to_owned(), (*namespace).to_owned()])
            .chain(flags.words().into_iter().filter(|word| !is_secret(word)))
            .collect()
    }

    fn left_out(&self) -> String {
        let words = self.flags.words();
        let secrets: Vec<&str> = words
            .iter()
            .filter(|word| is_secret(word))
            .filter_map(|word| word.split('=').next())
            .collect();
        if secrets.is_empty() {
            String::new()
        } else {
            format!(" (and your {})", secrets.join(" and "))
        }
    }
}

/// Whether a word of the connection flags must not be shown.
fn is_secret(word: &str) -> bool {
    word.starts_with("--token=") || word.starts_with("--password=")
}
