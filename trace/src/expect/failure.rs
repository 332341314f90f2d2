use std::fmt::{self, Write};

use super::{
    capture::Capture,
    pattern::{Aspect, Difference, Pattern},
    reading::Reading,
};
use crate::Entry;

/// How many entries before and behind an event are shown with it.
const CONTEXT: usize = 2;
/// How many events are listed one by one.
const LISTED: usize = 8;

/// An expectation that a transcript does not meet.
///
/// It reads as what was expected, what was found, the nearest event with what is otherwise about
/// it, and what happened around that.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure {
    text: String,
    /// The event that comes nearest to what was expected, or that should not be.
    pub nearest: Option<u64>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// As a panic shows it: `unwrap` reads as well as an expectation that panics.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.text)
    }
}

impl std::error::Error for Failure {}

/// A failure that is being put into words.
pub(super) struct Words<'a> {
    capture: &'a Capture<'a>,
    failure: Failure,
}

impl<'a> Words<'a> {
    /// `expected` in `capture`.
    pub(super) fn expected(capture: &'a Capture<'a>, expected: impl fmt::Display) -> Self {
        let mut text = format!("expected {expected}");
        for window in capture.windows() {
            let _ = write!(text, ", {window}");
        }
        text.push_str(":\n");
        Self { capture, failure: Failure { text, nearest: None } }
    }

    pub(super) fn pattern(self, pattern: &Pattern) -> Self {
        self.line(format_args!("    {pattern}"))
    }

    pub(super) fn line(mut self, line: impl fmt::Display) -> Self {
        // Writing to a String does not fail.
        let _ = writeln!(self.failure.text, "{line}");
        self
    }

    /// Some events, without what is around them.
    pub(super) fn events(mut self, entries: &[&Entry]) -> Self {
        for entry in entries.iter().take(LISTED) {
            self = self.line(shown(entry, false));
        }
        match entries.len().checked_sub(LISTED) {
            None | Some(0) => self,
            Some(more) => self.line(format_args!("          and {more} more")),
        }
    }

    /// An event in the midst of those around it.
    pub(super) fn around(mut self, at: usize) -> Self {
        let whole = self.capture.whole();
        self.failure.nearest = whole.get(at).map(|entry| entry.seq);
        let first = at.saturating_sub(CONTEXT);
        for (index, entry) in whole.iter().enumerate().skip(first).take(at + CONTEXT + 1 - first) {
            self = self.line(shown(entry, index == at));
        }
        self
    }

    /// The event that comes nearest to `pattern` among `candidates`, which are indices.
    pub(super) fn nearest(
        self,
        pattern: &Pattern,
        candidates: impl Iterator<Item = usize>,
    ) -> Failure {
        let whole = self.capture.whole();
        let near = candidates.filter_map(|index| Near::of(pattern, &whole[index], index));
        match near.min_by_key(|near| near.distance) {
            Some(near) => {
                let number = whole[near.index].seq;
                let differences = listed(&near.differences);
                self.line(format_args!("nearest is event {number}: {differences}"))
                    .around(near.index)
                    .end()
            }
            None => self.line("nothing comes near it").end(),
        }
    }

    /// The event that stands where one that `pattern` means should.
    pub(super) fn other(self, pattern: &Pattern, index: usize) -> Failure {
        let entry = &self.capture.whole()[index];
        let differences = Reading::of(entry)
            .iter()
            .map(|reading| pattern.differences(entry, reading))
            .min_by_key(Vec::len)
            .unwrap_or_default();
        self.line(format_args!("found event {}: {}", entry.seq, listed(&differences)))
            .around(index)
            .end()
    }

    pub(super) fn end(mut self) -> Failure {
        self.failure.text.truncate(self.failure.text.trim_end().len());
        self.failure
    }
}

fn listed(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn shown(entry: &Entry, marked: bool) -> String {
    let mark = if marked { '>' } else { ' ' };
    format!("  {mark} {:>6}  {entry}", entry.seq)
}

/// An event, and how far it is from a pattern.
struct Near {
    index: usize,
    differences: Vec<Difference>,
    distance: Distance,
}

/// The same register comes first, then the same function, then the fewest other differences and
/// the fewest bits of the value; then the first event.
type Distance = (Likeness, bool, usize, u32);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    Same,
    /// But for numbers, as another slot of the same ring is.
    Numbered,
    /// Another register of the same structure.
    Structure,
}

impl Near {
    /// `None`: it has nothing to do with the pattern.
    fn of(pattern: &Pattern, entry: &Entry, index: usize) -> Option<Self> {
        let readings = Reading::of(entry);
        let near = readings.iter().filter_map(|reading| {
            let differences = pattern.differences(entry, reading);
            let mut distance = (likeness(pattern, entry, reading)?, false, 0, 0);
            for difference in &differences {
                match difference.aspect {
                    Aspect::What => {}
                    Aspect::Function => distance.1 = true,
                    Aspect::Value(bits) => distance.3 = bits,
                    _ => distance.2 += 1,
                }
            }
            Some(Self { index, differences, distance })
        });
        near.min_by_key(|near| near.distance)
    }
}

fn likeness(pattern: &Pattern, entry: &Entry, reading: &Reading) -> Option<Likeness> {
    if pattern.is_about(entry, reading) {
        return Some(Likeness::Same);
    }
    let (wanted, is) = (pattern.what.as_deref()?, reading.what.as_str());
    if unnumbered(wanted) == unnumbered(is) {
        return Some(Likeness::Numbered);
    }
    // The words of templates are no structures.
    let structure = |what: &str| what.split_once(' ').map(|(first, _)| first.to_string());
    let same = reading.access.is_some() && structure(wanted) == structure(is);
    (same && wanted.contains(' ')).then_some(Likeness::Structure)
}

fn unnumbered(what: &str) -> String {
    what.chars().filter(|c| !c.is_ascii_digit() && *c != '*').collect()
}
