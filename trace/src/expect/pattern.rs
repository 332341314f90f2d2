use std::fmt;

use super::{
    parse,
    reading::{self, Reading},
    template::{TEMPLATES, globbed},
};
use crate::{
    Access, Actor, Bdf, Entry, Field, Kind, Mark, Register, RequestKind, RequestStatus,
    register::CommonCfg,
};

/// Which events are meant: what an analyser's trigger would be set to.
///
/// A pattern is made from a line of a transcript, in which `*` is for anything
/// ([`str::parse`]), or by a function such as [`register`] or [`request`] and the methods here,
/// each of which asks for one thing more. Of accesses that were refused only a pattern that says
/// so speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    pub(super) by: Option<Actor>,
    pub(super) function: Option<Bdf>,
    /// As in a [`Reading`], with `*` for anything.
    pub(super) what: Option<String>,
    pub(super) kind: Option<Kind>,
    pub(super) store: Option<bool>,
    pub(super) width: Option<u8>,
    pub(super) value: Option<Value>,
    pub(super) refused: bool,
    /// What is to stand in the holes of a template's line, with `*` for anything.
    pub(super) fields: Vec<(&'static str, String)>,
}

/// Some bits of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) value: u64,
    pub(super) mask: u64,
}

/// What can be taken for a [`Pattern`]: one, or the text of one.
pub trait ToPattern {
    /// The pattern.
    ///
    /// # Panics
    /// The text is none; the message says why.
    fn to_pattern(&self) -> Pattern;
}

impl ToPattern for Pattern {
    fn to_pattern(&self) -> Pattern {
        self.clone()
    }
}

impl ToPattern for str {
    #[track_caller]
    fn to_pattern(&self) -> Pattern {
        self.parse().unwrap_or_else(|error: parse::ParsePatternError| panic!("{error}"))
    }
}

impl<T: ToPattern + ?Sized> ToPattern for &T {
    #[track_caller]
    fn to_pattern(&self) -> Pattern {
        (**self).to_pattern()
    }
}

/// Accesses to a register.
pub fn register(register: &Register) -> Pattern {
    let what = Some(reading::name(register));
    Pattern { by: Some(Actor::Guest), function: register.function(), what, ..Pattern::default() }
}

/// Accesses to a register of the common configuration (VIRTIO 1.4, 4.1.4.3).
pub fn common(function: Bdf, register: CommonCfg) -> Pattern {
    self::register(&Register::Common { function, register })
}

/// Notifications of a queue (VIRTIO 1.4, 4.1.4.4).
pub fn notify(function: Bdf, queue: u16) -> Pattern {
    register(&Register::Notify { function, queue }).stored()
}

/// What the guest says at the debug mark.
pub fn mark(mark: Mark) -> Pattern {
    register(&Register::DebugMark).stored().value(mark.value().into())
}

/// The guest's accesses to a field of a virtqueue, where RAM is watched; an access that is wider
/// than the field is meant, too.
pub fn ram(function: Bdf, queue: u16, field: Field) -> Pattern {
    let what = Some(format!("q{queue} {field}"));
    Pattern { by: Some(Actor::Guest), function: Some(function), what, ..Pattern::default() }
}

/// Block requests that a device carried out.
pub fn request(request: RequestKind) -> Pattern {
    Pattern::a("request").field("kind", &request.to_string())
}

/// MSI-X messages of a vector that were sent.
pub fn message(vector: u16) -> Pattern {
    Pattern::a("message").field("vector", &vector.to_string())
}

/// Lines on the console; `*` is for anything.
pub fn console(line: &str) -> Pattern {
    Pattern { by: Some(Actor::Guest), ..Pattern::a("console") }.field("line", line)
}

/// Effects of the fault of this name; `*` is for anything.
pub fn fault(name: &str) -> Pattern {
    Pattern::a("fault").field("fault", name)
}

/// All events of a kind, such as interrupts or violations.
pub fn any(kind: Kind) -> Pattern {
    let refused = kind == Kind::Refused;
    Pattern { kind: Some(kind), refused, ..Pattern::default() }
}

impl Pattern {
    fn a(what: &str) -> Self {
        Self { what: Some(what.into()), ..Self::default() }
    }

    /// Done by the guest, or by this device.
    pub fn by(self, actor: Actor) -> Self {
        Self { by: Some(actor), ..self }
    }

    /// Concerning this function.
    pub fn of(self, function: Bdf) -> Self {
        Self { function: Some(function), ..self }
    }

    /// Loads, or reads by a device.
    pub fn loaded(self) -> Self {
        Self { store: Some(false), ..self }
    }

    /// Stores, or writes by a device.
    pub fn stored(self) -> Self {
        Self { store: Some(true), ..self }
    }

    /// Accesses of so many bytes.
    pub fn width(self, width: u8) -> Self {
        Self { width: Some(width), ..self }
    }

    /// Accesses that fetched or stored this value.
    pub fn value(self, value: u64) -> Self {
        self.bits(value, u64::MAX)
    }

    /// Accesses that fetched or stored a value with these bits under `mask`.
    pub fn bits(self, value: u64, mask: u64) -> Self {
        Self { value: Some(Value { value: value & mask, mask }), ..self }
    }

    /// Accesses that took no effect.
    pub fn refused(self) -> Self {
        Self { refused: true, ..self }
    }

    /// Of this queue, where the event is a request or another deed of a device.
    pub fn queue(self, queue: u16) -> Self {
        self.field("queue", &queue.to_string())
    }

    /// Requests that begin at this sector.
    pub fn sector(self, sector: u64) -> Self {
        self.field("sector", &sector.to_string())
    }

    /// Requests or buffers of so many bytes.
    pub fn bytes(self, bytes: u32) -> Self {
        self.field("bytes", &bytes.to_string())
    }

    /// Requests that were answered so.
    pub fn status(self, status: RequestStatus) -> Self {
        self.field("status", &status.to_string())
    }

    fn field(mut self, name: &'static str, value: &str) -> Self {
        self.fields.retain(|(known, _)| *known != name);
        self.fields.push((name, value.into()));
        self
    }

    /// Whether `entry` is meant.
    pub fn admits(&self, entry: &Entry) -> bool {
        Reading::of(entry).iter().any(|reading| self.differences(entry, reading).is_empty())
    }

    /// Whether this is the register, the field or the sort of event that is meant.
    pub(super) fn is_about(&self, entry: &Entry, reading: &Reading) -> bool {
        self.kind.is_none_or(|kind| kind.includes(&entry.event))
            && self.what.as_deref().is_none_or(|what| globbed(what, &reading.what))
    }

    /// Where `entry`, by this reading, is not what is asked for.
    pub(super) fn differences(&self, entry: &Entry, reading: &Reading) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut differs = |aspect, is: String, wanted: String| {
            found.push(Difference { aspect, is, wanted });
        };
        if !self.is_about(entry, reading) {
            let wanted = self.what.clone().or(self.kind.map(|kind| kind.to_string()));
            differs(Aspect::What, reading.what.clone(), wanted.unwrap_or_default());
        }
        if self.function.is_some() && self.function != reading.function {
            let name = |function: Option<Bdf>| function.map_or("none".into(), |f| f.to_string());
            differs(Aspect::Function, name(reading.function), name(self.function));
        }
        if let Some(by) = self.by.filter(|&by| by != reading.by) {
            differs(Aspect::By, reading.by.to_string(), by.to_string());
        }
        // Of all kinds but that of refused accesses some are accesses that took effect.
        if self.refused != reading.refused.is_some() && self.kind.is_none() {
            let name = |refused| if refused { "refused" } else { "taken" };
            differs(Aspect::Effect, name(!self.refused).into(), name(self.refused).into());
        }
        self.access_differs(reading.access, &mut differs);
        for (name, glob) in &self.fields {
            match reading.fields.iter().find(|(known, _)| known == name) {
                Some((_, is)) if globbed(glob, is) => {}
                Some((_, is)) => differs(Aspect::Field(name), is.clone(), glob.clone()),
                None => differs(Aspect::Field(name), "none".into(), glob.clone()),
            }
        }
        found
    }

    fn access_differs(
        &self,
        access: Option<Access>,
        differs: &mut impl FnMut(Aspect, String, String),
    ) {
        let Some(access) = access else {
            if self.store.is_some() || self.width.is_some() || self.value.is_some() {
                differs(Aspect::Access, "none".into(), "an access".into());
            }
            return;
        };
        let name = |store| if store { "a store" } else { "a load" };
        if let Some(store) = self.store.filter(|&store| store != access.is_store()) {
            differs(Aspect::Access, name(!store).into(), name(store).into());
        }
        if let Some(width) = self.width.filter(|&width| width != access.width()) {
            differs(Aspect::Width, access.width().to_string(), width.to_string());
        }
        if let Some(wanted) =
            self.value.filter(|wanted| wanted.value != access.value() & wanted.mask)
        {
            let digits = 2 * usize::from(access.width());
            let bits = (wanted.value ^ (access.value() & wanted.mask)).count_ones();
            let is = format!("{:0digits$x}", access.value());
            let wanted = match wanted.mask {
                u64::MAX => format!("{:0digits$x}", wanted.value),
                mask => format!("{:0digits$x}/{mask:0digits$x}", wanted.value),
            };
            differs(Aspect::Value(bits), is, wanted);
        }
    }
}

/// Something that an event has otherwise than a pattern wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) aspect: Aspect,
    is: String,
    wanted: String,
}

/// What a difference is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aspect {
    /// Which register or field, or which sort of event.
    What,
    Function,
    By,
    /// Whether the access took effect.
    Effect,
    /// Load or store.
    Access,
    Width,
    /// In how many bits.
    Value(u32),
    Field(&'static str),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { aspect, is, wanted } = self;
        match aspect {
            Aspect::What | Aspect::Effect | Aspect::Access => write!(f, "{is}, not {wanted}"),
            Aspect::Function => write!(f, "function {is}, not {wanted}"),
            Aspect::By => write!(f, "by {is}, not {wanted}"),
            Aspect::Width => write!(f, "width {is}, not {wanted}"),
            Aspect::Value(_) => write!(f, "value {is}, not {wanted}"),
            Aspect::Field(name) => write!(f, "{name} {is}, not {wanted}"),
        }
    }
}

/// As a line that can be parsed, except for what no line says: a kind.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = self.kind {
            write!(f, "any event of kind {kind}")?;
            return match self.function {
                Some(function) => write!(f, " of {function}"),
                None => Ok(()),
            };
        }
        let what = self.what.as_deref().unwrap_or("*");
        let template = TEMPLATES.iter().find(|template| {
            template.what == what
                && self.fields.iter().all(|(name, _)| template.names().any(|known| known == *name))
        });
        let line = match template {
            Some(template) => template.filled(|name| {
                let field = self.fields.iter().find(|(known, _)| *known == name);
                field.map_or("*", |(_, value)| value)
            }),
            None => what.to_string(),
        };
        match (self.by, self.function) {
            (Some(Actor::Guest), Some(function)) => write!(f, "guest {function} {line}")?,
            (Some(Actor::Guest), None) => write!(f, "guest {line}")?,
            (Some(Actor::Device(by)), _) => write!(f, "{by} {line}")?,
            (None, Some(function)) => write!(f, "* {function} {line}")?,
            (None, None) => write!(f, "* {line}")?,
        }
        self.fmt_access(f)
    }
}

impl Pattern {
    fn fmt_access(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.width.map(|width| 2 * usize::from(width));
        let arrow = match self.store {
            Some(true) => " <-",
            Some(false) => " ->",
            None if self.value.is_some() || self.width.is_some() => " --",
            None => "",
        };
        f.write_str(arrow)?;
        match (self.value, digits) {
            (Some(Value { value, mask: u64::MAX }), Some(digits)) => {
                write!(f, " {value:0digits$x}")?
            }
            (Some(Value { value, mask }), Some(digits)) => {
                write!(f, " {value:0digits$x}/{mask:0digits$x}")?;
            }
            (Some(Value { value, mask: u64::MAX }), None) => write!(f, " {value:#x}")?,
            (Some(Value { value, mask }), None) => write!(f, " {value:#x}/{mask:#x}")?,
            (None, Some(digits)) => write!(f, " {}", "*".repeat(digits))?,
            (None, None) if !arrow.is_empty() => f.write_str(" *")?,
            (None, None) => {}
        }
        f.write_str(if self.refused { " refused" } else { "" })
    }
}
