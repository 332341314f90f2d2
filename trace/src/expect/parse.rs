use std::str::FromStr;

use super::{
    pattern::{Pattern, Value},
    reading::nameless,
    template, words,
};
use crate::{Actor, Bdf};

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no pattern: {why}")]
pub struct ParsePatternError {
    text: String,
    why: String,
}

/// A line of a transcript, as `show` prints it, with `*` for anything.
///
/// ```text
/// guest 00:04.0 common device_status <- 0f     the value, and by its digits the width
/// guest 00:04.0 common device_status <- 04/04  some of its bits: value/mask
/// guest 00:04.0 common queue_size <- ****      any value of that width
/// guest 00:04.0 common queue_size <- 0x100     this value of any width
/// guest 00:04.0 common queue_size <-           a store; `->` is a load, `--` either
/// guest 00:04.0 common *                       an access to any register there
/// 00:04.0 common device_status                 `guest` need not stand before a register
/// guest * debug_exit <- *                      `*` for who, or for whose
/// guest 00:04.0 q0 avail.idx <- 0001           RAM that is watched; its address may be left out
/// 00:04.0 q0 avail.idx -> 0001                 the device reads
/// 00:04.0 q0 request *: in sector 3, * bytes: ok
/// 00:04.0 msix 1: * to *
/// guest console [VirtIO] *
/// guest port 0080 <- 01 refused                an access that took no effect
/// ```
///
/// A number in front, as `show` prints it, is passed over. A register or field that there is
/// nowhere is an error, and no pattern that never meets anything.
impl FromStr for Pattern {
    type Err = ParsePatternError;

    fn from_str(text: &str) -> Result<Self, ParsePatternError> {
        let line = without_number(text.trim());
        parse(line).map_err(|why| ParsePatternError { text: text.into(), why })
    }
}

/// The line without the sequence number that `show` puts in front of it.
fn without_number(line: &str) -> &str {
    match line.split_once(' ') {
        Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            rest.trim_start()
        }
        _ => line,
    }
}

fn parse(line: &str) -> Result<Pattern, String> {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim_start();
    let (by, rest) = match first {
        "guest" => (Some(Actor::Guest), rest),
        "*" => (None, rest),
        function => {
            let function: Bdf = function.parse().map_err(|_| {
                format!("it begins with {function:?}; who did it comes first: guest, a function such as 00:04.0, or *")
            })?;
            match words::is_register(rest) {
                true => (Some(Actor::Guest), line),
                false => (Some(Actor::Device(function)), rest),
            }
        }
    };
    let (mut function, rest) = match rest.strip_prefix("* ") {
        // One star is enough for whose and for what.
        Some(behind) if behind.starts_with(['-', '<']) => (None, rest),
        Some(behind) => (None, behind),
        None => nameless(rest),
    };
    if let Some(Actor::Device(device)) = by {
        function = function.or(Some(device));
    }
    let pattern = Pattern { by, function, ..Pattern::default() };
    // The end of an empty line on the console looks like a blank too many.
    match template::read(rest).or_else(|| template::read(&format!("{rest} "))) {
        Some((template, fields)) => {
            // What may be anything need not be asked for.
            let fields = fields.into_iter().filter(|(_, value)| value != "*").collect();
            Ok(Pattern { what: Some(template.what.into()), fields, ..pattern })
        }
        None => access(pattern, rest),
    }
}

/// An access: the register or field, an arrow, a value, and whether it was refused.
fn access(pattern: Pattern, line: &str) -> Result<Pattern, String> {
    let (line, refused) = match line.split_once(" refused") {
        Some((line, why)) if why.is_empty() || why.starts_with(':') => (line, true),
        _ => (line, false),
    };
    let arrows = [("->", Some(false)), ("<-", Some(true)), ("--", None)];
    let found = arrows.iter().find_map(|&(arrow, store)| {
        let (what, value) = line.rsplit_once(arrow)?;
        Some((what, store, value))
    });
    let (what, store, value) = found.unwrap_or((line, None, ""));
    // Where it lies changes with the guest's memory layout.
    let what = what.split_once(" at 0x").map_or(what, |(what, _)| what).trim();
    let (value, width) = value_and_width(value.trim())?;
    if !words::is_known(what) {
        return Err(format!("there is no register, field or event {what:?}"));
    }
    let what = (what != "*").then(|| what.to_string());
    Ok(Pattern { what, store, value, width, refused, ..pattern })
}

/// `0f`, `0f/0f`, `0xf`, `**`, `*` or nothing.
fn value_and_width(text: &str) -> Result<(Option<Value>, Option<u8>), String> {
    let (value, mask) = match text.split_once('/') {
        Some((value, mask)) => (value, Some(mask)),
        None => (text, None),
    };
    let width = match value.len() {
        // At most 8.
        digits @ (2 | 4 | 8 | 16) if !value.starts_with("0x") => Some(digits as u8 / 2),
        _ => None,
    };
    let stars = value.bytes().all(|byte| byte == b'*') && mask.is_none();
    if stars && (width.is_some() || value.len() < 2) {
        return Ok((None, width));
    }
    let number = |digits: &str| {
        let plain = digits.strip_prefix("0x").unwrap_or(digits);
        let is = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(plain, 16).ok().filter(|_| is && (width.is_some() || plain != digits))
    };
    match (number(value), mask.map_or(Some(u64::MAX), number)) {
        (Some(value), Some(mask)) => Ok((Some(Value { value: value & mask, mask }), width)),
        _ => Err(format!(
            "{text:?} is no value: write 2, 4, 8 or 16 hexadecimal digits, as wide as the access, or 0x and any number of them"
        )),
    }
}
