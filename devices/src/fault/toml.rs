use std::ops::Range;

use ::toml::de::{DeTable, DeValue};
use eclipse_trace::Bdf;

use super::reader::{At, Reader, Spans};
use super::{Fault, Impossible};

/// What is wrong with a schedule in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// In one sentence.
    pub what: String,
}

/// Reads a schedule from TOML.
///
/// Each fault is a table `[[fault]]`. `on` says what brings it about, `do` what is
/// done; a number is an integer, or a string such as `"0xffffffffffffffff"`.
///
/// ```toml
/// [[fault]]
/// name = "status lies"                        # what the transcript calls it
/// device = "00:04.0"                          # the default
/// on = { load = "common.device_status", nth = 2 }
/// do = { return = 0xff }
/// limit = "from now on"                       # or how often; 1 is the default
///
/// [[fault]]
/// on = { completion = "in" }
/// do = { used_id = 0x10003 }
///
/// [[fault]]
/// on = { ring_reload = "used.ring.id" }       # on KVM; see `RingField` for the names
/// do = { xor = 1 }
///
/// [[fault]]
/// on = { boot = true }
/// do = { machine = "vectors", value = 1 }
/// ```
///
/// # Errors
/// The text is not TOML, names what there is not, or describes what cannot be.
pub fn parse(text: &str) -> Result<Vec<Fault>, ParseError> {
    parse_file(text, Fault::BLOCK_DEVICE).map(|file| file.schedule)
}

/// A schedule, and where the file has its parts.
#[derive(Debug)]
pub struct File {
    /// The faults, in the order of the file.
    pub schedule: Vec<Fault>,
    text: String,
    spans: Vec<Spans>,
}

impl File {
    /// What is wrong with the fault of this number for a machine, and where it is said.
    pub fn refuse(&self, number: usize, why: &Impossible) -> ParseError {
        let span = self.spans.get(number).map_or(0..0, |spans| spans.of(why));
        located(&self.text, &span, why.to_string())
    }
}

/// Reads a schedule from TOML as [`parse`] does, with `device` as the function of a fault
/// that names none, and keeps where its parts are.
///
/// # Errors
/// As [`parse`].
pub fn parse_file(text: &str, device: Bdf) -> Result<File, ParseError> {
    let at = |span: Range<usize>, what| located(text, &span, what);
    let document = DeTable::parse(text)
        .map_err(|error| at(error.span().unwrap_or(0..0), error.message().replace('\n', "; ")))?;
    let read = read(document.get_ref(), device).map_err(|At(span, what)| at(span, what))?;
    let (schedule, spans) = read.into_iter().unzip();
    Ok(File { schedule, text: text.into(), spans })
}

fn located(text: &str, span: &Range<usize>, what: String) -> ParseError {
    let before = text.get(..span.start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before[line_start..].chars().count() + 1;
    ParseError { line, column, what }
}

fn read(document: &DeTable<'_>, device: Bdf) -> Result<Vec<(Fault, Spans)>, At> {
    let mut schedule = Vec::new();
    for (key, value) in document {
        let DeValue::Array(faults) = value.get_ref() else {
            let what = format!("a schedule has tables [[fault]], no {:?}", key.get_ref());
            return Err(At(key.span(), what));
        };
        if key.get_ref() != "fault" {
            let what = format!("a schedule has tables [[fault]], no [[{}]]", key.get_ref());
            return Err(At(key.span(), what));
        }
        for fault in faults {
            schedule.push(Reader::new(fault)?.fault(device)?);
        }
    }
    Ok(schedule)
}
