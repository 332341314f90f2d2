//! Runs of the drivers before the referee, and what it found in all of them.

use std::collections::BTreeSet;

use eclipse_trace::Entry;
use eclipse_trace::rules::{self, End, Level};

/// What the referee came to in some runs.
#[derive(Default)]
pub struct Bench {
    /// Each finding, with the run that it was found in.
    pub findings: Vec<String>,
    /// The rules that applied somewhere, and were kept.
    pub exercised: BTreeSet<&'static str>,
}

impl Bench {
    /// Judges a run by every rule; findings below `from` are nobody's concern.
    pub fn judge(&mut self, run: &str, entries: &[Entry], end: End, from: Level) {
        let report = rules::judge(entries, end);
        for found in report.findings.iter().filter(|found| found.level >= from) {
            let rules::Finding { rule, entry, expected, seen, .. } = found;
            let finding = format!("{run}: {rule} at {entry}: expected {expected}, saw {seen}");
            self.findings.push(finding);
        }
        let exercised = report.rules.iter().filter(|(_, tally)| tally.kept != 0);
        self.exercised.extend(exercised.map(|(rule, _)| rule.id));
    }

    /// Asserts that nothing was found.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.findings.is_empty(), "{}", self.findings.join("\n"));
    }
}
