use std::sync::{Arc, Mutex, PoisonError};

use eclipse_trace::{
    Entry, Sink,
    rules::{End, Judge, Report},
};

use crate::Outcome;

/// A judge that looks on while the guest runs.
pub(in crate::cli) struct Live {
    /// Shared with the sink, which is on the processor's thread.
    judge: Arc<Mutex<Option<Judge>>>,
}

impl Live {
    pub fn new(judge: Judge) -> Self {
        Self { judge: Arc::new(Mutex::new(Some(judge))) }
    }

    /// Shows the judge the entries that go on to `next`.
    pub fn sink(&self, mut next: Option<Sink>) -> Sink {
        let judge = Arc::clone(&self.judge);
        Box::new(move |entries: &[Entry]| {
            let mut judge = judge.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(judge) = &mut *judge {
                entries.iter().for_each(|entry| judge.see(entry));
            }
            if let Some(next) = &mut next {
                next(entries);
            }
        })
    }

    /// What the judge came to. The recorder has handed on everything.
    pub fn finish(self, outcome: &Outcome) -> Report {
        let judge = self.judge.lock().unwrap_or_else(PoisonError::into_inner).take();
        judge.expect("a judge finishes once").finish(End::of(&outcome.to_string()))
    }
}
