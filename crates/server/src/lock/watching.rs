//! Watches one kind of the lock's objects.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use kube::{
    Api, Client, ResourceExt as _,
    api::DynamicObject,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use tokio::{sync::mpsc::Sender, time::sleep};
use tracing::warn;

use super::{
    knowledge::{Sight, Stored},
    part::{Part, PartKind},
};
use crate::cluster::{
    clients::{WATCH_RETRY, watching},
    mutators::TRUSTED,
};

/// Hands on what becomes of the parts of a kind with these names. Never ends.
pub async fn watch(
    client: &Client,
    namespace: &str,
    kind: PartKind,
    names: Vec<String>,
    sights: &Sender<Sight>,
) {
    let mut reader = Reader {
        kind,
        names: names.into_iter().collect(),
        missing: BTreeSet::new(),
    };
    loop {
        let (api, config) = wanted(client, namespace, kind);
        let mut events = watcher(api, config).default_backoff().boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    for sight in reader.read(event) {
                        // The receiver ends with us.
                        let _: Result<(), _> = sights.send(sight).await;
                    }
                }
                Err(error) => {
                    warn!(
                        kind = kind.name(),
                        error = crate::chain(&error),
                        "the watch on the lock failed; restarting it"
                    );
                    break;
                }
            }
        }
        let _: Result<(), _> = sights.send(Sight::Unseen(kind)).await;
        sleep(WATCH_RETRY).await;
    }
}

/// What is watched of a kind: all of it, but of `ConfigMaps` the one.
fn wanted(
    client: &Client,
    namespace: &str,
    kind: PartKind,
) -> (Api<DynamicObject>, watcher::Config) {
    let config = watching();
    if kind == PartKind::ConfigMap {
        let api = Api::namespaced_with(client.clone(), namespace, &kind.resource());
        return (api, config.fields(&format!("metadata.name={TRUSTED}")));
    }
    (Api::all_with(client.clone(), &kind.resource()), config)
}

/// Turns events into sights: what a list does not name is gone.
struct Reader {
    kind: PartKind,
    names: BTreeSet<String>,
    missing: BTreeSet<String>,
}

impl Reader {
    fn read(&mut self, event: Event<DynamicObject>) -> Vec<Sight> {
        match event {
            Event::Init => {
                self.missing.clone_from(&self.names);
                Vec::new()
            }
            Event::InitApply(object) | Event::Apply(object) => {
                self.stored(object).into_iter().collect()
            }
            Event::Delete(object) => self.part(&object).map(Sight::Gone).into_iter().collect(),
            Event::InitDone => {
                let part = |name| Part {
                    kind: self.kind,
                    name,
                };
                std::mem::take(&mut self.missing)
                    .into_iter()
                    .map(|name| Sight::Gone(part(name)))
                    .collect()
            }
        }
    }

    fn part(&self, object: &DynamicObject) -> Option<Part> {
        let name = object.name_any();
        self.names.contains(&name).then_some(Part {
            kind: self.kind,
            name,
        })
    }

    fn stored(&mut self, object: DynamicObject) -> Option<Sight> {
        let part = self.part(&object)?;
        self.missing.remove(&part.name);
        let uid = object.uid().unwrap_or_default();
        Some(Sight::Stored(
            part,
            Box::new(Stored {
                uid,
                generation: object.metadata.generation,
                object: object.data,
            }),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str) -> DynamicObject {
        DynamicObject::new(name, &PartKind::ValidatingAdmissionPolicy.resource())
    }

    #[test]
    fn what_a_list_does_not_name_is_gone_and_what_is_others_is_left_alone() {
        let names = ["guard", "status"].map(str::to_owned).into();
        let mut reader = Reader {
            kind: PartKind::ValidatingAdmissionPolicy,
            names,
            missing: BTreeSet::new(),
        };
        let mut read = |event| -> Vec<String> {
            let name = |sight| match sight {
                Sight::Stored(part, _) => format!("+{}", part.name),
                Sight::Gone(part) => format!("-{}", part.name),
                Sight::Unseen(kind) => format!("?{}", kind.name()),
            };
            reader.read(event).into_iter().map(name).collect()
        };
        assert!(read(Event::Init).is_empty());
        assert_eq!(read(Event::InitApply(object("guard"))), ["+guard"]);
        assert!(read(Event::InitApply(object("gatekeeper"))).is_empty());
        assert_eq!(read(Event::InitDone), ["-status"]);
        assert!(read(Event::InitDone).is_empty());
        assert_eq!(read(Event::Apply(object("status"))), ["+status"]);
        assert_eq!(read(Event::Delete(object("guard"))), ["-guard"]);
        assert!(read(Event::Delete(object("gatekeeper"))).is_empty());
    }
}
