//! What a process costs, as the kernel counts it; and on which cores one runs.

use std::{
    fs, io,
    time::{Duration, Instant},
};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// What a process has used so far, and holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, its own and the kernel's for it.
    pub cpu: Duration,
    /// Resident memory, in bytes.
    pub rss: u64,
    /// The most that it ever was.
    pub peak: u64,
}

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
#[error("cannot read /proc/{pid}: is there such a process?")]
pub struct UsageError {
    pid: u32,
    source: io::Error,
}

/// What a process has used.
///
/// # Errors
/// There is no such process.
pub fn usage(pid: u32) -> Result<Usage, UsageError> {
    let read = |file: &str| {
        fs::read_to_string(format!("/proc/{pid}/{file}"))
            .map_err(|source| UsageError { pid, source })
    };
    let status = read("status")?;
    Ok(Usage {
        cpu: cpu(&read("stat")?, rustix::param::clock_ticks_per_second()),
        rss: kilobytes(&status, "VmRSS:"),
        peak: kilobytes(&status, "VmHWM:"),
    })
}

/// Fields 14 and 15: user and system time in ticks. The name, field 2, may have spaces in it.
fn cpu(stat: &str, ticks: u64) -> Duration {
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let used: u64 = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    let nanos = used.saturating_mul(1_000_000_000).checked_div(ticks);
    Duration::from_nanos(nanos.unwrap_or_default())
}

fn kilobytes(status: &str, field: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or_default()
        .saturating_mul(1024)
}

/// Waits until a process has done next to nothing for a second, and says how long that took; `None`:
/// it never did in that time.
///
/// # Errors
/// It is gone.
pub fn settled(pid: u32, patience: Duration) -> Result<Option<Duration>, UsageError> {
    const QUIET: Duration = Duration::from_millis(30);
    const STEP: Duration = Duration::from_millis(500);
    let started = Instant::now();
    let mut before = usage(pid)?.cpu;
    let mut quiet = 0_u32;
    while started.elapsed() < patience {
        std::thread::sleep(STEP);
        let now = usage(pid)?.cpu;
        quiet = if now.saturating_sub(before) < QUIET {
            quiet.saturating_add(1)
        } else {
            0
        };
        if quiet >= 2 {
            return Ok(Some(
                started.elapsed().saturating_sub(STEP.saturating_mul(2)),
            ));
        }
        before = now;
    }
    Ok(None)
}

/// The cores that this process may use.
///
/// # Errors
/// The kernel does not say.
pub fn cores() -> io::Result<Vec<usize>> {
    let allowed = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|&core| allowed.is_set(core))
        .collect())
}

/// Keeps the calling thread on these cores; on none: leaves it where it is.
///
/// # Errors
/// There is no such core.
pub fn pin(cores: &[usize]) -> io::Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for &core in cores.iter().filter(|&&core| core < CpuSet::MAX_CPU) {
        set.set(core);
    }
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_hides_no_field() {
        let stat = "12 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 7 8";
        assert_eq!(cpu(stat, 100), Duration::from_secs(2));
    }

    #[test]
    fn this_process_is_somewhere_and_one_that_is_not_is_named() {
        let own = usage(std::process::id()).unwrap();
        assert!(own.rss > 0 && own.peak >= own.rss);
        assert!(!cores().unwrap().is_empty());
        let error = usage(u32::MAX).unwrap_err().to_string();
        assert!(error.contains("is there such a process?"), "{error}");
    }
}
