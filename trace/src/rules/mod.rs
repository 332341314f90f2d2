//! The specification as judge of a driver.
//!
//! A [`Rule`] is one sentence of the specification and a small state machine
//! that is shown every entry of a transcript that can concern it. It says when
//! the sentence applied, and when the driver did otherwise. The [`Judge`] shows
//! the entries to the rules, keeps the [`Model`] of what the driver has said so
//! far, so that no rule has to, and makes the [`Report`].
//!
//! A rule sees what the transcript has and nothing else: what no access shows is
//! not judged ([`NOT_JUDGED`] says what and why), and what this transcript has
//! no example of was not exercised, which the report says too.

mod at;
mod barrier;
mod block;
mod capability;
mod catalogue;
mod class;
mod common;
mod config;
mod dma;
mod features;
mod init;
mod json;
mod judge;
mod legacy;
mod memory;
pub mod model;
mod notify;
mod ownership;
mod packed;
mod pci;
mod ram;
mod report;
mod reset;
mod split;
mod state;
mod status;
mod suspend;
#[cfg(test)]
mod testing;
mod text;
mod vectors;

use std::fmt;

use serde::Serialize;

pub use at::At;
pub use catalogue::{NOT_JUDGED, all, find};
pub use class::Sees;
pub use judge::{End, Judge, judge};
pub use model::Model;
pub use report::{Finding, Out, Report, Tally};

/// How strongly the specification asks for what a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// It is described, without a word of RFC 2119.
    Recipe,
    /// SHOULD, SHOULD NOT.
    Should,
    /// MUST, MUST NOT.
    Must,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Recipe => "recipe",
            Level::Should => "should",
            Level::Must => "must",
        })
    }
}

/// What it takes to see whether a driver keeps a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// Any run.
    Nothing,
    /// A run in which a feature or phase occurs.
    Occasion,
    /// A device that behaves in a way that has to be asked for: a fault, or another machine.
    Stimulus,
}

/// A requirement on drivers.
pub struct Rule {
    /// Its name, after the clause: `D2.1.1-b`.
    pub id: &'static str,
    /// Where it stands: `VIRTIO 1.4, 2.1.1`.
    pub clause: &'static str,
    /// How strongly it is asked for.
    pub level: Level,
    /// What it takes to see it.
    pub needs: Needs,
    /// What a driver does that keeps it, in one sentence.
    pub text: &'static str,
    /// The entries that its state machine is shown.
    pub sees: Sees,
    /// A state machine at its start.
    pub start: fn() -> Box<dyn Check>,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

/// The state machine of a rule.
pub trait Check: Send {
    /// Looks at one entry.
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>);

    /// The transcript is over.
    fn end(&mut self, _end: &EndOf<'_>, _out: &mut Out<'_>) {}
}

/// What a rule can look at when the transcript is over.
#[derive(Debug)]
pub struct EndOf<'a> {
    /// What became of the guest.
    pub end: End,
    /// Everything that the transcript told.
    pub model: &'a Model,
}

impl<F: FnMut(&At<'_>, &mut Out<'_>) + Send> Check for F {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        self(at, out);
    }
}

/// A state machine without state, which is called without a pointer to a function between.
fn stateless(see: impl Fn(&At<'_>, &mut Out<'_>) + Send + 'static) -> Box<dyn Check> {
    Box::new(see)
}

/// A state machine without state: what it says follows from the entry and the model.
macro_rules! plain {
    ($see:expr) => {
        || $crate::rules::stateless($see)
    };
}
pub(crate) use plain;
