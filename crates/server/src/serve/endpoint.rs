//! The paths by which reviews come.

/// Which way a review came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To be allowed or denied.
    Validate,
    /// To be stamped.
    Mutate,
    /// To be looked at: whatever it is, it passes.
    Observe,
}
