//! Watches the lock: the policies of the API, their bindings and our webhook configurations,
//! without which the doors are open or ask nobody. Whoever may change policies can take the lock
//! off (the API server asks nobody about them), but not unseen: whatever differs from what is
//! shipped, and every change while we look, is told.
//!
//! It only tells: nothing is decided, and nothing is written back. Who installs is not ours to
//! judge.
//!
//! - [`telling`]: from what is seen to what is told.
//! - [`part`]: what the lock consists of. [`mod@shipped`]: how it is shipped.
//! - [`compare`]: whether a part is as it is shipped; pure.
//! - [`exception`]: parts that an overlay changes on purpose (`--lock-exception`).
//! - [`knowledge`]: what is known of each part, and what is news; pure.
//! - [`watching`]: what the API server has; [`speaking`]: log, events, the condition of our own
//!   pod; [`gauges`]: metrics.

pub mod compare;
pub mod exception;
pub mod gauges;
pub mod knowledge;
pub mod part;
pub mod shipped;
pub mod speaking;
pub mod telling;
pub mod watching;

pub use telling::{Lock, start};
