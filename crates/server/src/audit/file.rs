//! The audit in a file of its own (`--audit-log-file`), or on standard output. What cannot be
//! written there does not happen.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use decide::record::{self, MAX_LINE_LEN, Value};
use jiff::Timestamp;
use tracing_subscriber::fmt::MakeWriter;

/// How much the line has that is tried after a failure, beside what it says: it is about as long as
/// the longest.
const FILLER: usize = MAX_LINE_LEN - 512;

/// Where the audit is written. A file that was renamed or removed is opened anew, at the next line.
#[derive(Debug)]
pub struct AuditFile {
    to: Mutex<Open>,
    /// How many lines could not be written, of whomever.
    failures: AtomicU64,
    /// How many of these there were when it was last tried that a line of any length can be.
    overcome: AtomicU64,
}

#[derive(Debug)]
struct Open {
    /// `None`: standard output.
    path: Option<PathBuf>,
    file: Option<File>,
    /// Whether the last line may have been written in part.
    torn: bool,
}

impl AuditFile {
    /// Opens the file, or standard output for `-`.
    ///
    /// # Errors
    /// It cannot be opened to append to it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = (path != Path::new("-")).then(|| path.to_owned());
        let file = path.as_deref().map(append).transpose()?;
        Ok(Self {
            to: Mutex::new(Open {
                path,
                file,
                torn: false,
            }),
            failures: AtomicU64::new(0),
            overcome: AtomicU64::new(0),
        })
    }

    /// Whether lines can be written: after a failure one is tried, as long as any may be. That
    /// somebody's short one could be written says nothing of it.
    ///
    /// # Errors
    /// They cannot.
    pub fn check(&self) -> io::Result<()> {
        let failures = self.failures();
        if self.overcome.load(Ordering::SeqCst) >= failures {
            return Ok(());
        }
        let text = |text: &str| Value::Text(text.to_owned());
        let now = format!("{:.6}", Timestamp::now());
        let fields = [
            ("timestamp", text(&now)),
            ("message", text("the audit can be written again")),
            ("target", text("audit")),
            ("filler", text(&" ".repeat(FILLER))),
        ];
        self.write(record::line(&fields, MAX_LINE_LEN).as_bytes())?;
        self.overcome.fetch_max(failures, Ordering::SeqCst);
        Ok(())
    }

    /// How many lines could not be written so far, of whomever. Where as many could not before and
    /// after a line was written, that one could be.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::SeqCst)
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        let written = self
            .to
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(line);
        if written.is_err() {
            self.failures.fetch_add(1, Ordering::SeqCst);
        }
        written
    }
}

impl Open {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let Some(path) = &self.path else {
            let mut out = io::stdout().lock();
            return Self::whole(&mut self.torn, &mut out, line);
        };
        if !self.file.as_ref().is_some_and(|file| is_at(file, path)) {
            self.file = None;
            self.file = Some(append(path)?);
        }
        let Some(file) = &mut self.file else {
            return Err(io::ErrorKind::NotFound.into());
        };
        Self::whole(&mut self.torn, file, line)
    }

    /// Writes a line, on one of its own whatever became of the one before.
    fn whole(torn: &mut bool, to: &mut impl Write, line: &[u8]) -> io::Result<()> {
        if std::mem::replace(torn, true) {
            to.write_all(b"\n")?;
        }
        to.write_all(line)?;
        to.flush()?;
        *torn = false;
        Ok(())
    }
}

/// Readable to nobody else: commands are in it.
fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// Whether what is open is still what stands at the path.
fn is_at(file: &File, path: &Path) -> bool {
    let id = |metadata: Metadata| (metadata.dev(), metadata.ino());
    let there = std::fs::metadata(path).map(id).ok();
    there.is_some() && there == file.metadata().map(id).ok()
}

/// Writes the lines of one event. One that cannot be written goes to standard error, so that it is
/// not lost.
#[derive(Debug)]
pub struct FileLine(Arc<AuditFile>);

impl Write for FileLine {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.write(line).is_err() {
            io::stderr().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tracing writes audit lines to.
#[derive(Debug, Clone)]
pub struct FileLines(pub Arc<AuditFile>);

impl MakeWriter<'_> for FileLines {
    type Writer = FileLine;

    fn make_writer(&self) -> FileLine {
        FileLine(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // K5
    #[test]
    fn a_file_that_is_rotated_away_is_opened_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("audit.log"), dir.path().join("audit.log.1"));
        std::fs::write(&path, "before\n").unwrap();
        let audit = AuditFile::open(&path).unwrap();
        audit.write(b"one\n").unwrap();
        std::fs::rename(&path, &old).unwrap();
        audit.write(b"two\n").unwrap();
        std::fs::remove_file(&path).unwrap();
        audit.write(b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "before\none\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
    }

    // K5
    #[test]
    fn what_cannot_be_written_is_said_until_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, path) = (dir.path().join("in"), dir.path().join("in/audit.log"));
        std::fs::create_dir(&folder).unwrap();
        let audit = AuditFile::open(&path).unwrap();
        audit.check().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        audit.write(b"lost\n").unwrap_err();
        audit.check().unwrap_err();
        std::fs::create_dir(&folder).unwrap();
        audit.check().unwrap();
        assert!(
            std::fs::read_to_string(&path)
                .unwrap()
                .contains("the audit can be written again")
        );
    }

    // K5
    #[test]
    fn a_line_is_forgiven_by_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, path) = (dir.path().join("in"), dir.path().join("in/audit.log"));
        std::fs::create_dir(&folder).unwrap();
        let audit = AuditFile::open(&path).unwrap();
        let before = audit.failures();
        std::fs::remove_dir_all(&folder).unwrap();
        audit.write(b"jane's\n").unwrap_err();
        std::fs::create_dir(&folder).unwrap();
        audit.write(b"mallory's\n").unwrap();
        assert_ne!(audit.failures(), before, "jane's is lost all the same");
        // Nor does mallory's short one say that a long one can be written.
        audit.check().unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        let tried = written.lines().nth(1).unwrap();
        assert!(
            (MAX_LINE_LEN - 512..=MAX_LINE_LEN).contains(&tried.len()),
            "{}",
            tried.len()
        );
        // Once is enough.
        audit.check().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
    }

    // K5
    #[test]
    fn a_line_that_was_cut_by_a_full_disk_spoils_no_other() {
        struct Full(Vec<u8>, usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let fits = bytes.len().min(self.1.saturating_sub(self.0.len()));
                self.0.extend_from_slice(&bytes[..fits]);
                if fits == 0 {
                    Err(io::ErrorKind::StorageFull.into())
                } else {
                    Ok(fits)
                }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (mut disk, mut torn) = (Full(Vec::new(), 6), false);
        Open::whole(&mut torn, &mut disk, b"{1}\n").unwrap();
        Open::whole(&mut torn, &mut disk, b"{2}\n").unwrap_err();
        disk.1 = 100;
        Open::whole(&mut torn, &mut disk, b"{3}\n").unwrap();
        assert_eq!(disk.0, b"{1}\n{2\n{3}\n");
    }
}
