use std::num::NonZeroU64;

use serde::Serialize;

use super::{At, Level, Rule};
use crate::Bdf;

/// A rule that the driver broke, and where.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// Where it stands.
    pub clause: &'static str,
    /// How strongly the specification asks for it.
    pub level: Level,
    /// What the rule asks for.
    pub text: &'static str,
    /// The entry that broke it; `None` when it is the end of the transcript that did.
    pub seq: Option<u64>,
    /// The guest's instruction, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rip: Option<NonZeroU64>,
    /// Where that is: the guest's function and line, or the line of a log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The function that it happened at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<Bdf>,
    /// The entry as `show` prints it.
    pub entry: String,
    /// What a driver that keeps the rule would have done.
    pub expected: String,
    /// What this one did.
    pub seen: String,
}

/// How a rule fared in one transcript.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// How often it applied and was kept.
    pub kept: u64,
    /// How often it was broken.
    pub broken: u64,
}

impl Tally {
    /// Whether the transcript has an example of what the rule is about.
    pub fn exercised(&self) -> bool {
        self.kept + self.broken != 0
    }
}

/// What a judge came to.
#[derive(Debug)]
pub struct Report {
    /// The rules that were broken, in the order of the transcript, at most
    /// [`Report::KEPT`] times each; the tallies count all.
    pub findings: Vec<Finding>,
    /// How each rule fared, in the catalogue's order.
    pub rules: Vec<(&'static Rule, Tally)>,
    /// How many entries there were.
    pub entries: u64,
    /// What the record does not show, and so nobody judged.
    pub notes: Vec<String>,
}

impl Report {
    /// How many findings of one rule are kept.
    pub const KEPT: u64 = 16;

    /// Has the findings say where the guest's instructions are, by `locate`.
    pub fn place(&mut self, locate: impl Fn(u64) -> Option<String>) {
        for finding in &mut self.findings {
            finding.place = finding.rip.and_then(|rip| locate(rip.get()));
        }
    }

    /// How often a rule of this level was broken.
    pub fn broken(&self, level: Level) -> u64 {
        let of = self.rules.iter().filter(|(rule, _)| rule.level == level);
        of.map(|(_, tally)| tally.broken).sum()
    }

    /// The rules that were broken, by name, in the catalogue's order.
    pub fn broken_rules(&self) -> Vec<&'static str> {
        let broken = self.rules.iter().filter(|(_, tally)| tally.broken != 0);
        broken.map(|(rule, _)| rule.id).collect()
    }
}

/// Where a state machine says what it found.
pub struct Out<'a> {
    pub(super) rule: &'static Rule,
    pub(super) tally: &'a mut Tally,
    pub(super) findings: &'a mut Vec<Finding>,
    /// `None` at the end.
    pub(super) at: Option<&'a At<'a>>,
}

impl Out<'_> {
    /// The rule applied, and was kept.
    pub fn kept(&mut self) {
        self.tally.kept += 1;
    }

    /// The rule applied: if `kept`, all is well, else what was expected and seen is asked for.
    pub fn check<E: Into<String>, S: Into<String>>(
        &mut self,
        kept: bool,
        why: impl FnOnce() -> (E, S),
    ) {
        if kept {
            return self.kept();
        }
        let (expected, seen) = why();
        self.broken(expected, seen);
    }

    /// The rule applied, and was broken.
    pub fn broken(&mut self, expected: impl Into<String>, seen: impl Into<String>) {
        self.tally.broken += 1;
        if self.tally.broken > Report::KEPT {
            return;
        }
        let Rule { id, clause, level, text, .. } = *self.rule;
        self.findings.push(Finding {
            rule: id,
            clause,
            level,
            text,
            seq: self.at.map(|at| at.entry.seq),
            rip: self.at.and_then(|at| at.entry.rip),
            place: None,
            function: self.at.and_then(At::function),
            entry: self.at.map_or_else(|| "the end".into(), |at| at.entry.to_string()),
            expected: expected.into(),
            seen: seen.into(),
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Transcript;
    use crate::rules::{Judge, find};

    #[test]
    fn only_rules_that_were_broken_are_named() {
        let mut driver = Transcript::new();
        driver.status(&[0, 2]);
        let mut judge = Judge::by(["D3.1.1-a", "D5.2.6.1-d"].map(|id| find(id).expect("a rule")));
        for entry in driver.entries() {
            judge.see(entry);
        }
        let report = judge.finish(driver.end);
        assert_eq!(report.broken_rules(), ["D3.1.1-a"]);
    }
}
