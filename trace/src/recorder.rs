use std::num::NonZeroU64;

use crate::{Actor, Entry, Event, Summary};

/// Takes entries that the [`Recorder`] is about to drop, in order.
pub type Sink = Box<dyn FnMut(&[Entry]) + Send>;

/// Keeps what happened, in order.
///
/// By default it keeps everything, which is what a test wants. A guest that
/// never stops must not fill the host's memory, so a recorder can also keep the
/// latest entries only and hand the others on ([`Recorder::keeping_last`]).
/// The [`Summary`] counts every event either way.
#[derive(Default)]
pub struct Recorder {
    entries: Vec<Entry>,
    next_seq: u64,
    /// With how many entries the older ones are handed on; 0 for never.
    limit: usize,
    sink: Option<Sink>,
    summary: Summary,
    off: bool,
    witness: bool,
    rip: Option<NonZeroU64>,
}

impl Recorder {
    /// A recorder that keeps every entry.
    pub fn new() -> Self {
        Self::default()
    }

    /// A recorder that keeps at least the last `count` entries and at most twice
    /// as many, and gives those that it drops to `sink`.
    pub fn keeping_last(count: usize, sink: Option<Sink>) -> Self {
        Self { limit: 2 * count.max(1), sink, ..Self::default() }
    }

    /// A recorder that neither keeps nor counts anything.
    pub fn off() -> Self {
        Self { off: true, ..Self::default() }
    }

    /// The same recorder for a judge too: what no transcript needs and a judge wants to know is
    /// recorded as well, and the guest's instructions are.
    pub fn witness(self) -> Self {
        Self { witness: true, ..self }
    }

    /// Whether there is a judge to record for.
    pub fn is_witness(&self) -> bool {
        self.witness
    }

    /// What is recorded from now on is done by the guest's instruction at `rip`, or on its
    /// behalf; without a judge nobody asks.
    pub fn at(&mut self, rip: u64) {
        self.rip = NonZeroU64::new(rip).filter(|_| self.witness);
    }

    /// Records that `by` did `event`.
    #[inline]
    pub fn record(&mut self, by: Actor, event: Event) {
        if self.off {
            return;
        }
        self.summary.count(&event);
        if self.entries.len() == self.limit && self.limit != 0 {
            self.hand_on(self.limit / 2);
        }
        self.entries.push(Entry { seq: self.next_seq, rip: self.rip, by, event });
        self.next_seq += 1;
    }

    /// The entries kept, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What was counted, over all entries ever recorded.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// How many entries were ever recorded.
    pub fn recorded(&self) -> u64 {
        self.next_seq
    }

    /// Hands the kept entries to the sink, which then has seen every one.
    pub fn finish(&mut self) {
        if let Some(sink) = &mut self.sink {
            sink(&self.entries);
        }
        self.sink = None;
    }

    fn hand_on(&mut self, count: usize) {
        if let Some(sink) = &mut self.sink {
            sink(&self.entries[..count]);
        }
        self.entries.drain(..count);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::{Access, Register};

    fn record(recorder: &mut Recorder, count: u64) {
        for value in 0..count {
            let access = Access::Store { width: 4, value };
            let event = Event::Register { register: Register::ConfigAddress, access };
            recorder.record(Actor::Guest, event);
        }
    }

    #[test]
    fn a_bounded_recorder_keeps_the_last_entries_and_hands_on_every_one_in_order() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink: Sink = {
            let seen = Arc::clone(&seen);
            Box::new(move |entries| seen.lock().unwrap().extend(entries.iter().map(|e| e.seq)))
        };
        let mut recorder = Recorder::keeping_last(4, Some(sink));
        record(&mut recorder, 103);
        assert!((4..=8).contains(&recorder.entries().len()));
        assert_eq!(recorder.entries().last().unwrap().seq, 102);
        assert_eq!(recorder.recorded(), 103);
        assert_eq!(recorder.summary().port, 103);
        recorder.finish();
        assert_eq!(*seen.lock().unwrap(), (0..103).collect::<Vec<_>>());
    }

    #[test]
    fn a_recorder_that_is_off_keeps_and_counts_nothing() {
        let mut recorder = Recorder::off();
        record(&mut recorder, 1000);
        assert_eq!((recorder.entries().len(), recorder.recorded()), (0, 0));
        assert_eq!(recorder.summary(), &Summary::default());
    }

    #[test]
    fn an_unbounded_recorder_keeps_all() {
        let mut recorder = Recorder::new();
        record(&mut recorder, 1000);
        assert_eq!(recorder.entries().len(), 1000);
    }
}
