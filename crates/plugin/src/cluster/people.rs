//! Who we are, and what we may.

use api::AccessRequest;
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, UserInfo};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

use super::fields::Fields;
use super::{Cluster, ClusterError};

/// Maximum number of prefixes that are looked for.
const MAX_PREFIXES: usize = 8;

/// Who somebody is, as the API server knows her.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me(String);

impl Me {
    /// By her name.
    pub fn new(name: String) -> Self {
        Self(name)
    }

    /// Her name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether a name in a request, or in an answer to it, is theirs. Such names are without the
    /// prefix that the authenticator puts before them. The server writes the prefix into each
    /// request: nobody guesses where a name begins.
    pub fn is(&self, name: &str, request: &AccessRequest) -> bool {
        let prefix = request.spec.username_prefix.as_deref().unwrap_or_default();
        let behind = self.0.strip_prefix(prefix);
        !name.is_empty() && (self.0 == name || behind == Some(name))
    }

    /// Whether the access is asked for them.
    pub fn asks_in(&self, request: &AccessRequest) -> bool {
        let user = request.spec.user_info.as_ref();
        user.is_some_and(|user| self.is(user.name(), request))
    }

    /// Whether they asked for the access or filed the request.
    pub fn is_party_to(&self, request: &AccessRequest) -> bool {
        [&request.spec.user_info, &request.spec.created_by]
            .into_iter()
            .flatten()
            .any(|party| self.is(party.name(), request))
    }
}

impl Cluster {
    /// Our name, as the API server knows us. `None`: it does not say.
    ///
    /// # Errors
    /// When the server cannot be asked at all.
    pub async fn whoami(&self) -> Result<Option<String>, ClusterError> {
        match self.user_info().await {
            Ok(user) => Ok(user.username),
            Err(ClusterError::Refused(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Who we are. `None`: the API server does not say.
    ///
    /// # Errors
    /// When the server cannot be asked at all.
    pub async fn me(&self) -> Result<Option<Me>, ClusterError> {
        Ok(self.whoami().await?.map(Me::new))
    }

    /// By what our requests among these are chosen: by the whole name, or by what is behind a prefix
    /// that the server wrote into a request. `None`: each must be looked at.
    ///
    /// # Errors
    /// When the server refuses to tell, or cannot be asked.
    pub async fn fields_of(
        &self,
        me: &Me,
        everywhere: bool,
        among: &Fields,
    ) -> Result<Option<Vec<Fields>>, ClusterError> {
        let mut ours = vec![among.clone().of(me.name())];
        let mut others = Fields::default().without_prefix("");
        for _ in 0..MAX_PREFIXES {
            let Some(requests) = self.any(everywhere, &others).await? else {
                return Ok(None);
            };
            if requests.is_empty() {
                return Ok(Some(ours));
            }
            let first = requests.understood.into_iter().next();
            let Some(prefix) = first.and_then(|whole| whole.request.spec.username_prefix) else {
                return Ok(None);
            };
            if let Some(name) = me.0.strip_prefix(&prefix) {
                ours.push(among.clone().of(name).with_prefix(&prefix));
            }
            others = others.without_prefix(&prefix);
        }
        Ok(None)
    }

    /// All that the API server knows of us.
    ///
    /// # Errors
    /// When it does not say, or cannot be asked.
    pub async fn user_info(&self) -> Result<UserInfo, ClusterError> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = self
            .call(api.create(&PostParams::default(), &SelfSubjectReview::default()))
            .await?;
        Ok(review
            .status
            .and_then(|status| status.user_info)
            .unwrap_or_default())
    }

    /// Whether RBAC (or whatever authorizes here) lets us do this in the namespace.
    ///
    /// # Errors
    /// When the API server does not say, or cannot be asked.
    pub async fn may(
        &self,
        verb: &str,
        group: &str,
        resource: &str,
        sub: Option<&str>,
    ) -> Result<bool, ClusterError> {
        let attributes = ResourceAttributes {
            verb: Some(verb.to_owned()),
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource: sub.map(str::to_owned),
            namespace: Some(self.namespace.clone()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..Default::default()
        };
        let review = SelfSubjectAccessReview {
            spec,
            ..SelfSubjectAccessReview::default()
        };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let review = self
            .call(api.create(&PostParams::default(), &review))
            .await?;
        Ok(review.status.is_some_and(|status| status.allowed))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // P9
    #[rstest]
    #[case("jane", "", "jane", true)]
    #[case("oidc:jane", "oidc:", "jane", true)]
    #[case::whole_name("oidc:jane", "oidc:", "oidc:jane", true)]
    #[case::not_prefixed("system:admin", "oidc:", "system:admin", true)]
    #[case::ends_alike("mary-jane", "", "jane", false)]
    #[case::ends_alike("mary-jane", "oidc:", "jane", false)]
    #[case::other_prefix("corp:jane", "oidc:", "jane", false)]
    #[case("jane", "", "ane", false)]
    #[case("jane", "", "", false)]
    #[case("oidc:", "oidc:", "", false)]
    #[case("jane", "", "oidc:jane", false)]
    fn a_name_in_an_object_is_ours_with_the_prefix_that_the_server_wrote_there(
        #[case] me: &str,
        #[case] prefix: &str,
        #[case] name: &str,
        #[case] is: bool,
    ) {
        let spec = api::AccessRequestSpec {
            username_prefix: Some(prefix.to_owned()),
            ..api::AccessRequestSpec::default()
        };
        let request = AccessRequest::new("a", spec);
        assert_eq!(Me::new(me.to_owned()).is(name, &request), is);
    }
}
