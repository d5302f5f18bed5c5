//! The story that the project tells, played with stock kubectl: each command as it is typed, its
//! real output, and a check that what happened is what should have.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output, Stdio},
};

/// Where the story is played.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Has `kubectl` and `kubectl-request`.
    pub bin: PathBuf,
    /// Has the contexts jane and amy.
    pub kubeconfig: PathBuf,
    /// Whether developers have standing rights to exec; without, RBAC speaks before we do.
    pub standing_rights: bool,
}

/// Why the story did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StoryError {
    /// A command cannot be run, or its output not be shown.
    #[error("cannot play {command}")]
    Play {
        /// The command.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// Something else happened.
    #[error(
        "the story went wrong at \"{step}\": {command}: expected {expected}, but it ended with {status} and said:\n{output}"
    )]
    Unexpected {
        /// Where in the story.
        step: String,
        /// The command.
        command: String,
        /// What should have happened.
        expected: String,
        /// How it ended.
        status: String,
        /// All it said.
        output: String,
    },
    /// A request without a name.
    #[error("no request was created: {output}")]
    NoName {
        /// What was said instead.
        output: String,
    },
}

/// How a command should end.
#[derive(Debug, Clone, Copy)]
pub enum End<'a> {
    /// With success, and this in its output.
    Well(&'a str),
    /// Refused, with this in its output.
    Refused(&'a str),
}

impl End<'_> {
    /// Answers with what a command said, where it ended as it should.
    ///
    /// # Errors
    /// It did not; `step` is where in the story that was.
    pub fn check(
        self,
        step: &str,
        command: &str,
        status: ExitStatus,
        said: String,
    ) -> Result<String, StoryError> {
        let (success, text) = match self {
            Self::Well(text) => (true, text),
            Self::Refused(text) => (false, text),
        };
        if status.success() == success && said.contains(text) {
            return Ok(said);
        }
        let expected = format!(
            "{} with {text:?}",
            if success { "success" } else { "a refusal" }
        );
        let (step, command) = (step.to_owned(), command.to_owned());
        Err(StoryError::Unexpected {
            step,
            command,
            expected,
            status: status.to_string(),
            output: said,
        })
    }
}

/// Plays the story, and tells it to `to`.
///
/// # Errors
/// Something else happened.
pub fn play(stage: &Stage, to: &mut impl Write) -> Result<(), StoryError> {
    let mut teller = Teller {
        stage,
        to,
        step: String::new(),
    };
    teller.once()?;
    teller.for_an_hour()?;
    teller.say("The story happened as it should.")
}

struct Teller<'a, W> {
    stage: &'a Stage,
    to: &'a mut W,
    /// What was said last.
    step: String,
}

impl<W: Write> Teller<'_, W> {
    fn once(&mut self) -> Result<(), StoryError> {
        let no = if self.stage.standing_rights {
            "you have not asked for this yet"
        } else {
            "cannot create resource"
        };
        self.say("1. jane runs a command in a pod. She has not asked for it.")?;
        self.kubectl(
            "--context jane exec deploy/nginx -- ls",
            None,
            End::Refused(no),
        )?;
        self.say("2. She asks.")?;
        let name = self
            .ask("request --context jane exec deploy/nginx --reason 'what is in there?' -- ls")?;
        self.say("3. amy, who may grant, reads the request and says yes.")?;
        self.read_and_grant(&name)?;
        let wait = format!("--context jane wait --for=condition=Granted --timeout=30s acr/{name}");
        self.kubectl(&wait, None, End::Well("condition met"))?;
        self.say("4. The same command works, once.")?;
        self.kubectl(
            "--context jane exec deploy/nginx -- ls",
            None,
            End::Well("www"),
        )?;
        self.kubectl(
            "--context jane exec deploy/nginx -- ls",
            None,
            End::Refused("was for one use"),
        )
        .map(drop)
    }

    fn for_an_hour(&mut self) -> Result<(), StoryError> {
        self.say("5. For an hour: again and again, but nothing else.")?;
        let name = self
            .ask("request --context jane exec deploy/nginx --valid-for 1h -- cat www/index.html")?;
        self.read_and_grant(&name)?;
        let wait = format!("--context jane wait --for=condition=Granted --timeout=30s acr/{name}");
        self.kubectl(&wait, None, End::Well("condition met"))?;
        for _ in 0..2 {
            self.kubectl(
                "--context jane exec deploy/nginx -- cat www/index.html",
                None,
                End::Well("Welcome"),
            )?;
        }
        let other = "--context jane exec deploy/nginx -- cat /etc/passwd";
        self.kubectl(
            other,
            None,
            End::Refused(r#"you ran     ["cat","/etc/passwd"]"#),
        )?;
        self.say("6. Deleting the request ends the access at once.")?;
        self.kubectl(
            &format!("--context jane delete acr {name}"),
            None,
            End::Well("deleted"),
        )?;
        let again = "--context jane exec deploy/nginx -- cat www/index.html";
        self.kubectl(again, None, End::Refused(self.refusal_at_the_end()))
            .map(drop)
    }

    /// Without standing rights RBAC may have seen that the binding is gone, or not yet.
    fn refusal_at_the_end(&self) -> &'static str {
        if self.stage.standing_rights {
            "you have not asked for this yet"
        } else {
            "error: unable to upgrade connection"
        }
    }

    fn ask(&mut self, line: &str) -> Result<String, StoryError> {
        let output = self.kubectl(line, None, End::Well("created accessrequest"))?;
        let name = output.split_whitespace().nth(2).map(str::to_owned);
        name.ok_or(StoryError::NoName { output })
    }

    /// amy reads a request, and grants exactly the one that she read.
    fn read_and_grant(&mut self, name: &str) -> Result<(), StoryError> {
        let show = format!("request --context amy show {name}");
        let output = self.kubectl(&show, None, End::Well("can run"))?;
        let Some(exactly) = output.split_whitespace().nth(1).map(str::to_owned) else {
            return Err(StoryError::NoName { output });
        };
        let grant = format!("request --context amy grant {exactly} --yes");
        self.kubectl(&grant, None, End::Well("created grant"))
            .map(drop)
    }

    /// Runs a line as a shell would, shows it with its output, and checks how it ended.
    fn kubectl(
        &mut self,
        line: &str,
        input: Option<&str>,
        end: End<'_>,
    ) -> Result<String, StoryError> {
        let command = format!("kubectl {line}");
        let failed = |source| StoryError::Play {
            command: command.clone(),
            source,
        };
        let typed = input
            .map(|input| format!("echo {} | ", input.trim()))
            .unwrap_or_default();
        writeln!(self.to, "$ {typed}{command}").map_err(failed)?;
        let output = run(self.stage, &command, input).map_err(failed)?;
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        writeln!(self.to, "{}\n", said.trim_end()).map_err(failed)?;
        end.check(&self.step, &command, output.status, said)
    }

    fn say(&mut self, text: &str) -> Result<(), StoryError> {
        text.clone_into(&mut self.step);
        writeln!(self.to, "# {text}").map_err(|source| StoryError::Play {
            command: text.to_owned(),
            source,
        })
    }
}

fn run(stage: &Stage, line: &str, input: Option<&str>) -> io::Result<Output> {
    let mut child = Command::new("sh")
        .args(["-c", line])
        .env("PATH", path_with(&stage.bin))
        .env("KUBECONFIG", &stage.kubeconfig)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.unwrap_or_default().as_bytes())?;
    }
    child.wait_with_output()
}

/// PATH with a directory in front.
pub fn path_with(bin: &Path) -> std::ffi::OsString {
    let mut path = bin.as_os_str().to_owned();
    if let Some(rest) = std::env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    path
}
