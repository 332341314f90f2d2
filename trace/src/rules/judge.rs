use super::model::Model;
use super::report::{Finding, Out, Report, Tally};
use super::{At, Check, EndOf, Rule, Sees, catalogue};
use crate::Entry;

/// What became of the guest, as far as a rule asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// It said that all went well.
    Success,
    /// It said that something failed.
    Failure,
    /// It did not end by itself: it hung, crashed, or was interrupted.
    Died,
    /// The transcript does not say.
    #[default]
    Unknown,
}

impl End {
    /// By the outcome of a transcript, as `run` words it.
    pub fn of(outcome: &str) -> Self {
        match outcome.split([' ', ':']).next() {
            Some("success") => End::Success,
            Some("failure") => End::Failure,
            Some("died" | "interrupted") => End::Died,
            _ => End::Unknown,
        }
    }
}

/// A rule at work.
struct Seat {
    rule: &'static Rule,
    check: Box<dyn Check>,
    tally: Tally,
}

/// Judges a transcript, an entry at a time.
pub struct Judge {
    model: Model,
    seats: Vec<Seat>,
    /// The seats that want to see a class, by the number of the class's bit.
    by_class: [Vec<u16>; 32],
    findings: Vec<Finding>,
    entries: u64,
}

impl Default for Judge {
    fn default() -> Self {
        Self::new()
    }
}

impl Judge {
    /// A judge by every rule there is.
    pub fn new() -> Self {
        Self::by(catalogue::all())
    }

    /// A judge by these rules alone.
    pub fn by(rules: impl IntoIterator<Item = &'static Rule>) -> Self {
        let seats: Vec<_> = rules
            .into_iter()
            .map(|rule| Seat { rule, check: (rule.start)(), tally: Tally::default() })
            .collect();
        let mut by_class: [Vec<u16>; 32] = Default::default();
        for (seat, number) in seats.iter().zip(0..) {
            for class in seat.rule.sees.iter() {
                by_class[class.bits().trailing_zeros() as usize].push(number);
            }
        }
        Self { model: Model::default(), seats, by_class, findings: Vec::new(), entries: 0 }
    }

    /// Looks at the next entry.
    pub fn see(&mut self, entry: &Entry) {
        self.show(entry, true);
    }

    /// Looks at the next entry, which is another's doing: what it tells counts, and by whether it
    /// keeps the rules this driver is not judged.
    pub fn follow(&mut self, entry: &Entry) {
        self.show(entry, false);
    }

    fn show(&mut self, entry: &Entry, judged: bool) {
        self.entries += 1;
        self.model.walk(entry);
        let at = At::new(entry, &self.model);
        let class = Sees::of(&entry.event).bits().trailing_zeros() as usize;
        // Where what another does is tallied, which nobody asks for.
        let (mut no_tally, mut no_findings) = Default::default();
        for &number in &self.by_class[class] {
            let Seat { rule, check, tally } = &mut self.seats[usize::from(number)];
            let (tally, findings) = match judged {
                true => (tally, &mut self.findings),
                false => (&mut no_tally, &mut no_findings),
            };
            check.see(&at, &mut Out { rule, tally, findings, at: Some(&at) });
        }
        self.model.take(entry);
    }

    /// The transcript is over, and ended so.
    pub fn finish(mut self, end: End) -> Report {
        let end = EndOf { end, model: &self.model };
        for Seat { rule, check, tally } in &mut self.seats {
            let findings = &mut self.findings;
            check.end(&end, &mut Out { rule, tally, findings, at: None });
        }
        let rules = self.seats.into_iter().map(|seat| (seat.rule, seat.tally)).collect();
        Report { findings: self.findings, rules, entries: self.entries, notes: Vec::new() }
    }

    /// What the transcript told so far.
    pub fn model(&self) -> &Model {
        &self.model
    }
}

/// Judges a whole transcript by every rule.
pub fn judge(entries: &[Entry], end: End) -> Report {
    let mut judge = Judge::new();
    for entry in entries {
        judge.see(entry);
    }
    judge.finish(end)
}
