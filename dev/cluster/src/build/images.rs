//! The images every cluster has.

use std::process::Command;

use super::command::run;
use super::error::BuildError;
use super::staging::Staging;
use crate::image::{self, Entry, Image};

/// Counts changes of the images made here, which the cache's keys would not see otherwise.
pub(super) const VERSION: u32 = 1;

/// The image that holds a pod's sandbox open.
pub(crate) const PAUSE: &str = "localhost/pause:1";
/// The image with a shell and the usual commands.
pub(crate) const BUSYBOX: &str = "localhost/busybox:1";

/// The images' archives, beside the binaries.
pub(crate) const PAUSE_TAR: &str = "pause.tar";
pub(crate) const BUSYBOX_TAR: &str = "busybox.tar";

pub(super) fn pause(part: &'static str, staging: &Staging) -> Result<(), BuildError> {
    let binary = staging.out().join("pause");
    write(
        part,
        &Image {
            entries: vec![Entry::Copy {
                path: "pause".to_owned(),
                from: binary,
            }],
            ..mk(PAUSE, &["/pause"])
        },
        staging,
        PAUSE_TAR,
    )
}

pub(super) fn busybox(part: &'static str, staging: &Staging) -> Result<(), BuildError> {
    let binary = staging.out().join("busybox");
    let applets = run(part, Command::new(&binary).arg("--list"))?;
    let links = applets.lines().filter(|applet| *applet != "busybox");
    let links = links.map(|applet| Entry::Link {
        path: format!("bin/{applet}"),
        target: "busybox".to_owned(),
    });
    let mut entries = base();
    entries.push(Entry::Copy {
        path: "bin/busybox".to_owned(),
        from: binary,
    });
    entries.extend(links);
    let image = Image {
        entries,
        cmd: vec!["sh".to_owned()],
        env: vec!["PATH=/bin".to_owned()],
        ..mk(BUSYBOX, &[])
    };
    write(part, &image, staging, BUSYBOX_TAR)
}

fn base() -> Vec<Entry> {
    let dir = |path: &str, mode| Entry::Dir {
        path: path.to_owned(),
        mode,
    };
    let text = |path: &str, text: &str| Entry::Text {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    vec![
        dir("tmp", 0o1777),
        dir("root", 0o700),
        dir("proc", 0o755),
        dir("sys", 0o755),
        dir("dev", 0o755),
        text(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        ),
        text("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ]
}

fn mk(tag: &str, entrypoint: &[&str]) -> Image {
    Image {
        tag: tag.to_owned(),
        entrypoint: entrypoint.iter().map(|&word| word.to_owned()).collect(),
        ..Image::default()
    }
}

fn write(
    part: &'static str,
    image: &Image,
    staging: &Staging,
    file: &str,
) -> Result<(), BuildError> {
    image::write(image, &staging.out().join(file))
        .map_err(|source| BuildError::Image { part, source })
}
