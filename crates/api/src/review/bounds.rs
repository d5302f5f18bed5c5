//! How large a review may be, by its kind. Bounds are looked at before anything is built: what a
//! developer may send to the API server is 3 MiB, and what such a text becomes in memory is a
//! hundred times more.

use super::{Head, Operation};
use crate::{objects::GROUP, pod_update::MAX_VALUES};

/// The largest object, in bytes of JSON: a pod whose debug containers are looked at, or one of ours
/// that is there already. etcd takes 1.5 MiB.
pub const MAX_OBJECT_BYTES: usize = 2 * 1024 * 1024;
/// What stands around the objects of a review: names, and the groups of the user.
const ENVELOPE: usize = 256 * 1024;
/// The longest command that a request may have is 32 KiB; its every byte may take six in JSON.
const SMALL_BYTES: usize = 256 * 1024;
/// An object before and after.
const MAX_UPDATE_BYTES: usize = 2 * MAX_OBJECT_BYTES + ENVELOPE;
/// Values and keys of anything but a pod. The schemas of our objects leave room for less.
const SMALL_NODES: usize = 16 * 1024;
/// Values and keys of two pods; those of large pods in use have some ten thousand.
const POD_NODES: usize = 200_000;

/// What a value takes when it is counted, in bytes: the hash of a key, in a table that grows.
const COUNTED: usize = 40;

/// How large a review may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// In bytes, envelope included.
    pub bytes: usize,
    /// In values and keys.
    pub nodes: usize,
    /// Of how many values something is built at the most, and how many bytes of memory each takes
    /// then.
    built: (usize, usize),
}

impl Bounds {
    /// How many bytes of memory a review takes at the most, from its length and, once they are
    /// counted, its values: its text, the texts of its objects, and what is sent of it to a
    /// webhook.
    pub fn memory(self, bytes: usize, nodes: usize) -> usize {
        let (most, size) = self.built;
        let counted = nodes.saturating_mul(COUNTED);
        bytes
            .saturating_mul(3)
            .saturating_add(counted)
            .saturating_add(nodes.min(most).saturating_mul(size))
    }
}

impl Head {
    /// The bounds of a review that begins like this. What is not known has the smallest.
    pub fn bounds(&self) -> Bounds {
        let resource = (
            self.group.as_deref(),
            self.resource.as_deref(),
            self.sub_resource.as_deref(),
        );
        match (resource, self.operation) {
            // Nothing is built of it but one container.
            ((Some(""), Some("pods"), Some("ephemeralcontainers")), Some(Operation::Update)) => {
                Bounds {
                    bytes: MAX_UPDATE_BYTES,
                    nodes: POD_NODES,
                    built: (MAX_VALUES, 512),
                }
            }
            // One that is there already may be as large as it is: it must be possible to shrink and
            // to delete it.
            ((Some(GROUP), _, _), Some(Operation::Update | Operation::Delete)) => Bounds {
                bytes: MAX_UPDATE_BYTES,
                nodes: 2 * SMALL_NODES,
                built: (SMALL_NODES, 256),
            },
            ((Some(GROUP), _, _), _) => Bounds {
                bytes: SMALL_BYTES,
                nodes: SMALL_NODES,
                built: (SMALL_NODES, 256),
            },
            _ => Bounds {
                bytes: SMALL_BYTES,
                nodes: SMALL_NODES,
                built: (SMALL_NODES, 64),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", "pods", "exec", Operation::Connect, SMALL_BYTES)]
    #[case("", "pods", "ephemeralcontainers", Operation::Update, MAX_UPDATE_BYTES)]
    #[case("", "pods", "ephemeralcontainers", Operation::Create, SMALL_BYTES)]
    #[case("apps", "pods", "ephemeralcontainers", Operation::Update, SMALL_BYTES)]
    #[case(
        "spreadgroup.com",
        "accessrequests",
        "",
        Operation::Create,
        SMALL_BYTES
    )]
    #[case(
        "spreadgroup.com",
        "accessrequests",
        "",
        Operation::Update,
        MAX_UPDATE_BYTES
    )]
    #[case(
        "spreadgroup.com",
        "accessgrants",
        "",
        Operation::Delete,
        MAX_UPDATE_BYTES
    )]
    #[case("other.com", "accessgrants", "", Operation::Delete, SMALL_BYTES)]
    fn only_what_carries_objects_that_are_there_already_may_be_large(
        #[case] group: &str,
        #[case] resource: &str,
        #[case] sub_resource: &str,
        #[case] operation: Operation,
        #[case] bytes: usize,
    ) {
        let head = Head {
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            sub_resource: Some(sub_resource.to_owned()).filter(|text| !text.is_empty()),
            operation: Some(operation),
            ..Head::default()
        };
        assert_eq!(head.bounds().bytes, bytes);
        assert_eq!(
            Head::default().bounds().bytes,
            SMALL_BYTES,
            "of which nothing is known"
        );
    }
}
