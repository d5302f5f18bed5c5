//! The words that stand there, read as far as they go: unlike on a command line, anything may be
//! missing.

use clap::{Arg, ArgAction, Command};

/// See the module.
pub(super) struct Words<'a> {
    /// The verb, or what comes before one.
    pub(super) verb: &'a Command,
    /// What stands there beside flags and their values.
    pub(super) positionals: Vec<&'a str>,
    /// The flags that have a value.
    pub(super) values: Vec<(&'a Arg, &'a str)>,
    /// The flag whose value comes next.
    pub(super) expecting: Option<&'a Arg>,
    /// Whether a command for the container has begun, of which we know nothing.
    pub(super) is_command: bool,
    /// The word to complete.
    pub(super) current: &'a str,
}

impl<'a> Words<'a> {
    /// Reads them; the command is built.
    pub(super) fn read(command: &'a Command, words: &'a [String]) -> Self {
        let (current, before) = words
            .split_last()
            .map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
        let (values, positionals) = (Vec::new(), Vec::new());
        let mut read = Self {
            verb: command,
            positionals,
            values,
            expecting: None,
            is_command: false,
            current,
        };
        for word in before {
            read.word(word);
        }
        read.joined_value();
        read
    }

    /// Whether a word stands there already.
    pub(super) fn has(&self, word: &str) -> bool {
        self.positionals.contains(&word)
    }

    fn word(&mut self, word: &'a str) {
        if let Some(flag) = self.expecting.take() {
            self.values.push((flag, word));
        } else if self.is_command {
            // Not ours.
        } else if word == "--" {
            self.is_command = true;
        } else if word.starts_with('-') && word.len() > 1 {
            self.flag(word);
        } else if let Some(verb) = self
            .verb
            .find_subcommand(word)
            .filter(|_| self.positionals.is_empty())
        {
            self.verb = verb;
        } else {
            self.positionals.push(word);
            // Of exec, everything behind the second word is the command's.
            self.is_command = self.verb.get_name() == "exec" && self.positionals.len() > 1;
        }
    }

    fn flag(&mut self, word: &'a str) {
        let Some(long) = word.strip_prefix("--") else {
            return self.short_flags(word);
        };
        let (long, value) = long
            .split_once('=')
            .map_or((long, None), |(long, value)| (long, Some(value)));
        let Some(flag) = self
            .find(|flag| flag.get_long() == Some(long))
            .filter(|flag| takes_value(flag))
        else {
            return;
        };
        match value {
            Some(value) => self.values.push((flag, value)),
            None if flag.is_require_equals_set() => {}
            None => self.expecting = Some(flag),
        }
    }

    /// `-it`, `-n shop`, `-nshop`: the first letter that takes a value has the rest of the word for
    /// one.
    fn short_flags(&mut self, word: &'a str) {
        for (at, letter) in word.char_indices().skip(1) {
            let flag = self
                .find(|flag| flag.get_short() == Some(letter))
                .filter(|flag| takes_value(flag));
            let Some(flag) = flag else { continue };
            let rest = word
                .get(at.saturating_add(letter.len_utf8())..)
                .unwrap_or_default();
            match rest.strip_prefix('=').unwrap_or(rest) {
                "" => self.expecting = Some(flag),
                value => self.values.push((flag, value)),
            }
            return;
        }
    }

    /// `--namespace=sh`: the word to complete is what stands behind the `=`, for shells that split
    /// there.
    fn joined_value(&mut self) {
        if self.expecting.is_some() || self.is_command {
            return;
        }
        let Some((name, value)) = self
            .current
            .strip_prefix("--")
            .and_then(|word| word.split_once('='))
        else {
            return;
        };
        if let Some(flag) = self.find(|flag| flag.get_long() == Some(name)) {
            (self.expecting, self.current) = (Some(flag), value);
        }
    }

    fn find(&self, is: impl Fn(&Arg) -> bool) -> Option<&'a Arg> {
        self.verb.get_arguments().find(|flag| is(flag))
    }
}

fn takes_value(flag: &Arg) -> bool {
    matches!(flag.get_action(), ArgAction::Set | ArgAction::Append)
}
