use super::pattern::{Pattern, ToPattern, mark};
use crate::Mark;

/// A part of a run: from an event on, until another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    pub(super) name: String,
    /// The first event of the phase.
    pub(super) from: Pattern,
    /// The first event that is not of the phase any more.
    pub(super) until: Pattern,
    /// It may last to the end of the transcript.
    pub(super) open: bool,
}

impl Phase {
    /// The phase that the guest gave this number at the debug mark; it lasts until the guest
    /// marks another, or to the end.
    pub fn marked(number: u32) -> Self {
        // The two highest numbers differ from a phase's mark in the kind alone.
        let until = mark(Mark::Phase(0)).bits(0, 0xf000_0000);
        let name = format!("phase {number}");
        Self { name, from: mark(Mark::Phase(number)), until, open: true }
    }

    /// The phase that begins with an event that `from` means, and lasts until the first that
    /// `until` means, which is not a part of it.
    ///
    /// # Panics
    /// A text is no pattern.
    #[track_caller]
    pub fn between(from: impl ToPattern, until: impl ToPattern) -> Self {
        let (from, until) = (from.to_pattern(), until.to_pattern());
        let name = format!("`{from}` until `{until}`");
        Self { name, from, until, open: false }
    }
}
