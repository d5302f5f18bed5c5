//! Names of namespaces, as policies write them.

use wildmatch::WildMatchPattern;

/// Names of namespaces: a text in which `*` stands for any other.
///
/// What stands for one character is the NUL, which no name has, and no policy that can be read: so
/// nothing but the star is special.
#[derive(Debug, Clone, PartialEq)]
pub struct NamespaceGlob(WildMatchPattern<'*', '\0'>);

impl NamespaceGlob {
    /// Whether it means a namespace.
    pub fn includes(&self, namespace: &str) -> bool {
        self.0.matches(namespace)
    }

    /// Whether it means all of them.
    pub fn is_everywhere(&self) -> bool {
        self.0.pattern_chars().iter().all(|&c| c == '*')
    }
}

// Nothing in it is unequal to itself.
impl Eq for NamespaceGlob {}

impl From<&str> for NamespaceGlob {
    fn from(text: &str) -> Self {
        Self(WildMatchPattern::new(text))
    }
}
