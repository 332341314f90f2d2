//! Parts of a transcript.

use eclipse_trace::{Entry, Event, text};

/// The entries from the console line `first` to the console line `last`, both included.
///
/// # Panics
/// There is no such line; the message has the lines that there are.
pub fn between<'a>(entries: &'a [Entry], first: &str, last: &str) -> &'a [Entry] {
    let start = position(entries, first);
    let end = position(&entries[start..], last);
    &entries[start..=start + end]
}

/// What happened after the console line `line` and before the next one.
///
/// # Panics
/// As [`between`].
pub fn after<'a>(entries: &'a [Entry], line: &str) -> &'a [Entry] {
    let start = position(entries, line) + 1;
    let length = entries[start..].iter().take_while(|entry| console(entry).is_none()).count();
    &entries[start..start + length]
}

/// `part` of the transcript `whole`, as text with memory named by what lies there.
pub fn transcript(part: &[Entry], whole: &[Entry]) -> String {
    text::symbolic(part, whole)
}

/// The lines on the console.
pub fn console_lines(entries: &[Entry]) -> Vec<&str> {
    entries.iter().filter_map(console).collect()
}

/// Where the console line `line` is.
///
/// # Panics
/// As [`between`].
pub fn position(entries: &[Entry], line: &str) -> usize {
    entries.iter().position(|entry| console(entry) == Some(line)).unwrap_or_else(|| {
        panic!("no console line {line:?} among\n{}", console_lines(entries).join("\n"))
    })
}

fn console(entry: &Entry) -> Option<&str> {
    match &entry.event {
        Event::Console { line } => Some(line),
        _ => None,
    }
}
