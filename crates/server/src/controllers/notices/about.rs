//! Where notices come from.

use super::url::UrlTemplate;

/// What notices say of where they come from.
#[derive(Debug, Clone)]
pub struct About {
    /// `--cluster-name`
    pub cluster: String,
    /// `--request-url-template`
    pub template: Option<UrlTemplate>,
}
