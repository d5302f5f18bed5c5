//! Reviews: none takes more memory than its length and its values say, and so than there is room
//! for.

use api::{
    AccessGrant, AccessPolicy, AccessRequest, convert,
    review::{self, Head, Review, ReviewError, StrictExecOptions},
};
use decide::access::Seal;
use peak_alloc::PeakAlloc;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};

/// Counts what is allocated by this whole process: only one thread may work on a review at a time.
#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// What is allocated whatever the input is: messages, buffers that begin larger than they must.
const SLACK: usize = 64 * 1024;
/// What a refused review takes for each value that was counted: the hash of a key, in a table that
/// grows.
const COUNTED: usize = 40;

/// Decodes a review and builds what is decided on.
///
/// # Panics
/// It took more memory than it said.
pub fn check(data: &[u8]) {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let said = match review::decode(data) {
        Ok(review) => {
            // What came is kept until it is decoded, and is not counted here.
            build(&review);
            review.memory
        }
        Err(ReviewError::TooLarge(_) | ReviewError::Malformed(_)) => {
            let counted = Head::read(data)
                .bounds()
                .nodes
                .min(data.len())
                .saturating_mul(COUNTED);
            data.len().saturating_mul(2).saturating_add(counted)
        }
        Err(ReviewError::OtherKind { .. } | ReviewError::NoRequest | ReviewError::NoUid) => {
            data.len().saturating_mul(3)
        }
    };
    let took = ALLOCATED.peak_usage().saturating_sub(before);
    assert!(
        took <= said.saturating_add(SLACK),
        "{} bytes take {took} bytes of memory, and {said} were said",
        data.len()
    );
}

/// What the server builds of a review, by its kind.
fn build(review: &Review) {
    let request = &review.request;
    let resource = (
        request.resource.group.as_str(),
        request.resource.resource.as_str(),
    );
    let Some(object) = request.object.as_deref().or(request.old_object.as_deref()) else {
        return;
    };
    match resource {
        ("", "pods") if request.sub_resource.as_deref() == Some("ephemeralcontainers") => {
            drop(convert::debug(request));
        }
        ("", _) => drop(StrictExecOptions::decode(object).map(convert::exec)),
        (_, "accessrequests") => {
            if let Some(object) = written::<AccessRequest>(object) {
                drop(convert::request(&object, Seal::Good));
            }
        }
        (_, "accessgrants") => drop(written::<AccessGrant>(object)),
        (_, "accesspolicies") => drop(written::<AccessPolicy>(object)),
        _ => {}
    }
}

fn written<T: DeserializeOwned + Serialize>(object: &RawValue) -> Option<T> {
    let object: T = serde_json::from_str(object.get()).ok()?;
    drop(to_raw_value(&object));
    Some(object)
}
