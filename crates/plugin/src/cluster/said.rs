//! What the API server said, where that is why a verb failed.

use super::ClusterError;

/// The error of a verb.
pub trait Told: std::error::Error {
    /// What the API server said, where it refused or could not be reached.
    fn said_by_cluster(&self) -> Option<&ClusterError>;

    /// The line that tells it, as kubectl would: what the API server said stands alone, all else
    /// behind `error: `.
    fn line(&self) -> String {
        match self.said_by_cluster() {
            Some(said) => said.to_string(),
            None => format!("error: {self}"),
        }
    }
}
