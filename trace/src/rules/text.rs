//! A report as text.

use std::fmt::{self, Write};

use super::{Finding, Level, NOT_JUDGED, Needs, Report, Rule, Tally};

/// How many findings of one rule are printed.
const SHOWN: usize = 3;

impl Report {
    /// The report in one line.
    pub fn summary(&self) -> String {
        let rules = |of: fn(&Tally) -> bool| self.rules.iter().filter(|(_, t)| of(t)).count();
        let kept = rules(|tally| tally.exercised() && tally.broken == 0);
        let idle = rules(|tally| !tally.exercised());
        let mut text = format!("{kept} rules kept, {} broken", self.broken_rules().len());
        let levels = [Level::Must, Level::Should, Level::Recipe];
        let broken: Vec<_> = levels
            .into_iter()
            .filter(|level| self.broken(*level) != 0)
            .map(|level| format!("{level} {}", self.broken(level)))
            .collect();
        if !broken.is_empty() {
            text += &format!(" ({})", broken.join(", "));
        }
        text + &format!("; {idle} had no occasion")
    }

    /// Which rules this transcript exercised, which it could not, and which are not judged.
    pub fn coverage(&self) -> String {
        let mut text =
            format!("{:<20} {:<7} {:>10} {:>8}  {}\n", "rule", "level", "kept", "broken", "");
        for (rule, tally) in &self.rules {
            let (id, level) = (rule.id, rule.level);
            let Tally { kept, broken } = tally;
            let note = match (tally.exercised(), rule.needs) {
                (true, _) => rule.text.to_string(),
                (false, Needs::Stimulus) => "not exercised: needs a device that provokes it".into(),
                (false, _) => "not exercised: no occasion".into(),
            };
            let _ = writeln!(text, "{id:<20} {level:<7} {kept:>10} {broken:>8}  {note}");
        }
        for (id, _, reason) in NOT_JUDGED {
            let _ = writeln!(text, "{id:<20} not judged: {reason}");
        }
        text
    }
}

fn write_finding(out: &mut fmt::Formatter<'_>, finding: &Finding) -> fmt::Result {
    match finding.seq {
        Some(seq) => writeln!(out, "{seq:>8}  {}", finding.entry)?,
        None => writeln!(out, "{:>8}  {}", "", finding.entry)?,
    }
    writeln!(out, "          expected  {}", finding.expected)?;
    writeln!(out, "          seen      {}", finding.seen)?;
    let place = finding.place.as_deref();
    match (finding.rip, place) {
        (Some(rip), Some(place)) => writeln!(out, "          by        {rip:#x}, {place}")?,
        (Some(rip), None) => writeln!(out, "          by        {rip:#x}")?,
        (None, Some(place)) => writeln!(out, "          by        {place}")?,
        (None, None) => {}
    }
    Ok(())
}

/// What was broken, rule by rule, and a line that sums up.
impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        for (rule, tally) in self.rules.iter().filter(|(_, tally)| tally.broken != 0) {
            let Rule { id, clause, level, text, .. } = rule;
            let level = level.to_string().to_uppercase();
            writeln!(out, "broken {id} {level} ({clause}): {text}")?;
            let findings = self.findings.iter().filter(|finding| finding.rule == *id);
            for finding in findings.take(SHOWN) {
                write_finding(out, finding)?;
            }
            let more = tally.broken.saturating_sub(SHOWN as u64);
            if more != 0 {
                writeln!(out, "        and {more} more")?;
            }
        }
        writeln!(out, "judge: {}", self.summary())
    }
}
