//! The results for people who see them for the first time.

use std::fmt::Write as _;

use super::{cells::Cell, disturbed::Disturbed, results::Results};

/// Everything.
pub(super) fn of(results: &Results) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _: std::fmt::Result = write(results, &mut text);
    text
}

fn write(results: &Results, text: &mut String) -> std::fmt::Result {
    let cores = &results.cores;
    let pinned = if cores.server.is_empty() {
        "nothing is pinned".to_owned()
    } else {
        format!(
            "the server runs on core {:?}, the load generator on {:?}, etcd and kube-apiserver anywhere",
            cores.server, cores.load
        )
    };
    writeln!(
        text,
        "\nkube-request-access {}: decisions over HTTPS, {} connections, one review at a time on each; {pinned}.\n",
        results.version, results.connections
    )?;
    decisions(results, text)?;
    starts(results, text)?;
    if !results.disturbed.is_empty() {
        disturbed(&results.disturbed, text)?;
    }
    ratios(results, text)?;
    writeln!(text, "\nMeasured in {:.0} s.", results.seconds)
}

fn decisions(results: &Results, text: &mut String) -> std::fmt::Result {
    if results.decisions.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "{:>8} {:>8}  {:<16}{:>9}{:>9}{:>9}{:>9}{:>9}{:>12}{:>12}{:>8}",
        "requests",
        "policies",
        "scenario",
        "a second",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
        "CPU s/1,000",
        "API s/1,000",
        "errors"
    )?;
    for cell in &results.decisions {
        row(cell, text)?;
    }
    for cell in &results.decisions {
        for (error, count) in &cell.report.errors {
            writeln!(
                text,
                "{} at {}: {count} × {error}",
                cell.scenario.name(),
                cell.objects
            )?;
        }
    }
    Ok(())
}

/// One line, as it is told at once too: an hour may not come to its end.
pub(super) fn row(cell: &Cell, text: &mut String) -> std::fmt::Result {
    let latency = cell.report.latency_ms;
    let cpu = if cell.cpu_seconds_per_1000 > 0.0 {
        format!("{:.3}", cell.cpu_seconds_per_1000)
    } else {
        "-".to_owned()
    };
    writeln!(
        text,
        "{:>8} {:>8}  {:<16}{:>9.0}{:>9.2}{:>9.2}{:>9.2}{:>9.1}{cpu:>12}{:>12.3}{:>8}",
        cell.objects,
        cell.policies,
        cell.scenario.name(),
        cell.per_second,
        latency.p50,
        latency.p99,
        latency.p999,
        latency.max,
        cell.control_plane_cpu_seconds_per_1000,
        cell.report.failed(),
    )
}

fn starts(results: &Results, text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "\nStarts\n{:>8} {:>8}{:>12}{:>14}{:>12}{:>13}{:>10}{:>9}",
        "requests",
        "policies",
        "ready, s",
        "peak then, MB",
        "at rest, s",
        "at rest, MB",
        "peak, MB",
        "CPU, s"
    )?;
    for started in &results.starts {
        let start = started.start;
        let settled = start
            .settled_ms
            .map_or_else(|| "never".to_owned(), |ms| format!("{:.1}", ms / 1000.0));
        writeln!(
            text,
            "{:>8} {:>8}{:>12.2}{:>14.1}{settled:>12}{:>13.1}{:>10.1}{:>9.1}",
            started.objects,
            started.policies,
            start.ready_ms / 1000.0,
            start.peak_mb_at_ready,
            start.settled_mb,
            start.peak_mb,
            start.cpu_seconds,
        )?;
    }
    Ok(())
}

/// The same of what was disturbed.
pub(super) fn disturbed(all: &[Disturbed], text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "\nDisturbed: 500 denials a second and 50 times /ready, due whatever the server does\n{:>8}  {:<8}{:<9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>8}{:>10}",
        "requests",
        "while",
        "asked",
        "answers",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
        "errors",
        "peak, MB"
    )?;
    for one in all {
        for (asked, report) in [("denials", &one.denials), ("/ready", &one.ready)] {
            let latency = report.latency_ms;
            writeln!(
                text,
                "{:>8}  {:<8}{asked:<9}{:>9}{:>9.2}{:>9.2}{:>9.2}{:>9.1}{:>8}{:>10.1}",
                one.objects,
                one.scenario.name(),
                report.answers,
                latency.p50,
                latency.p99,
                latency.p999,
                latency.max,
                report.failed(),
                one.peak_mb,
            )?;
        }
    }
    for one in all {
        for (error, count) in one.denials.errors.iter().chain(&one.ready.errors) {
            writeln!(
                text,
                "{} at {}: {count} × {error}",
                one.scenario.name(),
                one.objects
            )?;
        }
    }
    Ok(())
}

fn ratios(results: &Results, text: &mut String) -> std::fmt::Result {
    if results.ratios.is_empty() {
        return Ok(());
    }
    writeln!(text, "\nRatios: less is better")?;
    for ratio in &results.ratios {
        let recorded = match ratio.recorded {
            Some(recorded) if ratio.is_good() => format!(" (recorded: {recorded:.2})"),
            Some(recorded) => format!(" (recorded: {recorded:.2}): TOO MUCH"),
            None => String::new(),
        };
        writeln!(
            text,
            "{:>8.2}  {}: {}{recorded}",
            ratio.value, ratio.name, ratio.meaning
        )?;
    }
    Ok(())
}
