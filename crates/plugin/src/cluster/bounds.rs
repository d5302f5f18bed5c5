//! How much of a list is taken: one without an end would fill the memory.

/// Maximum number of objects that are listed: more are no list for people.
pub(super) const MAX_LISTED: usize = 200_000;
/// Maximum size of all that are listed.
pub(super) const MAX_MIB: usize = 256;
const MAX_BYTES: usize = MAX_MIB * 1024 * 1024;
/// Maximum number of answers of which a list consists.
const MAX_ANSWERS: usize = 500;

/// What a list has taken so far. What comes twice is dropped, and not counted.
#[derive(Debug, Default)]
pub(super) struct Spent {
    answers: usize,
    listed: usize,
    bytes: usize,
}

impl Spent {
    /// One more object of this size.
    pub(super) fn one(&mut self, size: usize) {
        self.listed = self.listed.saturating_add(1);
        self.bytes = self.bytes.saturating_add(size);
    }

    /// The end of an answer.
    pub(super) fn answer(&mut self) {
        self.answers = self.answers.saturating_add(1);
    }

    /// Whether anything came.
    pub(super) fn is_begun(&self) -> bool {
        self.answers > 0 || self.listed > 0
    }

    /// `goes_on`: another answer is to come.
    pub(super) fn is_too_much(&self, goes_on: bool) -> bool {
        goes_on && self.answers >= MAX_ANSWERS || self.listed > MAX_LISTED || self.bytes > MAX_BYTES
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // P17
    #[rstest]
    #[case::few((3, 1000, 10), false)]
    #[case::no_more_than_two_of_the_largest((2, MAX_BYTES / 2, 1000), false)]
    #[case::bytes((3, MAX_BYTES / 2, 1000), true)]
    #[case::pages((MAX_ANSWERS, 1, 0), true)]
    #[case::requests((1, 1, MAX_LISTED + 1), true)]
    fn a_list_is_bounded_over_all_of_its_answers(
        #[case] (pages, size, listed): (usize, usize, usize),
        #[case] too_much: bool,
    ) {
        let mut spent = Spent::default();
        let ended = (0..pages).any(|_| {
            spent.one(size);
            spent.listed = listed;
            spent.answer();
            spent.is_too_much(true)
        });
        assert_eq!(ended, too_much);
    }
}
