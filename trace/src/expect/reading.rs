use super::template;
use crate::{Access, Actor, Bdf, Entry, Event, Place, Refusal, Register};

/// What an event says, in the parts that a pattern can be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) by: Actor,
    /// Whose register, memory or deed.
    pub(super) function: Option<Bdf>,
    /// Which register or field, as the transcript names it; what else an event is, by a
    /// template's word.
    pub(super) what: String,
    pub(super) access: Option<Access>,
    pub(super) refused: Option<Refusal>,
    /// What stands in a template's holes.
    pub(super) fields: template::Fields,
}

impl Reading {
    /// What `entry` says: one reading, and another for each field that a wide access to RAM meets.
    pub(super) fn of(entry: &Entry) -> Vec<Self> {
        let by = entry.by;
        let access = |function, what, access| Self {
            by,
            function,
            what,
            access: Some(access),
            refused: None,
            fields: Vec::new(),
        };
        match entry.event {
            Event::Register { ref register, access: how } => {
                vec![access(register.function(), name(register), how)]
            }
            Event::Refused { ref register, access: how, why } => {
                let reading = access(register.function(), name(register), how);
                vec![Self { refused: Some(why), ..reading }]
            }
            Event::Ring { queue, field, access: how } => {
                vec![access(owner(by), format!("q{queue} {field}"), how)]
            }
            Event::Ram { ref place, access: how, .. } => {
                let function = Some(place.function());
                let whole = access(function, nameless(&place.to_string()).1.into(), how);
                let parts = parts(place, how);
                let parts = parts.into_iter().map(|(what, part)| access(function, what, part));
                [whole].into_iter().chain(parts).collect()
            }
            _ => vec![Self::of_line(entry)],
        }
    }

    /// What an event says that is no access: its line tells.
    fn of_line(entry: &Entry) -> Self {
        let line = entry.to_string();
        let line = line.strip_prefix(&format!("{:<7} ", entry.by)).unwrap_or(&line);
        let (function, line) = nameless(line);
        let function = function.or(owner(entry.by));
        let (what, fields) = match template::read(line) {
            Some((template, fields)) => (template.what.into(), fields),
            None => (line.into(), Vec::new()),
        };
        Self { by: entry.by, function, what, access: None, refused: None, fields }
    }
}

/// The function whose deed it is.
fn owner(by: Actor) -> Option<Bdf> {
    match by {
        Actor::Guest => None,
        Actor::Device(function) => Some(function),
    }
}

/// What a register is called, without the function that it belongs to.
pub(super) fn name(register: &Register) -> String {
    nameless(&register.to_string()).1.into()
}

/// A function's address in front of a line, and the rest of it.
pub(super) fn nameless(line: &str) -> (Option<Bdf>, &str) {
    match line.split_once(' ').map(|(first, rest)| (first.parse(), rest)) {
        Some((Ok(function), rest)) => (Some(function), rest.trim_start()),
        _ => (None, line),
    }
}

/// The whole fields of a queue that an access to RAM meets, each with its part of the value.
fn parts(place: &Place, access: Access) -> Vec<(String, Access)> {
    let &Place::Area { queue, area, offset, .. } = place else { return Vec::new() };
    let end = offset.saturating_add(access.width().into());
    let mut parts = Vec::new();
    let mut at = offset;
    while let Some((field, start, width)) = area.field(at).filter(|_| at < end) {
        let next = start + u32::from(width);
        // A field as wide as the access is the access; of half a field nothing can be said.
        if start >= offset && next <= end && width < access.width() {
            let value = access.value() >> (8 * (start - offset)) & (u64::MAX >> (64 - 8 * width));
            let part = match access {
                Access::Load { .. } => Access::Load { width, value },
                Access::Store { .. } => Access::Store { width, value },
            };
            parts.push((format!("q{queue} {field}"), part));
        }
        at = next;
    }
    parts
}
