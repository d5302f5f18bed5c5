//! Which part of admission answers a review.

use api::{
    objects::GROUP,
    review::{Answer, Operation},
};
use decide::attempt::Door;

use super::{
    Deadline, Decision, Gate, Objects, Received, Step,
    common::Common,
    failure::{self, Refused},
    objects::metadata,
};

/// Everything that answers a review.
pub struct Admission {
    /// Answers attempts to get into a pod.
    pub gate: Gate,
    /// Answers writes of our own objects.
    pub objects: Objects,
}

impl Admission {
    /// What both work with.
    pub(super) fn common(&self) -> &Common {
        &self.gate.common
    }

    /// Answers a review on a validating path, or says that it may wait: allows or denies, never
    /// patches.
    pub async fn validate(&self, received: &Received, deadline: Deadline) -> Step {
        if let Some(answer) = self.gate.answer_canary(received) {
            return Decision::from(answer).into();
        }
        let request = received.request();
        let resource = &request.resource;
        let what = (
            resource.group.as_str(),
            resource.resource.as_str(),
            request.sub_resource.as_deref().unwrap_or(""),
        );
        let result = match (what, request.operation) {
            (("", "pods", "exec"), Operation::Connect) => {
                return self.gate.attempt(received, Door::Exec, deadline).await;
            }
            (("", "pods", "attach"), Operation::Connect) => {
                return self.gate.attempt(received, Door::Attach, deadline).await;
            }
            (("", "pods", "portforward"), Operation::Connect) => {
                return self
                    .gate
                    .attempt(received, Door::PortForward, deadline)
                    .await;
            }
            (("", "pods", "ephemeralcontainers"), Operation::Update) => {
                return self
                    .gate
                    .attempt(received, Door::EphemeralContainers, deadline)
                    .await;
            }
            (("", "pods" | "services" | "nodes", "proxy"), Operation::Connect) => {
                return Decision::from(self.gate.proxy(received, deadline).await).into();
            }
            ((GROUP, "accessrequests", ""), Operation::Create) => {
                self.objects.create_request(received, deadline).await
            }
            ((GROUP, "accessgrants", ""), Operation::Create) => {
                self.objects.create_grant(received, deadline).await
            }
            ((GROUP, "accessrequests" | "accessgrants", ""), Operation::Update) => self
                .objects
                .check_growth(received)
                .and_then(|()| metadata::check_update(received)),
            ((GROUP, "accesspolicies", ""), Operation::Create | Operation::Update) => {
                self.objects.write_policy(received).await
            }
            ((GROUP, "accesspolicies", ""), Operation::Delete) => {
                self.objects.check_policy_owner(received)
            }
            ((GROUP, "accessrequests", ""), Operation::Delete) => {
                self.objects.delete_request(received, deadline).await
            }
            ((GROUP, "accessgrants", ""), Operation::Delete) => {
                self.objects.delete_grant(received, deadline).await
            }
            _ => Err(unexpected(received)),
        };
        Decision::from(self.answer(received, result.map(|()| Answer::allow(&request.uid)))).into()
    }

    /// Answers a review on the mutating path: stamps new objects.
    pub async fn mutate(&self, received: &Received) -> Answer {
        let resource = &received.request().resource;
        let result = match (
            resource.group.as_str(),
            resource.resource.as_str(),
            received.request().operation,
        ) {
            (GROUP, "accessrequests", Operation::Create) => {
                self.objects.stamp_request(received).await
            }
            (GROUP, "accessgrants", Operation::Create) => self.objects.stamp_grant(received).await,
            (GROUP, "accesspolicies", Operation::Create | Operation::Update) => {
                self.objects.stamp_policy(received).await
            }
            _ => Err(unexpected(received)),
        };
        self.answer(received, result)
    }

    /// The answer to a write of one of our objects. What the server is asked for too often is not
    /// logged one by one.
    fn answer(&self, received: &Received, result: Result<Answer, Refused>) -> Answer {
        failure::answer(received, result, |kind, what| {
            self.common().is_written(received, kind, what)
        })
    }
}

fn unexpected(received: &Received) -> Refused {
    let request = received.request();
    Refused::because(format!(
        "kube-request-access does not answer for {:?} of {}/{}: the rules of its webhook configuration are not the ones it ships",
        request.operation,
        request.resource.resource,
        request.sub_resource.as_deref().unwrap_or_default(),
    ))
}
