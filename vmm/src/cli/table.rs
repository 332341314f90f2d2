use std::fmt::Write;

use eclipse_trace::Summary;

use crate::Timing;

/// A run in numbers, for people.
pub(super) fn table(summary: &Summary, timing: &Timing) -> String {
    let Summary { config, port, mmio, refused, .. } = summary;
    let requests: Vec<_> =
        summary.requests.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let total: u64 = summary.requests.values().sum();
    let bytes = summary.bytes_in + summary.bytes_out;
    let rows = [
        (
            "accesses",
            summary.accesses().to_string(),
            format!("config {config}, port {port}, mmio {mmio}; refused {refused}"),
        ),
        ("requests", total.to_string(), requests.join(", ")),
        (
            "bytes",
            bytes.to_string(),
            format!("read {}, written {}", summary.bytes_in, summary.bytes_out),
        ),
        ("interrupts", summary.interrupts.to_string(), String::new()),
        ("violations", summary.violations.to_string(), String::new()),
        ("guest", format!("{:.1} ms", 1e3 * timing.guest.as_secs_f64()), String::new()),
        (
            "VMM",
            format!("{:.1} ms", 1e3 * timing.vmm.as_secs_f64()),
            match timing.median_access() {
                Some(time) => format!("{} exits; {} ns an access", timing.exits, time.as_nanos()),
                None => format!("{} exits", timing.exits),
            },
        ),
    ];
    let faults = ("faults", summary.faults.to_string(), String::new());
    let mut rows = rows.to_vec();
    if summary.faults > 0 {
        rows.insert(5, faults);
    }
    let mut text = String::from("\n");
    for (name, number, detail) in rows {
        let line = format!("{name:<10} {number:>10}  {detail}");
        // Writing to a String does not fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
