//! The page about a request.

use http::Uri;
use percent_encoding::utf8_percent_encode;

use super::event::IN_URLS;

/// Where there is a page about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlTemplate(String);

/// What may stand in a template.
const PLACES: [&str; 4] = ["{cluster}", "{namespace}", "{name}", "{uid}"];

impl UrlTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// It is no http(s) URL, or has other words in braces.
    pub fn parse(text: &str) -> Result<Self, String> {
        let filled = PLACES
            .iter()
            .fold(text.to_owned(), |text, place| text.replace(place, "x"));
        if filled.contains(['{', '}']) {
            return Err(format!("only {} may stand in braces", PLACES.join(", ")));
        }
        let url: Uri = filled.parse().map_err(|error| format!("{error}"))?;
        match (url.scheme_str(), url.host()) {
            (Some("https" | "http"), Some(_)) => Ok(Self(text.to_owned())),
            _ => Err("write it as https://…".to_owned()),
        }
    }

    /// The page about this request. Every value is percent-encoded.
    pub(super) fn of(&self, cluster: &str, namespace: &str, name: &str, uid: &str) -> String {
        let values = [cluster, namespace, name, uid];
        // What is put in has no braces left: nothing of it is taken for a place.
        PLACES
            .iter()
            .zip(values)
            .fold(self.0.clone(), |text, (place, value)| {
                text.replace(place, &utf8_percent_encode(value, IN_URLS).to_string())
            })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://requests.example/{user}")]
    #[case("https://requests.example/{name")]
    #[case("requests.example/{name}")]
    #[case("javascript:alert({name})")]
    #[case("")]
    fn what_is_no_template_is_refused(#[case] text: &str) {
        UrlTemplate::parse(text).unwrap_err();
    }
}
