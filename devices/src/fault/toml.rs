use std::ops::Range;

use ::toml::de::{DeTable, DeValue};

use super::Fault;
use super::reader::{At, Reader};

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
/// ```
///
/// # Errors
/// The text is not TOML, names what there is not, or describes what cannot be.
pub fn parse(text: &str) -> Result<Vec<Fault>, ParseError> {
    let at = |span: Range<usize>, what: String| {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        ParseError { line, column, what }
    };
    let document = DeTable::parse(text)
        .map_err(|error| at(error.span().unwrap_or(0..0), error.message().replace('\n', "; ")))?;
    read(document.get_ref()).map_err(|At(span, what)| at(span, what))
}

fn read(document: &DeTable<'_>) -> Result<Vec<Fault>, At> {
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
            schedule.push(Reader::new(fault)?.fault()?);
        }
    }
    Ok(schedule)
}
