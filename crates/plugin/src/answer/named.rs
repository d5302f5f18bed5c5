//! Requests by name, several at a time.

use std::io;

use api::AccessRequest;
use kube::ResourceExt as _;

use crate::cluster::Cluster;
use crate::cluster::said::Told;
use crate::terminal::lines::Hint;
use crate::terminal::{Terminal, kubectl};
use decide::rules::is_name;
use decide::text::safe_word;

/// A request as it is named on the command line: `NAME`, or `NAMESPACE/NAME`; with `@UID` behind it
/// exactly that one, and no later one of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its UID, where it is named.
    pub uid: Option<String>,
}

/// Why it is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not the name of a request: see '{list}'", safe_word(text))]
pub struct BadName {
    /// What was typed.
    text: String,
    /// What tells the names.
    list: String,
}

impl BadName {
    /// What was typed instead of the name of a request of this place.
    pub fn of(text: &str, cluster: &Cluster) -> Self {
        Self {
            text: text.to_owned(),
            list: kubectl::told(cluster, Hint::ListForNames, ""),
        }
    }
}

/// The name is another request's by now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "request {name} is not the one with UID {uid}: that one was deleted, and its name was taken again. Nothing was changed"
)]
pub struct AnotherUid {
    name: String,
    uid: String,
}

impl Named {
    /// Understands what was typed.
    ///
    /// # Errors
    /// When it can be no name.
    pub fn parse(text: &str, cluster: &Cluster) -> Result<Self, BadName> {
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, text),
        };
        let (name, uid) = match name.split_once('@') {
            Some((name, uid)) => (name, Some(uid)),
            None => (name, None),
        };
        // A UID is written like a name.
        if !is_name(name) || !namespace.is_none_or(is_name) || !uid.is_none_or(is_name) {
            return Err(BadName::of(text, cluster));
        }
        Ok(Self {
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
            uid: uid.map(str::to_owned),
        })
    }

    /// Makes sure that a request is the one that was named.
    ///
    /// # Errors
    /// When it has another UID.
    pub fn check_uid(&self, request: &AccessRequest) -> Result<(), AnotherUid> {
        match &self.uid {
            Some(uid) if request.uid().as_ref() != Some(uid) => Err(AnotherUid {
                name: safe_word(&self.name),
                uid: safe_word(uid),
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// All that was typed.
    ///
    /// # Errors
    /// When one of them can be no name.
    pub fn all(texts: &[String], cluster: &Cluster) -> Result<Vec<Self>, BadName> {
        texts
            .iter()
            .map(|text| Self::parse(text, cluster))
            .collect()
    }

    /// Where it is.
    pub fn place(&self, cluster: &Cluster) -> Cluster {
        cluster.in_namespace(self.namespace.as_deref().unwrap_or(&cluster.namespace))
    }
}

/// What became of several, of which one that fails does not keep the others from being done.
pub struct Tally<E>(Option<E>);

impl<E> Default for Tally<E> {
    fn default() -> Self {
        Self(None)
    }
}

impl<E: Told> Tally<E> {
    /// Takes a result. All failures but the last are told at once: that one is the verb's own.
    ///
    /// # Errors
    /// When the stream fails.
    pub fn note(&mut self, result: Result<(), E>, terminal: &mut Terminal<'_>) -> io::Result<()> {
        let Err(failure) = result else { return Ok(()) };
        match self.0.replace(failure) {
            Some(earlier) => writeln!(terminal.err, "{}", earlier.line()),
            None => Ok(()),
        }
    }

    /// How it ended.
    ///
    /// # Errors
    /// When one of them failed.
    pub fn end(self) -> Result<(), E> {
        self.0.map_or(Ok(()), Err)
    }
}
