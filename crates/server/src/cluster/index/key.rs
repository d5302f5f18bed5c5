//! How objects are named in memory.

use std::{collections::HashSet, fmt, sync::Arc};

/// Namespace and name of an object. A clone is two pointers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl Key {
    /// The key of an object.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One copy each of texts that stand in many objects: namespaces and users.
#[derive(Debug, Default)]
pub(super) struct Texts {
    known: HashSet<Arc<str>>,
    /// How many there may be before those that nobody holds any more are dropped.
    room: usize,
}

impl Texts {
    /// The copy of a text.
    pub(super) fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.known.get(text) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.room {
            self.known.retain(|text| Arc::strong_count(text) > 1);
            // Each text that is added pays for a look at two.
            self.room = self.known.len().saturating_mul(2).max(64);
        }
        let text = Arc::from(text);
        self.known.insert(Arc::clone(&text));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_nobody_holds_do_not_pile_up() {
        let mut texts = Texts::default();
        let kept = texts.share("kept");
        for number in 0..10_000 {
            texts.share(&number.to_string());
        }
        assert!(texts.known.len() <= 128, "{}", texts.known.len());
        assert!(Arc::ptr_eq(&kept, &texts.share("kept")));
    }
}
