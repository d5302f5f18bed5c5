//! Who we are, and what we may.

use k8s_openapi::api::authentication::v1::{SelfSubjectReview, UserInfo};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

use super::{Cluster, ClusterError};

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

    /// Whether somebody in an object is she. Objects have names without the prefix that the
    /// authenticator puts before them, which only the server knows: one of letters and something
    /// else behind them, such as `oidc:`.
    pub fn is(&self, name: &str) -> bool {
        let prefix = self.0.strip_suffix(name).filter(|_| !name.is_empty());
        prefix.is_some_and(|prefix| !prefix.ends_with(|c: char| c.is_alphanumeric()))
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

    #[rstest]
    #[case("jane", "jane", true)]
    #[case("oidc:jane", "jane", true)]
    #[case("mary-jane", "jane", true)]
    #[case("jane", "ane", false)]
    #[case("jane", "", false)]
    #[case("jane", "oidc:jane", false)]
    fn a_name_in_an_object_is_ours_with_or_without_a_prefix(
        #[case] me: &str,
        #[case] name: &str,
        #[case] is: bool,
    ) {
        assert_eq!(Me::new(me.to_owned()).is(name), is);
    }
}
