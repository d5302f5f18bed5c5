//! Which policy decided, for the record.

use std::fmt;

/// Which policy, as it stood when it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyId {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Generation.
    pub generation: i64,
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.uid, self.generation)
    }
}
