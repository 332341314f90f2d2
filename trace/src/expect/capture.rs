use std::ops::Range;

use super::{
    failure::{Failure, Words},
    pattern::{Pattern, ToPattern},
    phase::Phase,
};
use crate::Entry;

/// A transcript, or a window of it, that expectations are asked of.
///
/// Every expectation comes twice: one panics with the [`Failure`], as a test wants it, and one
/// whose name begins with `try_` answers with it.
#[derive(Clone, Debug)]
pub struct Capture<'a> {
    whole: &'a [Entry],
    range: Range<usize>,
    /// What else an event must be to be seen, each of them one of several patterns.
    only: Vec<Vec<Pattern>>,
    /// How the window came to be, in words.
    windows: Vec<String>,
}

impl<'a> Capture<'a> {
    /// All of a transcript.
    pub fn of(entries: &'a [Entry]) -> Self {
        let range = 0..entries.len();
        Self { whole: entries, range, only: Vec::new(), windows: Vec::new() }
    }

    /// What is seen.
    pub fn entries(&self) -> Vec<&'a Entry> {
        self.indices().map(|index| &self.whole[index]).collect()
    }

    pub(super) fn whole(&self) -> &'a [Entry] {
        self.whole
    }

    pub(super) fn windows(&self) -> &[String] {
        &self.windows
    }

    fn indices(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.range.clone().filter(|&index| {
            let entry = &self.whole[index];
            self.only.iter().all(|patterns| patterns.iter().any(|pattern| pattern.admits(entry)))
        })
    }

    fn found(&self, pattern: &Pattern) -> impl Iterator<Item = usize> {
        self.indices().filter(|&index| pattern.admits(&self.whole[index]))
    }

    fn cut(&self, range: Range<usize>, window: String) -> Self {
        let numbers = match (self.whole.get(range.start), range.clone().next_back()) {
            (Some(first), Some(last)) if last == range.start => format!("event {}", first.seq),
            (Some(first), Some(last)) => {
                format!("events {} to {}", first.seq, self.whole[last].seq)
            }
            _ => "no event".into(),
        };
        let windows = [self.windows.as_slice(), &[format!("{window} ({numbers})")]].concat();
        Self { range, windows, only: self.only.clone(), whole: self.whole }
    }

    /// What happens in a phase; its first one, where there are several.
    ///
    /// # Errors
    /// It does not begin, or does not end.
    pub fn try_within(&self, phase: &Phase) -> Result<Self, Failure> {
        let start = self.first(&phase.from, &phase.name)?;
        let behind = self.found(&phase.until).find(|&index| index > start);
        let end = match behind {
            Some(end) => end,
            None if phase.open => self.range.end,
            None => {
                return Err(Words::expected(self, format_args!("the end of {}", phase.name))
                    .pattern(&phase.until)
                    .line(format_args!("found none after event {}", self.whole[start].seq))
                    .nearest(&phase.until, self.indices().filter(|&index| index > start)));
            }
        };
        Ok(self.cut(start..end, format!("within {}", phase.name)))
    }

    /// What happens before the first event that `pattern` means.
    ///
    /// # Errors
    /// There is none.
    pub fn try_before(&self, pattern: impl ToPattern) -> Result<Self, Failure> {
        let pattern = pattern.to_pattern();
        let at = self.first(&pattern, "what is before")?;
        Ok(self.cut(self.range.start..at, format!("before `{pattern}`")))
    }

    /// What happens after the first event that `pattern` means.
    ///
    /// # Errors
    /// There is none.
    pub fn try_after(&self, pattern: impl ToPattern) -> Result<Self, Failure> {
        let pattern = pattern.to_pattern();
        let at = self.first(&pattern, "what is after")?;
        Ok(self.cut(at + 1..self.range.end, format!("after `{pattern}`")))
    }

    fn first(&self, pattern: &Pattern, window: &str) -> Result<usize, Failure> {
        self.found(pattern).next().ok_or_else(|| {
            Words::expected(self, format_args!("{window}"))
                .pattern(pattern)
                .line("found never")
                .nearest(pattern, self.indices())
        })
    }

    /// Only the events that one of `patterns` means; the others are not seen.
    pub fn only(&self, patterns: impl IntoIterator<Item = impl ToPattern>) -> Self {
        let patterns: Vec<Pattern> = patterns.into_iter().map(|p| p.to_pattern()).collect();
        let mut only = self.clone();
        let names: Vec<_> = patterns.iter().map(|pattern| format!("`{pattern}`")).collect();
        only.windows.push(format!("only of {}", names.join(" and ")));
        only.only.push(patterns);
        only
    }

    /// An event for each of `patterns`, one behind the other; between them anything may happen.
    ///
    /// # Errors
    /// For one of them there is none behind that of the one before.
    pub fn try_in_order(
        &self,
        patterns: impl IntoIterator<Item = impl ToPattern>,
    ) -> Result<Vec<&'a Entry>, Failure> {
        let patterns: Vec<Pattern> = patterns.into_iter().map(|p| p.to_pattern()).collect();
        let mut found: Vec<usize> = Vec::new();
        for (number, pattern) in patterns.iter().enumerate() {
            let behind = |index: &usize| found.last().is_none_or(|last| index > last);
            match self.found(pattern).find(behind) {
                Some(index) => found.push(index),
                None => return Err(self.out_of_order(&patterns, number, &found)),
            }
        }
        Ok(found.into_iter().map(|index| &self.whole[index]).collect())
    }

    fn out_of_order(&self, patterns: &[Pattern], number: usize, found: &[usize]) -> Failure {
        let (pattern, last) = (&patterns[number], found.last().copied());
        let place = format!("in order, as number {} of {}", number + 1, patterns.len());
        let words = Words::expected(self, place).pattern(pattern);
        let Some(last) = last else {
            return words.line("found never").nearest(pattern, self.indices());
        };
        let words = words
            .line(format_args!("found none after number {number}:"))
            .events(&[&self.whole[last]]);
        // The last of those that come too early is the nearest to its place.
        if let Some(early) = self.found(pattern).take_while(|&index| index <= last).last() {
            let seq = self.whole[early].seq;
            let how = if early == last { "is that one itself" } else { "comes before that" };
            return words
                .line(format_args!("nearest is event {seq}: it {how}"))
                .around(early)
                .end();
        }
        words.nearest(pattern, self.indices().filter(|&index| index > last))
    }

    /// An event for each of `patterns`, in this order, and no other event. It is most useful of
    /// what [`Capture::only`] leaves.
    ///
    /// # Errors
    /// The first event that is another, is missing, or is one too many.
    pub fn try_exactly(
        &self,
        patterns: impl IntoIterator<Item = impl ToPattern>,
    ) -> Result<Vec<&'a Entry>, Failure> {
        let patterns: Vec<Pattern> = patterns.into_iter().map(|p| p.to_pattern()).collect();
        let (seen, count) = (self.indices().collect::<Vec<_>>(), patterns.len());
        for (number, pattern) in patterns.iter().enumerate() {
            let is = seen.get(number).copied();
            if is.is_some_and(|index| pattern.admits(&self.whole[index])) {
                continue;
            }
            let place = format!("exactly {count} event(s), as number {}", number + 1);
            let words = Words::expected(self, place).pattern(pattern);
            return Err(match (is, seen.last()) {
                (Some(index), _) => words.other(pattern, index),
                (None, Some(&last)) => {
                    words.line(format_args!("found {number}, the last of them:")).around(last).end()
                }
                (None, None) => words.line("found none").end(),
            });
        }
        match seen.get(count) {
            Some(&index) => Err(Words::expected(self, format_args!("exactly {count} event(s)"))
                .line(format_args!("found {}; too many from this one on:", seen.len()))
                .around(index)
                .end()),
            None => Ok(self.entries()),
        }
    }

    /// Exactly one event that `pattern` means; it is the answer.
    ///
    /// # Errors
    /// None, or more.
    pub fn try_exactly_once(&self, pattern: impl ToPattern) -> Result<&'a Entry, Failure> {
        let pattern = pattern.to_pattern();
        let found = self.counted(1, &pattern, "exactly once")?;
        Ok(&self.whole[found[0]])
    }

    /// Exactly `count` events that `pattern` means; they are the answer.
    ///
    /// # Errors
    /// Fewer, or more.
    pub fn try_times(
        &self,
        count: usize,
        pattern: impl ToPattern,
    ) -> Result<Vec<&'a Entry>, Failure> {
        let found = self.counted(count, &pattern.to_pattern(), &format!("{count} times"))?;
        Ok(found.into_iter().map(|index| &self.whole[index]).collect())
    }

    fn counted(
        &self,
        count: usize,
        pattern: &Pattern,
        expected: &str,
    ) -> Result<Vec<usize>, Failure> {
        let found: Vec<usize> = self.found(pattern).collect();
        if found.len() == count {
            return Ok(found);
        }
        let words = Words::expected(self, expected).pattern(pattern);
        if found.is_empty() {
            return Err(words.line("found never").nearest(pattern, self.indices()));
        }
        let events: Vec<_> = found.iter().map(|&index| &self.whole[index]).collect();
        let colon = format!("found {} times:", found.len());
        let words =
            words.line(if found.len() == 1 { "found once:" } else { &colon }).events(&events);
        if found.len() > count {
            return Err(words.end());
        }
        // What may have been meant to be one of them.
        let others = self.indices().filter(|index| !found.contains(index));
        Err(words.nearest(pattern, others))
    }

    /// No event that `pattern` means.
    ///
    /// # Errors
    /// There is one.
    pub fn try_never(&self, pattern: impl ToPattern) -> Result<(), Failure> {
        let pattern = pattern.to_pattern();
        let mut found = self.found(&pattern);
        let Some(first) = found.next() else { return Ok(()) };
        let number = self.whole[first].seq;
        let line = match found.count() {
            0 => format!("found event {number}:"),
            more => format!("found event {number}, and {more} more:"),
        };
        Err(Words::expected(self, "never").pattern(&pattern).line(line).around(first).end())
    }
}

/// Makes the twin that panics.
macro_rules! twin {
    ($($(#[$doc:meta])* $name:ident, $try_name:ident ($($argument:ident: $type:ty),*) -> $result:ty;)+) => {
        impl<'a> Capture<'a> {
            $(
                $(#[$doc])*
                ///
                /// # Panics
                /// It is not so.
                #[track_caller]
                pub fn $name(&self, $($argument: $type),*) -> $result {
                    self.$try_name($($argument),*).unwrap_or_else(|failure| panic!("{failure}"))
                }
            )+
        }
    };
}

twin! {
    /// What happens in a phase: see [`Capture::try_within`].
    within, try_within(phase: &Phase) -> Self;
    /// What happens before an event: see [`Capture::try_before`].
    before, try_before(pattern: impl ToPattern) -> Self;
    /// What happens after an event: see [`Capture::try_after`].
    after, try_after(pattern: impl ToPattern) -> Self;
    /// Events one behind the other: see [`Capture::try_in_order`].
    in_order, try_in_order(patterns: impl IntoIterator<Item = impl ToPattern>) -> Vec<&'a Entry>;
    /// These events and no others: see [`Capture::try_exactly`].
    exactly, try_exactly(patterns: impl IntoIterator<Item = impl ToPattern>) -> Vec<&'a Entry>;
    /// One event: see [`Capture::try_exactly_once`].
    exactly_once, try_exactly_once(pattern: impl ToPattern) -> &'a Entry;
    /// So many events: see [`Capture::try_times`].
    times, try_times(count: usize, pattern: impl ToPattern) -> Vec<&'a Entry>;
    /// No event: see [`Capture::try_never`].
    never, try_never(pattern: impl ToPattern) -> ();
}
