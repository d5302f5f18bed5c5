//! Tells whoever wants to be told what becomes of requests: CloudEvents 1.0 over HTTP, in binary
//! mode. They are made from what was stored, by the replica whose write of the status was taken,
//! and so once; and they never hold anything up.
//!
//! Alarms go past all others, and are told until the receiver has taken them: which it has stands
//! in the status. Any other notice that waits is lost with the process: objects and Kubernetes
//! Events are not.

mod about;
mod event;
mod queue;
mod sending;
mod telling;
mod url;

pub use about::About;
pub use telling::Notices;
pub use url::UrlTemplate;
