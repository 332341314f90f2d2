use std::{
    io::{self, BufWriter},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use eclipse_trace::{
    Sink,
    jsonl::{About, Writer},
};

use super::replace::Replacement;
use crate::{Error, Outcome};

/// A transcript that is written while the guest runs.
pub(super) struct TraceFile {
    path: PathBuf,
    /// Shared with the sink, which is on the processor's thread.
    state: Arc<Mutex<State>>,
}

enum State {
    Writing(Writer<BufWriter<Replacement>>),
    Failed(io::Error),
    Ended,
}

impl TraceFile {
    /// Begins a transcript at `path`.
    pub fn new(path: &Path, about: &About) -> Result<Self, Error> {
        let file = BufWriter::new(Replacement::new(path)?);
        let writer = Writer::new(file, about)
            .map_err(|source| Error::Write { path: path.into(), source })?;
        let state = Arc::new(Mutex::new(State::Writing(writer)));
        Ok(Self { path: path.into(), state })
    }

    /// Takes the entries that are to be written.
    pub fn sink(&self) -> Sink {
        let state = Arc::clone(&self.state);
        Box::new(move |entries| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if let State::Writing(writer) = &mut *state
                && let Err(error) = writer.write(entries)
            {
                *state = State::Failed(error);
            }
        })
    }

    /// Ends the transcript, and puts it in its place.
    pub fn finish(self, outcome: &Outcome) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = std::mem::replace(&mut *state, State::Ended);
        let failed = |source| Error::Write { path: self.path.clone(), source };
        let writer = match state {
            State::Writing(writer) => writer,
            State::Failed(error) => return Err(failed(error)),
            State::Ended => unreachable!("a transcript ends once"),
        };
        let file = writer.end(&outcome.to_string()).map_err(failed)?;
        let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.finish()
    }
}
