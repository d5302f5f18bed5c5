//! By what the API server chooses requests: field selectors, in its own syntax.

use api::Phase;

/// Where a request stands.
const PHASE: &str = "status.phase";
/// Who asks, as the server wrote it down.
const REQUESTER: &str = "spec.userInfo.username";
/// What the authenticator puts before that name.
const PREFIX: &str = "spec.usernamePrefix";

/// All of these at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<String>);

impl Fields {
    /// Those in one of these phases. A request that no server has looked at yet has none, and is
    /// pending: it stays in one list with those whose phase says so, for it may get one between two.
    #[must_use]
    pub fn in_phase(self, phases: &[Phase]) -> Self {
        let unset = phases.contains(&Phase::Pending);
        match phases {
            [one] if !unset => self.and(PHASE, "=", word(*one)),
            _ => {
                let others = ALL.into_iter().filter(|phase| !phases.contains(phase));
                let fields = if unset {
                    self
                } else {
                    self.and(PHASE, "!=", "")
                };
                others.fold(fields, |fields, phase| fields.and(PHASE, "!=", word(phase)))
            }
        }
    }

    /// Those for whom this name is written down.
    #[must_use]
    pub fn of(self, user: &str) -> Self {
        self.and(REQUESTER, "=", user)
    }

    /// Those with this prefix.
    #[must_use]
    pub fn with_prefix(self, prefix: &str) -> Self {
        self.and(PREFIX, "=", prefix)
    }

    /// Those with any prefix but this one; with an empty one, those that have a prefix.
    #[must_use]
    pub fn without_prefix(self, prefix: &str) -> Self {
        self.and(PREFIX, "!=", prefix)
    }

    /// As a query has them. `None`: there is nothing to choose by.
    pub fn text(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.join(","))
    }

    fn and(mut self, field: &str, operator: &str, value: &str) -> Self {
        self.0.push(format!("{field}{operator}{}", escaped(value)));
        self
    }
}

const ALL: [Phase; 5] = [
    Phase::Pending,
    Phase::Granted,
    Phase::Denied,
    Phase::Used,
    Phase::Expired,
];

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "Pending",
        Phase::Granted => "Granted",
        Phase::Denied => "Denied",
        Phase::Used => "Used",
        Phase::Expired => "Expired",
    }
}

/// A value inside of a selector: names out of certificates have commas and equals signs.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '\\' | ',' | '=') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::what_has_no_phase_yet_waits_too(
        &[Phase::Pending],
        "status.phase!=Granted,status.phase!=Denied,status.phase!=Used,status.phase!=Expired"
    )]
    #[case::one(&[Phase::Granted], "status.phase=Granted")]
    #[case(&[Phase::Pending, Phase::Granted], "status.phase!=Denied,status.phase!=Used,status.phase!=Expired")]
    #[case(
        &[Phase::Granted, Phase::Used],
        "status.phase!=,status.phase!=Pending,status.phase!=Denied,status.phase!=Expired"
    )]
    fn phases_are_chosen_in_one_list(#[case] phases: &[Phase], #[case] text: &str) {
        assert_eq!(
            Fields::default().in_phase(phases).text().as_deref(),
            Some(text)
        );
    }

    #[test]
    fn a_name_cannot_add_to_what_is_chosen() {
        let fields = Fields::default().of("CN=jane,status.phase!=Granted\\");
        assert_eq!(
            fields.text().as_deref(),
            Some("spec.userInfo.username=CN\\=jane\\,status.phase!\\=Granted\\\\")
        );
        assert_eq!(Fields::default().text(), None);
    }

    #[test]
    fn phases_are_written_as_they_are_stored() {
        for phase in ALL {
            assert_eq!(serde_json::to_value(phase).unwrap(), word(phase));
        }
    }
}
