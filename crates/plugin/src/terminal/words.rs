//! Words of a command line.

/// Words of a command line, put together.
#[derive(Default)]
pub struct Words(Vec<String>);

impl Words {
    /// Begins with the verb of kubectl.
    pub fn of(verb: &str) -> Self {
        Self(vec![verb.to_owned()])
    }

    /// A flag, where it is given.
    #[must_use]
    pub fn flag(mut self, given: bool, flag: &str) -> Self {
        self.0.extend(given.then(|| flag.to_owned()));
        self
    }

    /// A flag with a value, where there is one, in one word: so that a value that begins with a
    /// dash stays one.
    #[must_use]
    pub fn value(mut self, flag: &str, value: Option<&str>) -> Self {
        self.0.extend(value.map(|value| format!("{flag}={value}")));
        self
    }

    /// Plain words.
    #[must_use]
    pub fn plain<S: AsRef<str>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.0
            .extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// A command behind two dashes, and the end. Nothing stands there where there is none.
    pub fn command(mut self, command: &[String]) -> Vec<String> {
        if !command.is_empty() {
            self.0.push("--".to_owned());
            self.0.extend_from_slice(command);
        }
        self.0
    }
}
