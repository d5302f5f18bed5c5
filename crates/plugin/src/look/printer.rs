//! Requests, printed as they come.

use std::io;

use api::AccessRequest;
use clap::ValueEnum;
use kube::ResourceExt as _;
use serde_json::Value;

use crate::ask::same;
use crate::terminal::Terminal;
use crate::terminal::output;
use crate::terminal::table::{Form, Layout, Table};
use decide::text::safe_word;

/// Rows that are laid out together: identical requests among them are one row.
const ROWS: usize = 500;

/// How several requests are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// A line each.
    Table,
    /// A line each, nothing cut.
    Wide,
    /// A v1 List as JSON.
    Json,
    /// A v1 List as YAML.
    Yaml,
    /// `accessrequest.spreadgroup.com/NAME`.
    Name,
}

/// How requests are printed.
pub(super) struct Manner {
    pub(super) format: ListFormat,
    /// The namespaces are named.
    pub(super) namespaces: bool,
    /// Changes are printed below the list (`--watch`), so that each object stands by itself.
    pub(super) goes_on: bool,
    /// The line that says in which cluster and namespace they are.
    pub(super) place: String,
    /// What is printed where there are no requests.
    pub(super) nothing: String,
}

/// Why requests were not printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// A request cannot be written as JSON or YAML.
    #[error("cannot print the requests")]
    Object(#[from] serde_json::Error),
    /// A stream failed.
    #[error("cannot write to the terminal")]
    Terminal(#[from] io::Error),
}

/// Prints requests, of which it keeps no more than the rows that are laid out next.
pub(super) struct Printer {
    manner: Manner,
    /// The rows that are laid out next.
    next: Vec<AccessRequest>,
    table: Option<Table>,
    /// Whether anything was printed.
    begun: bool,
}

impl Printer {
    pub(super) fn new(manner: Manner) -> Self {
        Self {
            manner,
            next: Vec::new(),
            table: None,
            begun: false,
        }
    }

    /// Prints some more.
    pub(super) fn print(
        &mut self,
        requests: Vec<AccessRequest>,
        last: bool,
        terminal: &mut Terminal<'_>,
    ) -> Result<(), PrintError> {
        match self.manner.format {
            ListFormat::Table | ListFormat::Wide => {
                self.next.extend(requests);
                if !last && self.next.len() >= ROWS {
                    self.rows(false, terminal)?;
                }
            }
            ListFormat::Json | ListFormat::Yaml | ListFormat::Name => {
                for request in requests {
                    let text = self.object(&request)?;
                    self.begun = true;
                    write!(terminal.out, "{text}")?;
                }
            }
        }
        Ok(terminal.out.flush()?)
    }

    /// The end of the list, and the table, for what comes below it.
    pub(super) fn end(mut self, terminal: &mut Terminal<'_>) -> Result<Option<Table>, PrintError> {
        let Manner {
            format, goes_on, ..
        } = self.manner;
        match format {
            ListFormat::Json | ListFormat::Yaml if !goes_on => {
                let end = match (format, self.begun) {
                    (ListFormat::Json, true) => "\n    ]\n}\n".to_owned(),
                    (_, true) => String::new(),
                    (_, false) => none(format)?,
                };
                write!(terminal.out, "{end}")?;
            }
            ListFormat::Table | ListFormat::Wide | ListFormat::Name
                if !goes_on && !self.begun && self.next.is_empty() =>
            {
                writeln!(terminal.err, "{}", self.manner.nothing)?;
            }
            ListFormat::Table | ListFormat::Wide => self.rows(true, terminal)?,
            ListFormat::Json | ListFormat::Yaml | ListFormat::Name => {}
        }
        Ok(self.table)
    }

    /// Lays out the next rows. The first ones say how wide the columns are; they grow where they must.
    fn rows(&mut self, last: bool, terminal: &mut Terminal<'_>) -> io::Result<()> {
        let requests = std::mem::take(&mut self.next);
        let wide = self.manner.format == ListFormat::Wide;
        let groups: Vec<_> = if wide || self.manner.goes_on {
            requests.into_iter().map(|request| vec![request]).collect()
        } else {
            same::grouped(requests)
        };
        let now = terminal.now.timestamp();
        let text = if let Some(table) = &mut self.table {
            table.rows(&groups, now)
        } else {
            if terminal.shown || wide {
                writeln!(terminal.out, "{}", self.manner.place)?;
            }
            let layout = Layout {
                namespaces: self.manner.namespaces,
                form: if wide { Form::Wide } else { Form::Short },
                width: terminal.columns(),
            };
            // Whether two of those that come are the same is not known yet.
            let counted = !wide && !last;
            let (table, text) = Table::begin(&groups, layout, counted, now);
            self.table = Some(table);
            text
        };
        self.begun = true;
        write!(terminal.out, "{text}")
    }

    /// One object, in a list or alone.
    fn object(&self, request: &AccessRequest) -> serde_json::Result<String> {
        let format = self.manner.format;
        if self.manner.goes_on || format == ListFormat::Name {
            return object(request, format);
        }
        let before = match format {
            _ if !self.begun => head(format)? + "\n",
            ListFormat::Json => ",\n".to_owned(),
            ListFormat::Table | ListFormat::Wide | ListFormat::Yaml | ListFormat::Name => {
                String::new()
            }
        };
        let value = output::value_of(request)?;
        Ok(if format == ListFormat::Json {
            let item = output::json(&value)?;
            before + "        " + &item.trim_end().replace('\n', "\n        ")
        } else {
            before + &output::yaml(&Value::Array(vec![value]))
        })
    }
}

/// An empty list.
fn none(format: ListFormat) -> serde_json::Result<String> {
    let list = output::list_of(&[]);
    if format == ListFormat::Json {
        output::json(&list)
    } else {
        Ok(output::yaml(&list))
    }
}

/// What stands before the items of a list.
fn head(format: ListFormat) -> serde_json::Result<String> {
    let list = none(format)?;
    let end = if format == ListFormat::Json {
        "]\n}\n"
    } else {
        " []\n"
    };
    Ok(list.strip_suffix(end).unwrap_or(&list).to_owned())
}

/// One request alone.
pub(super) fn object(request: &AccessRequest, format: ListFormat) -> serde_json::Result<String> {
    Ok(match format {
        ListFormat::Json => output::json(&output::value_of(request)?)?,
        ListFormat::Yaml => format!("---\n{}", output::yaml(&output::value_of(request)?)),
        ListFormat::Table | ListFormat::Wide | ListFormat::Name => format!(
            "accessrequest.{}/{}\n",
            api::objects::GROUP,
            safe_word(&request.name_any())
        ),
    })
}
