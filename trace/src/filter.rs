use std::{fmt, str::FromStr};

use crate::{Actor, Bdf, Entry, Event, Register, Space};

/// A kind of event, as one filters for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Accesses to configuration space.
    Config,
    /// Accesses to I/O ports.
    Port,
    /// Accesses to device memory.
    Mmio,
    /// Accesses that took no effect, of whatever sort.
    Refused,
    /// A device's reads and writes of virtqueues.
    Ring,
    /// A device's reads and writes of buffers.
    Buffer,
    /// Block requests.
    Request,
    /// Interrupts, sent or pending.
    Interrupt,
    /// Broken rules, and devices that gave up over them.
    Violation,
    /// Effects of faults.
    Fault,
    /// Console lines.
    Console,
    /// The guest's accesses to memory that is watched, and what else is there for a judge.
    Ram,
}

impl Kind {
    /// Every kind, with its name.
    pub const ALL: &'static [(&'static str, Kind)] = &[
        ("config", Kind::Config),
        ("port", Kind::Port),
        ("mmio", Kind::Mmio),
        ("refused", Kind::Refused),
        ("ring", Kind::Ring),
        ("buffer", Kind::Buffer),
        ("request", Kind::Request),
        ("interrupt", Kind::Interrupt),
        ("violation", Kind::Violation),
        ("fault", Kind::Fault),
        ("console", Kind::Console),
        ("ram", Kind::Ram),
    ];

    /// Whether `event` is of this kind; a refused access is also of its register's kind.
    pub fn includes(self, event: &Event) -> bool {
        match event {
            Event::Register { register, .. } => self == Self::of(register),
            Event::Refused { register, .. } => self == Kind::Refused || self == Self::of(register),
            Event::Ring { .. }
            | Event::Descriptor { .. }
            | Event::PackedDescriptor { .. }
            | Event::Used { .. }
            | Event::PackedUsed { .. } => self == Kind::Ring,
            Event::Buffer { .. } => self == Kind::Buffer,
            Event::Request { .. } | Event::Segment { .. } => self == Kind::Request,
            Event::Msix { .. }
            | Event::MsixPending { .. }
            | Event::Intx { .. }
            | Event::Line { .. } => self == Kind::Interrupt,
            Event::Violation { .. } | Event::NeedsReset => self == Kind::Violation,
            Event::Fault { .. } => self == Kind::Fault,
            Event::Console { .. } => self == Kind::Console,
            Event::Ram { .. }
            | Event::Barrier { .. }
            | Event::Snapshot { .. }
            | Event::Memory { .. } => self == Kind::Ram,
        }
    }

    /// The kind of an access to `register`.
    pub(crate) fn of(register: &Register) -> Kind {
        match register {
            Register::Config { .. } => Kind::Config,
            Register::ConfigAddress
            | Register::AtaData { .. }
            | Register::Ata { .. }
            | Register::DebugExit
            | Register::DebugMark
            | Register::KeyboardCommand
            | Register::ResetControl
            | Register::Unclaimed { space: Space::Port, .. } => Kind::Port,
            _ => Kind::Mmio,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name);
        f.pad(name)
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, kind)| *kind).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(name, _)| *name).collect();
            format!("there is no kind {text:?}; there are {}", names.join(", "))
        })
    }
}

/// Which entries of a transcript to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only what this function did, or what was done to its registers and queues.
    pub device: Option<Bdf>,
    /// Only these kinds; all when empty.
    pub kinds: Vec<Kind>,
    /// Nothing before this sequence number.
    pub from: Option<u64>,
    /// Nothing after this sequence number.
    pub to: Option<u64>,
}

impl Filter {
    /// Whether `entry` is to be shown.
    pub fn admits(&self, entry: &Entry) -> bool {
        let function = match &entry.event {
            Event::Register { register, .. } | Event::Refused { register, .. } => {
                register.function()
            }
            Event::Ram { place, .. } => Some(place.function()),
            Event::Barrier { function, .. } => Some(*function),
            _ => None,
        };
        let concerns = |device| entry.by == Actor::Device(device) || function == Some(device);
        self.device.is_none_or(concerns)
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind.includes(&entry.event)))
            && self.from.is_none_or(|from| entry.seq >= from)
            && self.to.is_none_or(|to| entry.seq <= to)
    }
}
