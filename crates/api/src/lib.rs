//! The contract of kube-request-access: what is stored in the cluster and what travels to webhooks.
//!
//! - [`contract`]: words that others go by: conditions, annotations, decisions.
//! - [`names`]: names of objects, made from names of people.
//! - [`objects`]: `AccessRequest` and `AccessGrant` (group `spreadgroup.com`, version `v1`).
//! - [`crd`]: their CustomResourceDefinitions, as `deploy/` ships them.
//! - [`review`]: the AdmissionReview, decoded strictly.
//! - [`pod_update`]: what an update of a pod's ephemeral containers adds, and that nothing rides
//!   along.
//! - [`status`]: what became of a request.
//! - [`describe`]: what a request asks for, in words.
//! - [`secrets`]: arguments that look like passwords. [`notice`]: what is told to whoever answers.
//! - [`report`]: what attempts in observe mode came to.
//! - [`payload`]: the bodies that audit and validation webhooks receive.
//! - [`convert`]: objects into the values that `decide` works on; the only place where the two
//!   meet.
//!
//! Everything the original (Go) kube-request-access wrote is read here, and everything written here
//! can be read by clients and receivers of the original.

pub mod contract;
pub mod convert;
pub mod crd;
pub mod describe;
pub mod ephemeral;
pub mod names;
pub mod notice;
pub mod objects;
pub mod payload;
pub mod pod_update;
pub mod policy;
pub mod report;
pub mod review;
pub mod secrets;
pub mod status;

pub use objects::{
    AccessGrant, AccessGrantSpec, AccessRequest, AccessRequestSpec, AccessRequestStatus,
    AttachOptions, CopyDirection, EphemeralContainer, ExecOptions, ForObject, GrantStatus,
    GroupVersionResource, Phase, PolicyRef, PortForwardOptions, UserInfo,
};
pub use policy::{AccessPolicy, AccessPolicySpec};
