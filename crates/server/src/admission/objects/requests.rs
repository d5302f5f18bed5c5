//! Filing a request.

use api::{AccessRequest, UserInfo, convert};
use decide::{
    access::{Ask, Request, is_from_the_future},
    explain, rules,
    text::safe,
};
use kube::Api;
use serde_json::value::RawValue;
use tracing::info;

use super::{Objects, decoding, metadata};
use crate::admission::{
    Deadline, Received,
    failure::{self, Failure, Refused},
};

/// A request that was admitted.
const FILED: &str = "filed";

impl Objects {
    /// Admits a new request: complete, stamped with the truth, and nothing hidden in it.
    pub(in crate::admission) async fn create_request(
        &self,
        received: &Received,
        deadline: Deadline,
    ) -> Result<(), Refused> {
        let object: AccessRequest = decoding::object(received)?;
        metadata::check_new(&object.metadata)?;
        if object.spec.user_info.is_none() {
            return Err(failure::unstamped("userInfo"));
        }
        let sealed = self.common.ledger.sealer().request(&object);
        let request =
            convert::request(&object, sealed.into()).map_err(|error| failure::nonsense(&error))?;
        rules::check(&request, &self.common.settings)
            .map_err(|refusal| failure::refusal(&refusal))?;
        check_texts(&object)?;
        self.check_stamps(received, &object, &request)?;
        if !self.common.settings.may_request(&request.user) {
            return Err(Refused::because(format!(
                "{:?} is a ServiceAccount, and requests are for people, unless --requester-service-account names it",
                request.user.name
            )));
        }
        self.check_policies(&request)?;
        self.check_target(received, &request).await?;
        self.check_follows(&object, &request).await?;
        if is_from_the_future(request.created, self.common.now()) {
            return Err(Refused::because("the creationTimestamp lies in the future"));
        }
        if received.request().is_dry_run() {
            return Ok(());
        }
        if !sealed.is_good() {
            return Err(failure::unsealed("request"));
        }
        self.admit_one_more(&request)?;
        let by = deadline.answer_by();
        let invalid = self
            .common
            .extensions
            .validate(
                &received.review,
                &object,
                self.at_whose_cost(received, &request),
                by,
            )
            .await
            .map_err(Failure::from)?;
        if let Some(message) = invalid {
            return Err(Refused::because(format!(
                "the request is not valid: {}",
                safe(&message.chars().take(1024).collect::<String>())
            )));
        }
        self.common
            .extensions
            .created(&received.review, &object, by)
            .await?;
        self.tell_of_filing(received, &request);
        Ok(())
    }

    /// Whose share a filing is of: whoever files, but where we file for an attempt, whoever tries.
    fn at_whose_cost<'a>(&self, received: &'a Received, request: &'a Request) -> &'a str {
        let filer = received.caller.username.as_str();
        if filer == self.own_name {
            &request.user.name
        } else {
            filer
        }
    }

    /// Writes who filed what. A requester can file and withdraw without end: beyond some, it is
    /// counted.
    fn tell_of_filing(&self, received: &Received, request: &Request) {
        let object = received
            .request()
            .object
            .as_deref()
            .map(RawValue::get)
            .unwrap_or_default();
        // What the server files for an attempt that waits is its user's doing: nobody else's lines are
        // counted for it.
        let user = if received.caller.username == self.own_name {
            self.common.settings.prefix.subject(&request.user.name)
        } else {
            received.caller.username.clone()
        };
        let now = self.common.now();
        if !self
            .common
            .limits
            .writes(&user, FILED, || object.to_owned(), now)
        {
            return;
        }
        let Request {
            namespace,
            name,
            uid: request_uid,
            ..
        } = request;
        let (uid, user, requester) = (
            &received.request().uid,
            &received.caller.username,
            &request.user.name,
        );
        info!(
            target: "audit",
            uid, user, namespace, request = name, request_uid, requester, object,
            "request admitted"
        );
    }

    /// Whether everything that `/mutate` stamps is there and true. It is checked here because a
    /// mutating webhook can be missing, and others may have changed the object after it.
    fn check_stamps(
        &self,
        received: &Received,
        object: &AccessRequest,
        request: &Request,
    ) -> Result<(), Refused> {
        let caller = &received.caller;
        let own = convert::stamped(&self.common.recorded_as(caller), caller);
        if object.spec.created_by.as_ref() != Some(&own) {
            return Err(failure::unstamped("createdBy"));
        }
        let context = self.request_context();
        if object.spec.cluster_name != context.cluster_name {
            return Err(failure::unstamped("clusterName"));
        }
        if object.spec.username_prefix != context.username_prefix {
            return Err(failure::unstamped("usernamePrefix"));
        }
        if request.target.uid.is_none() {
            return Err(failure::unstamped("forObject.uid"));
        }
        let named = matches!(request.ask, Ask::Exec(_) | Ask::Copy(_) | Ask::Attach(_));
        if named && request.ask.container().is_none() {
            return Err(failure::unstamped("execOptions.container"));
        }
        if object.spec.exec_options.is_none() {
            return Err(failure::unstamped("execOptions"));
        }
        let copy = matches!(request.ask, Ask::Copy(_));
        let command = object
            .spec
            .exec_options
            .as_ref()
            .and_then(|options| options.command.as_ref());
        if copy && command.is_none_or(Vec::is_empty) {
            return Err(failure::unstamped("execOptions.command"));
        }
        let user = object.spec.user_info.clone().unwrap_or_default();
        if user == self.requester(&user, caller)? {
            Ok(())
        } else {
            Err(failure::unstamped("userInfo"))
        }
    }

    /// Whether the policies leave a way to grant it: whoever asks learns at once what is missing.
    /// They are asked again at every use.
    fn check_policies(&self, request: &Request) -> Result<(), Refused> {
        let rules = self.common.rules();
        let ruling = rules.policies.of_request(request, &rules.settings.prefix);
        match ruling.refuses(request, true) {
            Some(forbidden) => {
                let contact = forbidden
                    .contact
                    .as_ref()
                    .map(|contact| format!(". Ask {}", safe(contact)));
                Err(Refused::because(format!(
                    "{}{}",
                    explain::forbids(&forbidden),
                    contact.unwrap_or_default()
                )))
            }
            None => Ok(()),
        }
    }

    /// Whether an earlier request that is named is one of the same user: the approver reads its
    /// name.
    async fn check_follows(
        &self,
        object: &AccessRequest,
        request: &Request,
    ) -> Result<(), Refused> {
        let Some(name) = object
            .spec
            .follows
            .as_deref()
            .filter(|name| !name.is_empty())
        else {
            return Ok(());
        };
        rules::check_name("follows", name).map_err(|refusal| failure::refusal(&refusal))?;
        let api: Api<AccessRequest> =
            Api::namespaced(self.common.ledger.client().clone(), &request.namespace);
        let earlier = api
            .get_opt(name)
            .await?
            .and_then(|earlier| convert::person(&earlier.spec.user_info?));
        if earlier.is_some_and(|user| user.name == request.user.name) {
            return Ok(());
        }
        // The same whether it is somebody else's or not there.
        Err(Refused::because(format!(
            "follows: {:?} has no accessrequest {name:?} here",
            request.user.name
        )))
    }

    /// Whether the stamped UID and container are those of what is named: the approver reads the
    /// name.
    async fn check_target(&self, received: &Received, request: &Request) -> Result<(), Refused> {
        let (kind, name) = (request.target.kind, &request.target.name);
        let target = self
            .visible_target(
                &received.request().user_info,
                &request.namespace,
                kind,
                name,
            )
            .await?;
        if request.target.uid.as_ref() != Some(&target.uid) {
            return Err(failure::unstamped("forObject.uid"));
        }
        let known = request
            .ask
            .container()
            .is_none_or(|name| target.containers.iter().any(|known| known == name));
        if known {
            Ok(())
        } else {
            Err(failure::unstamped("execOptions.container"))
        }
    }
}

/// Texts that people read must show as they are.
fn check_texts(object: &AccessRequest) -> Result<(), Refused> {
    let spec = &object.spec;
    let user = spec
        .user_info
        .as_ref()
        .map(UserInfo::name)
        .unwrap_or_default();
    let keys = spec
        .custom_keys
        .iter()
        .flatten()
        .flat_map(|(key, value)| [("customKeys", key), ("customKeys", value)]);
    let texts = [
        ("userInfo.username", user),
        ("reason", spec.reason.as_deref().unwrap_or_default()),
    ];
    for (field, text) in texts
        .into_iter()
        .chain(keys.map(|(field, text)| (field, text.as_str())))
    {
        rules::check_text(field, text).map_err(|refusal| failure::refusal(&refusal))?;
    }
    Ok(())
}
