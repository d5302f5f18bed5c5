//! Words that stand in every description.

use api::AccessRequest;
use decide::duration::{self, MAX_ACCESS};
use decide::text::safe_word;

/// Name of who asks.
pub fn user(request: &AccessRequest) -> String {
    match request
        .spec
        .user_info
        .as_ref()
        .map(api::UserInfo::name)
        .unwrap_or_default()
    {
        "" => "(nobody)".to_owned(),
        name => safe_word(name),
    }
}

/// A duration as people write it; one that is none, as it stands.
pub fn shown_duration(text: &str) -> String {
    duration::parse(text, MAX_ACCESS).map_or_else(|_| safe_word(text), duration::show)
}
