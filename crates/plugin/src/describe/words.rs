//! Words that stand in every description.

use api::AccessRequest;
use decide::duration::{self, MAX_ACCESS};
use decide::text::{safe, safe_word};
use kube::ResourceExt as _;

use crate::terminal::screen;

/// How exactly this request, and no later one of its name, is named on a command line.
pub fn exactly(request: &AccessRequest) -> String {
    let name = request.name_any();
    request
        .uid()
        .map_or_else(|| name.clone(), |uid| format!("{name}@{uid}"))
}

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

/// What somebody wrote as they liked, inside of a line: more spaces than one are counted.
pub fn quoted(text: &str) -> String {
    screen::count_spaces(&safe(text), 1)
}
