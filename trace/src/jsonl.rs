//! Transcripts as JSON lines: a header, an entry a line, an end.
//!
//! The end says how many entries there are and what became of the guest. A file
//! without it was cut off, and is refused: a transcript that lacks its tail
//! would read as if the driver had done nothing more.

use std::io::{self, BufRead, Read, Write};

use serde::{Deserialize, Serialize};

use crate::Entry;

/// The version of the format.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Header {
    eclipse_trace: u32,
    #[serde(flatten)]
    about: About,
}

/// What was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The machine preset.
    pub preset: String,
    /// The guest's command line.
    pub cmdline: String,
}

#[derive(Serialize, Deserialize)]
struct Footer {
    entries: u64,
    outcome: String,
}

#[derive(Serialize, Deserialize)]
struct End {
    end: Footer,
}

/// Writes a transcript.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    entries: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a transcript of `about`.
    ///
    /// # Errors
    /// `out` cannot be written to.
    pub fn new(mut out: W, about: &About) -> io::Result<Self> {
        line(&mut out, &Header { eclipse_trace: FORMAT, about: about.clone() })?;
        Ok(Self { out, entries: 0 })
    }

    /// Writes `entries`, which follow those before.
    ///
    /// # Errors
    /// As [`Writer::new`].
    pub fn write(&mut self, entries: &[Entry]) -> io::Result<()> {
        for entry in entries {
            line(&mut self.out, entry)?;
        }
        self.entries += entries.len() as u64;
        Ok(())
    }

    /// Ends the transcript with what became of the guest.
    ///
    /// # Errors
    /// As [`Writer::new`].
    pub fn end(mut self, outcome: &str) -> io::Result<W> {
        let footer = Footer { entries: self.entries, outcome: outcome.into() };
        line(&mut self.out, &End { end: footer })?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// A transcript that was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// What was run.
    pub about: About,
    /// Everything that happened.
    pub entries: Vec<Entry>,
    /// What became of the guest.
    pub outcome: String,
}

/// Why a file is no transcript.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The first line is not the header of a transcript.
    #[error("is not a transcript of this program")]
    Foreign,
    /// A transcript of another version.
    #[error("is a transcript of format {0}; this program reads format {FORMAT}")]
    Version(u32),
    /// The file ends too early.
    #[error("is cut off after {0} entries; run the guest again with --trace")]
    Truncated(u64),
    /// A line is damaged.
    #[error("is damaged at line {line}: {what}")]
    Damaged {
        /// From 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// Reads a whole transcript.
///
/// # Errors
/// The file is foreign, truncated or damaged: [`ReadError`] says where.
pub fn read(input: impl BufRead) -> Result<Recording, ReadError> {
    let mut lines = Lines { input, number: 0, text: Vec::new() };
    let header: Header = lines
        .next()?
        .and_then(|line| serde_json::from_slice(line).ok())
        .ok_or(ReadError::Foreign)?;
    if header.eclipse_trace != FORMAT {
        return Err(ReadError::Version(header.eclipse_trace));
    }
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let count = entries.len() as u64;
        let Some(line) = lines.next()? else { return Err(ReadError::Truncated(count)) };
        if let Ok(End { end }) = serde_json::from_slice(line) {
            if end.entries != count {
                return Err(lines.damaged(format!("{count} entries, not {}", end.entries)));
            }
            if lines.next()?.is_some() {
                return Err(lines.damaged("something follows the end".into()));
            }
            return Ok(Recording { about: header.about, entries, outcome: end.outcome });
        }
        match serde_json::from_slice::<Entry>(line) {
            Ok(entry) if entry.seq == count => entries.push(entry),
            Ok(entry) => {
                let what = format!("entry {} stands where {count} should", entry.seq);
                return Err(lines.damaged(what));
            }
            // The last line of a file that was cut off has no line end.
            Err(_) if !line.ends_with(b"\n") => return Err(ReadError::Truncated(count)),
            Err(error) => return Err(lines.damaged(error.to_string())),
        }
    }
}

struct Lines<R> {
    input: R,
    number: u64,
    text: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// No entry is longer. A foreign file without line ends is not read whole.
    const LIMIT: u64 = 1 << 20;

    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.text.clear();
        self.number += 1;
        let length = (&mut self.input).take(Self::LIMIT).read_until(b'\n', &mut self.text)?;
        Ok((length != 0).then_some(self.text.as_slice()))
    }

    fn damaged(&self, what: String) -> ReadError {
        ReadError::Damaged { line: self.number, what }
    }
}
