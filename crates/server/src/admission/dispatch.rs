//! Which part of admission answers a review.

use api::{
    objects::GROUP,
    review::{Answer, Operation, Review},
};
use decide::attempt::Door;

use super::{
    Admission, Deadline, Decision, Step,
    failure::{self, Refused},
    metadata,
};

impl Admission {
    /// Answers a review on a validating path, or says that it may wait: allows or denies, never
    /// patches.
    pub async fn validate(&self, review: &Review, deadline: Deadline) -> Step {
        if let Some(answer) = self.answer_canary(review) {
            return Decision::from(answer).into();
        }
        let request = &review.request;
        let resource = &request.resource;
        let what = (
            resource.group.as_str(),
            resource.resource.as_str(),
            request.sub_resource.as_deref().unwrap_or(""),
        );
        let result = match (what, request.operation) {
            (("", "pods", "exec"), Operation::Connect) => {
                return self.attempt(review, Door::Exec, deadline).await;
            }
            (("", "pods", "attach"), Operation::Connect) => {
                return self.attempt(review, Door::Attach, deadline).await;
            }
            (("", "pods", "portforward"), Operation::Connect) => {
                return self.attempt(review, Door::PortForward, deadline).await;
            }
            (("", "pods", "ephemeralcontainers"), Operation::Update) => {
                return self
                    .attempt(review, Door::EphemeralContainers, deadline)
                    .await;
            }
            (("", "pods" | "services" | "nodes", "proxy"), Operation::Connect) => {
                return Decision::from(self.proxy(review, deadline).await).into();
            }
            ((GROUP, "accessrequests", ""), Operation::Create) => {
                self.create_request(review, deadline).await
            }
            ((GROUP, "accessgrants", ""), Operation::Create) => {
                self.create_grant(review, deadline).await
            }
            ((GROUP, "accessrequests" | "accessgrants", ""), Operation::Update) => self
                .check_growth(request)
                .and_then(|()| metadata::check_update(request)),
            ((GROUP, "accesspolicies", ""), Operation::Create | Operation::Update) => {
                self.write_policy(review).await
            }
            ((GROUP, "accesspolicies", ""), Operation::Delete) => self.check_policy_owner(review),
            ((GROUP, "accessrequests", ""), Operation::Delete) => {
                self.delete_request(review, deadline).await
            }
            ((GROUP, "accessgrants", ""), Operation::Delete) => {
                self.delete_grant(review, deadline).await
            }
            _ => Err(unexpected(review)),
        };
        Decision::from(self.answer(review, result.map(|()| Answer::allow(&request.uid)))).into()
    }

    /// Answers a review on the mutating path: stamps new objects.
    pub async fn mutate(&self, review: &Review) -> Answer {
        let resource = &review.request.resource;
        let result = match (
            resource.group.as_str(),
            resource.resource.as_str(),
            review.request.operation,
        ) {
            (GROUP, "accessrequests", Operation::Create) => self.stamp_request(review).await,
            (GROUP, "accessgrants", Operation::Create) => self.stamp_grant(review).await,
            (GROUP, "accesspolicies", Operation::Create | Operation::Update) => {
                self.stamp_policy(review).await
            }
            _ => Err(unexpected(review)),
        };
        self.answer(review, result)
    }

    /// The answer to a write of one of our objects. What the server is asked for too often is not
    /// logged one by one.
    fn answer(&self, review: &Review, result: Result<Answer, Refused>) -> Answer {
        failure::answer(review, result, |kind, what| {
            self.is_written(review, kind, what)
        })
    }
}

fn unexpected(review: &Review) -> Refused {
    let request = &review.request;
    Refused::because(format!(
        "kube-request-access does not answer for {:?} of {}/{}: the rules of its webhook configuration are not the ones it ships",
        request.operation,
        request.resource.resource,
        request.sub_resource.as_deref().unwrap_or_default(),
    ))
}
