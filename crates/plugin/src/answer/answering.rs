//! What `grant`, `approve`, `deny` and `review` have in common: read a request, ask, and store the
//! answer to what was read.

use std::io;

use api::{AccessGrant, AccessGrantSpec, AccessRequest, GrantStatus, Phase};
use decide::duration::{self, DurationError, MAX_ACCESS};
use jiff::Zoned;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};

use crate::answer::named::{AnotherUid, BadName, Named, Tally};
use crate::cluster::said::Told;
use crate::cluster::{Cluster, ClusterError, Me};
use crate::describe::history;
use crate::describe::reading;
use crate::describe::stored;
use crate::describe::summary;
use crate::describe::words;
use crate::terminal::kubectl;
use crate::terminal::lines::Hint;
use crate::terminal::{Reply, Terminal};
use api::convert::is_answer_to;
use api::names;
use decide::text::{safe, safe_word};

/// An answer before it is stored.
pub struct Answer {
    /// Granted, denied or reviewed.
    pub status: GrantStatus,
    /// A shorter validity than was asked for.
    pub valid_for: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What it is called.
    pub naming: Naming,
}

/// What an answer is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// After the request, as in the original. Where another answer has that name and there is room
    /// beside it, after the approver too.
    Original,
    /// After the request and the approver.
    PerApprover,
}

/// Why nothing was answered.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The server refused, or could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Not the name of any request.
    #[error(transparent)]
    BadName(#[from] BadName),
    /// Not a number of the list.
    #[error(
        "{} is not in the list: type numbers from 1 to {last}, or 'all'. Nothing was stored",
        safe_word(text)
    )]
    NotInList {
        /// What was typed.
        text: String,
        /// The last number.
        last: usize,
    },
    /// Somebody denied it.
    #[error(
        "request {name} was denied {how}. A denial is final: {} can file a new request",
        user
    )]
    Denied {
        /// Name of the request.
        name: String,
        /// By whom, when and why.
        how: String,
        /// Who asked.
        user: String,
    },
    /// It is granted.
    #[error("request {name} is granted already, by {by}. To end the access: {end}")]
    Granted {
        /// Name of the request.
        name: String,
        /// Who granted it.
        by: String,
        /// What to type to end it.
        end: String,
    },
    /// No policy for emergencies granted it.
    #[error(
        "request {name} was not granted by a policy for emergencies: there is nothing to review"
    )]
    NoEmergency {
        /// Name of the request.
        name: String,
    },
    /// Somebody reviewed it.
    #[error("request {name} was reviewed already, {how}")]
    Reviewed {
        /// Name of the request.
        name: String,
        /// By whom, when and what she remarked.
        how: String,
    },
    /// It was good for one use.
    #[error("request {name} was for a single use and is used up. {user} can file a new request")]
    Used {
        /// Name of the request.
        name: String,
        /// Who asked.
        user: String,
    },
    /// Its time is over.
    #[error("the access of request {name} is over. {user} can file a new request")]
    Expired {
        /// Name of the request.
        name: String,
        /// Who asked.
        user: String,
    },
    /// It is being deleted.
    #[error("request {name} is being deleted. {user} can file a new request")]
    Leaving {
        /// Name of the request.
        name: String,
        /// Who asked.
        user: String,
    },
    /// Between the question and the answer the request was deleted, and perhaps another took its
    /// name.
    #[error("request {name} was deleted while you read it; nothing was stored. See '{list}'")]
    Changed {
        /// Name of the request.
        name: String,
        /// What tells what there is now.
        list: String,
    },
    /// An answer of that name is there.
    #[error(
        "request {request} is {what} already, by {by} (accessgrant {grant}). To take that back: {line}"
    )]
    Answered {
        /// Name of the request.
        request: String,
        /// `granted`, `denied` or `reviewed`.
        what: &'static str,
        /// By whom.
        by: String,
        /// Name of the answer.
        grant: String,
        /// What deletes it.
        line: String,
    },
    /// An answer of that name is there, to another request that had the same name.
    #[error(
        "accessgrant {grant} answers an earlier request of the same name. Delete it, and try again: {line}"
    )]
    AnsweredAnother {
        /// Name of the answer.
        grant: String,
        /// What deletes it.
        line: String,
    },
    /// Something between us and the store changed the answer.
    #[error(
        "WHAT WAS STORED IS NOT WHAT YOU ANSWERED: another admission webhook or policy of this cluster changed \
         accessgrant {grant} ({differs}). {fate}. Tell whoever runs the cluster",
        differs = differs.join("; ")
    )]
    Altered {
        /// Name of the answer.
        grant: String,
        /// What differs.
        differs: Vec<String>,
        /// What became of it.
        fate: String,
    },
    /// `--valid-for` is not a duration that we take.
    #[error("--valid-for: {0}")]
    ValidFor(#[source] DurationError),
    /// `--valid-for` is longer than what is asked for.
    #[error("--valid-for: {given} is longer than the {asked} that request {name} asks for")]
    Longer {
        /// What was given.
        given: String,
        /// What is asked for.
        asked: String,
        /// Name of the request.
        name: String,
    },
    /// The approver chose none from the list.
    #[error("nothing was stored: none was chosen")]
    NotChosen,
    /// The approver did not say yes.
    #[error("nothing was stored: only y or Y, typed after the question, is a yes")]
    NotConfirmed,
    /// What was drawn is not what stands there.
    #[error(
        "nothing was stored: the screen became smaller while the question stood, and breaks what stands above it anew. \
         Repeat the command"
    )]
    Shrank,
    /// Nobody can be asked.
    #[error(
        "nothing was stored: there is no terminal to read the question and answer it. Read the request first, then name \
         exactly what was read: {line}"
    )]
    NobodyAsked {
        /// What to type.
        line: String,
    },
    /// `--yes` for something that may be another by now.
    #[error(
        "--yes needs the UID of what was read: nothing was stored. Read it with '{show}', which tells what to type"
    )]
    YesToWhat {
        /// What to type.
        show: String,
    },
    /// A later version filed it, with fields that this one drops.
    #[error(
        "request {name} also sets {}, which this version of the plugin does not know and cannot show: nothing was stored. \
         Use a plugin of the server's version",
        fields.join(", ")
    )]
    Unknown {
        /// Name of the request.
        name: String,
        /// The fields.
        fields: Vec<String>,
    },
    /// The name is another request's by now.
    #[error(transparent)]
    AnotherUid(#[from] AnotherUid),
    /// The request could not be printed.
    #[error("cannot print the request")]
    Print(#[source] serde_json::Error),
    /// A stream failed.
    #[error("cannot talk to the terminal")]
    Terminal(#[from] io::Error),
}

impl Told for AnswerError {
    fn said_by_cluster(&self) -> Option<&ClusterError> {
        if let Self::Cluster(said) = self {
            Some(said)
        } else {
            None
        }
    }
}

impl Answer {
    /// Shows each request, asks unless `yes` is given, and stores the answer; one that fails does not keep the others
    /// from being answered.
    ///
    /// # Errors
    /// A name that is none, and any request that could not be answered.
    pub async fn each(
        &self,
        requests: &[String],
        yes: bool,
        cluster: &Cluster,
        terminal: &mut Terminal<'_>,
    ) -> Result<(), AnswerError> {
        let mut tally = Tally::default();
        for named in Named::all(requests, cluster).map_err(AnswerError::BadName)? {
            let answered = self.one(&named, yes, &named.place(cluster), terminal).await;
            tally
                .note(answered, terminal)
                .map_err(AnswerError::Terminal)?;
        }
        tally.end()
    }

    async fn one(
        &self,
        named: &Named,
        yes: bool,
        cluster: &Cluster,
        terminal: &mut Terminal<'_>,
    ) -> Result<(), AnswerError> {
        let request = self.read(cluster, named, yes, &terminal.now).await?;
        if self.status == GrantStatus::Reviewed {
            // What became of it. Whoever may not see the answers reads what the status says.
            let grants = cluster
                .grants_of(&request.name_any())
                .await
                .unwrap_or_default();
            writeln!(
                terminal.out,
                "{}",
                summary::standing(&request, &grants, &terminal.now, terminal.draws())
            )?;
        }
        let summary = reading::summary(&request, None, cluster, terminal).await;
        write!(terminal.out, "{summary}")?;
        if !yes {
            self.confirm(cluster, terminal, &request).await?;
        }
        self.store(cluster, terminal, &request).await
    }

    /// Reads the request, and refuses what cannot be answered so any more. `yes`: nobody is asked.
    ///
    /// # Errors
    /// When there is no such request, it is another one than was named, nobody named exactly one, it is decided, or `valid_for` does not fit.
    pub async fn read(
        &self,
        cluster: &Cluster,
        named: &Named,
        yes: bool,
        now: &Zoned,
    ) -> Result<AccessRequest, AnswerError> {
        self.check_duration()?;
        // A denial of another one than was meant lets nobody in.
        if yes && named.uid.is_none() && self.status != GrantStatus::Denied {
            let show = kubectl::told(cluster, Hint::ShowForUid, &named.name);
            return Err(AnswerError::YesToWhat { show });
        }
        let whole = cluster.whole(&named.name).await?;
        named.check_uid(&whole.request)?;
        let unknown = whole.unknown();
        // A denial lets nobody in, whatever else it denies.
        if !unknown.is_empty() && self.status != GrantStatus::Denied {
            return Err(AnswerError::Unknown {
                name: safe_word(&named.name),
                fields: unknown.iter().map(|field| safe_word(field)).collect(),
            });
        }
        self.refuse_decided(&whole.request, cluster, now)?;
        self.refuse_longer(&whole.request)?;
        Ok(whole.request)
    }

    /// Asks, and makes sure that what was read is still what is there.
    ///
    /// # Errors
    /// When the answer is not yes, or the request was deleted or decided meanwhile.
    pub async fn confirm(
        &self,
        cluster: &Cluster,
        terminal: &mut Terminal<'_>,
        request: &AccessRequest,
    ) -> Result<(), AnswerError> {
        match terminal.ask(&self.question(cluster))? {
            Reply::Yes => self.check_unchanged(cluster, terminal, request).await,
            Reply::No => Err(AnswerError::NotConfirmed),
            Reply::Shrank => Err(AnswerError::Shrank),
            Reply::NobodyAsked => Err(AnswerError::NobodyAsked {
                line: self.again_with_yes(cluster, request),
            }),
        }
    }

    /// The question about one request, which stands right above it.
    fn question(&self, cluster: &Cluster) -> String {
        let asked = match self.status {
            GrantStatus::Granted => "Grant access to the request above",
            GrantStatus::Denied => "Deny the request above",
            GrantStatus::Reviewed => "Have you reviewed the emergency above",
        };
        format!("{asked}, {} ([yN])?", cluster.place())
    }

    /// The line that answers so without a question.
    pub(super) fn again_with_yes(&self, cluster: &Cluster, request: &AccessRequest) -> String {
        let hint = match self.status {
            GrantStatus::Granted => Hint::ApproveWithYes,
            GrantStatus::Denied => Hint::DenyWithYes,
            GrantStatus::Reviewed => Hint::ReviewWithYes,
        };
        kubectl::told(cluster, hint, &words::exactly(request))
    }

    /// Makes sure that what was read is still what is there.
    ///
    /// # Errors
    /// When the request was deleted or decided meanwhile.
    pub async fn check_unchanged(
        &self,
        cluster: &Cluster,
        terminal: &Terminal<'_>,
        request: &AccessRequest,
    ) -> Result<(), AnswerError> {
        let changed = || AnswerError::Changed {
            name: safe_word(&request.name_any()),
            list: kubectl::told(cluster, Hint::ListAfterReading, ""),
        };
        match cluster.request(&request.name_any()).await {
            Ok(now) if now.uid() == request.uid() => {
                self.refuse_decided(&now, cluster, &terminal.now)
            }
            Ok(_another) => Err(changed()),
            Err(error) if error.is_not_found() => Err(changed()),
            Err(error) => Err(error.into()),
        }
    }

    /// Stores the answer to exactly this request, and says so.
    ///
    /// # Errors
    /// When there is an answer already, the server refuses, or cannot be asked.
    pub async fn store(
        &self,
        cluster: &Cluster,
        terminal: &mut Terminal<'_>,
        request: &AccessRequest,
    ) -> Result<(), AnswerError> {
        let (prefix, name) = (self.prefix(), request.name_any());
        let me = match self.naming {
            Naming::Original => None,
            Naming::PerApprover => cluster.me().await?,
        };
        let shared = names::answer_name(prefix, &name);
        let own = |me: &Me| names::approver_name(prefix, &name, me.name());
        let first = self.compose(request, &me.as_ref().map_or(shared, own));
        let refused = match cluster.create_grant(&first).await {
            Ok(stored) => return settled(cluster, terminal, request, (&first, &stored)).await,
            Err(error) if error.is_already_exists() => error,
            Err(error) => return Err(error.into()),
        };
        let there = cluster.grant(&first.name_any()).await.ok();
        let me = if me.is_none() {
            cluster.me().await?
        } else {
            None
        };
        let beside = me.filter(|me| {
            there
                .as_ref()
                .is_some_and(|there| self.has_room_beside(there, request, me))
        });
        let Some(me) = beside else {
            return Err(explain(there.as_ref(), request, cluster, refused));
        };
        let second = self.compose(request, &own(&me));
        let stored = cluster.create_grant(&second).await?;
        settled(cluster, terminal, request, (&second, &stored)).await
    }

    fn prefix(&self) -> &'static str {
        match self.status {
            GrantStatus::Granted => "grant-",
            GrantStatus::Denied => "deny-",
            GrantStatus::Reviewed => "review-",
        }
    }

    /// Whether another answer leaves something to say: a grant by somebody else where several are
    /// required, or a denial where there is none of this request.
    fn has_room_beside(&self, there: &AccessGrant, request: &AccessRequest, me: &Me) -> bool {
        let same = is_answer_to(there, request);
        let by_another = there
            .spec
            .granted_by
            .as_ref()
            .is_some_and(|by| !me.is(by.name(), request));
        let several = request
            .status
            .as_ref()
            .is_some_and(|status| status.approvals.is_some());
        match self.status {
            GrantStatus::Granted => same && by_another && several,
            // Whatever has that name and denies nothing must not keep a denial away.
            GrantStatus::Denied | GrantStatus::Reviewed => {
                !same || there.status != Some(self.status)
            }
        }
    }

    /// Who answered is the server's to say; what was read is ours: the UID pins it.
    fn compose(&self, request: &AccessRequest, name: &str) -> AccessGrant {
        let spec = AccessGrantSpec {
            grant_for: request.name_any(),
            request_uid: request.uid(),
            valid_for: self.valid_for.clone(),
            reason: self.reason.clone(),
            ..AccessGrantSpec::default()
        };
        let mut grant = AccessGrant::new(name, spec);
        grant.metadata.namespace = request.namespace();
        grant.metadata.owner_references = Some(vec![owner(request)]);
        grant.status = Some(self.status);
        grant
    }

    /// Checks what was typed.
    ///
    /// # Errors
    /// When the validity is none.
    pub fn check_duration(&self) -> Result<(), AnswerError> {
        let checked = self
            .valid_for
            .as_deref()
            .map(|text| duration::parse(text, MAX_ACCESS))
            .transpose();
        checked.map(drop).map_err(AnswerError::ValidFor)
    }

    /// Refuses a validity that is no shorter one.
    ///
    /// # Errors
    /// When it is longer than what is asked for.
    pub fn refuse_longer(&self, request: &AccessRequest) -> Result<(), AnswerError> {
        let length =
            |text: Option<&str>| text.and_then(|text| duration::parse(text, MAX_ACCESS).ok());
        match (
            length(self.valid_for.as_deref()),
            length(request.spec.valid_for.as_deref()),
        ) {
            (Some(given), Some(asked)) if given > asked => Err(AnswerError::Longer {
                given: duration::show(given),
                asked: duration::show(asked),
                name: safe_word(&request.name_any()),
            }),
            _ => Ok(()),
        }
    }

    /// A denial may still end what is granted; everything else that is decided stays as it is.
    fn refuse_decided(
        &self,
        request: &AccessRequest,
        cluster: &Cluster,
        now: &Zoned,
    ) -> Result<(), AnswerError> {
        let (name, user) = (safe_word(&request.name_any()), words::user(request));
        if request.metadata.deletion_timestamp.is_some() {
            return Err(AnswerError::Leaving { name, user });
        }
        if self.status == GrantStatus::Reviewed {
            return refuse_unreviewable(request, now);
        }
        match request.phase() {
            Phase::Denied => Err(AnswerError::Denied {
                name,
                how: summary::denied(request, now).unwrap_or_default(),
                user,
            }),
            Phase::Used => Err(AnswerError::Used { name, user }),
            Phase::Expired => Err(AnswerError::Expired { name, user }),
            Phase::Granted if self.status == GrantStatus::Granted => {
                let by = granted_by(request);
                let hint = if request.is_unreviewed() {
                    Hint::DenyGrantedEmergency
                } else {
                    Hint::RevokeGranted
                };
                let end = kubectl::told(cluster, hint, &request.name_any());
                Err(AnswerError::Granted { name, by, end })
            }
            Phase::Pending | Phase::Granted => Ok(()),
        }
    }
}

/// Only an emergency is reviewed, in whatever phase it is, and once.
fn refuse_unreviewable(request: &AccessRequest, now: &Zoned) -> Result<(), AnswerError> {
    let name = safe_word(&request.name_any());
    match summary::reviewed(request, now) {
        Some(how) => Err(AnswerError::Reviewed { name, how }),
        None if request.is_unreviewed() => Ok(()),
        None => Err(AnswerError::NoEmergency { name }),
    }
}

fn granted_by(request: &AccessRequest) -> String {
    let by: Vec<String> = request
        .status
        .iter()
        .flat_map(|status| &status.granted_by)
        .map(|name| safe_word(name))
        .collect();
    if by.is_empty() {
        "somebody".to_owned()
    } else {
        by.join(", ")
    }
}

fn owner(request: &AccessRequest) -> OwnerReference {
    OwnerReference {
        api_version: AccessRequest::api_version(&()).into_owned(),
        kind: AccessRequest::kind(&()).into_owned(),
        name: request.name_any(),
        uid: request.uid().unwrap_or_default(),
        ..OwnerReference::default()
    }
}

/// Makes sure that the answer that was stored is the one that was sent, and says so; another one is
/// deleted at once.
async fn settled(
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
    request: &AccessRequest,
    (sent, stored): (&AccessGrant, &AccessGrant),
) -> Result<(), AnswerError> {
    let differs = stored::grant_differs(sent, stored);
    if differs.is_empty() {
        return told(cluster, terminal, request, stored).await;
    }
    let deleted = cluster.delete_grant(stored).await.is_ok();
    let grant = safe_word(&stored.name_any());
    let line = kubectl::told(cluster, Hint::DeleteAlteredGrant, &stored.name_any());
    let fate = stored::fate(deleted, &line);
    Err(AnswerError::Altered {
        grant,
        differs,
        fate,
    })
}

/// Says what was stored, and where several approvals are required, how many there are now.
async fn told(
    cluster: &Cluster,
    terminal: &mut Terminal<'_>,
    request: &AccessRequest,
    stored: &AccessGrant,
) -> Result<(), AnswerError> {
    let name = safe(&stored.name_any());
    let several = request.status.as_ref().and_then(|status| status.approvals);
    let several = several.filter(|_| stored.status == Some(GrantStatus::Granted));
    let grants = match several {
        Some(_) => cluster.grants_of(&request.name_any()).await.ok(),
        None => None,
    };
    match several.zip(grants) {
        Some((needed, grants)) => {
            let given = history::approvers(request, &grants);
            writeln!(
                terminal.out,
                "created grant {name} ({given} of {needed} approvals)"
            )?;
        }
        None => writeln!(terminal.out, "created grant {name}")?,
    }
    Ok(())
}

/// Who has answered already, and whether to the same request. What cannot be found out leaves the
/// server's words.
fn explain(
    there: Option<&AccessGrant>,
    request: &AccessRequest,
    cluster: &Cluster,
    refused: ClusterError,
) -> AnswerError {
    let Some(there) = there else {
        return refused.into();
    };
    let grant = safe_word(&there.name_any());
    let line = kubectl::told(cluster, Hint::DeleteAnswer, &there.name_any());
    if !is_answer_to(there, request) {
        return AnswerError::AnsweredAnother { grant, line };
    }
    AnswerError::Answered {
        request: safe_word(&request.name_any()),
        what: match there.status {
            Some(GrantStatus::Granted) => "granted",
            Some(GrantStatus::Denied) => "denied",
            Some(GrantStatus::Reviewed) => "reviewed",
            None => "answered",
        },
        by: there
            .spec
            .granted_by
            .as_ref()
            .map_or_else(|| "somebody".to_owned(), |by| safe_word(by.name())),
        grant,
        line,
    }
}
