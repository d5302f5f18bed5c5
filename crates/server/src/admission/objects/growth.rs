//! What an update may add to a request or grant that is stored already: whatever is added, each list
//! of every replica reads it, labels, annotations and the notes of who wrote which field alike.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Objects, metadata::is_controller};
use crate::admission::{
    Received,
    failure::{self, Refused},
};

/// The largest that an update may make an object, in bytes of JSON: a creation is at most as large
/// as its review (256 KiB), and what is added to that later is little.
const MAX_BYTES: usize = 320 * 1024;

/// Whose a request is.
#[derive(Deserialize)]
struct Owned {
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    user_info: Option<User>,
}

#[derive(Deserialize)]
struct User {
    username: Option<String>,
}

impl Objects {
    /// Refuses an update that makes an object larger than there is room for. What the server and
    /// the cluster's own controllers write is no developer's to choose, and must not fail because
    /// of what one has filled.
    pub(in crate::admission) fn check_growth(&self, received: &Received) -> Result<(), Refused> {
        let request = received.request();
        let writer = received.caller.username.as_str();
        let (old, new) = (request.old_object.as_deref(), request.object.as_deref());
        let more = length(new).saturating_sub(length(old));
        if more == 0 || writer == self.own_name || is_controller(writer) {
            return Ok(());
        }
        if length(new) > MAX_BYTES {
            return Err(Refused::because(format!(
                "the object would have {} bytes; the maximum is {MAX_BYTES}: take labels or annotations out, or write them \
                 under one name of a field manager",
                length(new)
            )));
        }
        match old {
            Some(old) if request.resource.resource == "accessrequests" => {
                let user = owner(old)?;
                user.map_or(Ok(()), |user| self.check_stored(&user, more))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn length(object: Option<&RawValue>) -> usize {
    object.map(RawValue::get).map_or(0, str::len)
}

/// Whose a request is; `None`: nobody's, which no admission has let in.
fn owner(object: &RawValue) -> Result<Option<String>, Refused> {
    let owned: Owned =
        serde_json::from_str(object.get()).map_err(|error| failure::unreadable(&error))?;
    Ok(owned.spec.user_info.and_then(|user| user.username))
}
