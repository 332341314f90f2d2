//! Faults as data: what a device does wrong, and when.
//!
//! A schedule is a list of [`Fault`]s, and a fault is a [`Trigger`], an
//! [`Action`], and how often it strikes. Nothing in the devices knows of a
//! particular fault. They pass a few points (an access, a request's status, a
//! completion, a write to the used ring, an interrupt), and there a schedule, if
//! there is one, is asked what becomes of what the device would have done.
//!
//! Schedules are made in code, read from a file ([`parse`]), or taken from the
//! [`catalogue`] by name ([`by_name`]).

pub mod catalogue;
mod check;
mod completion;
mod field;
mod injector;
mod outcome;
mod points;
mod reader;
mod register;
mod rings;
mod setting;
mod target;
mod toml;
mod value;
mod words;

use eclipse_trace::register::CapabilityKind;
use eclipse_trace::{Bdf, RequestKind, Setting};

pub use catalogue::by_name;
pub use check::Impossible;
pub use field::{RingField, UnknownField};
pub(crate) use injector::{Command, Injector, Stage};
pub(crate) use outcome::{Fate, Forgery};
pub use register::{RegisterName, UnknownRegister};
pub(crate) use setting::Machine;
pub(crate) use target::Target;
pub use toml::{File, ParseError, parse, parse_file};
pub use value::Value;

/// One thing that a device does wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What the transcript calls it; without one, its number in the schedule.
    pub name: Option<String>,
    /// The function that it is a fault of.
    pub device: Bdf,
    /// What brings it about.
    pub trigger: Trigger,
    /// The first time that counts, from 1.
    pub nth: u64,
    /// How often it strikes, from the `nth` time on; `None`: from then on always.
    pub limit: Option<u64>,
    /// What is done.
    pub action: Action,
}

impl Fault {
    /// The function of the preset `modern` that is the block device.
    pub const BLOCK_DEVICE: Bdf = Bdf::new(0, 4, 0);

    /// A fault of the block device that strikes the first time and no more.
    pub fn new(trigger: Trigger, action: Action) -> Self {
        Self { name: None, device: Self::BLOCK_DEVICE, trigger, nth: 1, limit: Some(1), action }
    }

    /// The same, of another function.
    pub fn of(self, device: Bdf) -> Self {
        Self { device, ..self }
    }

    /// The same, striking the `nth` time first.
    pub fn nth(self, nth: u64) -> Self {
        Self { nth, ..self }
    }

    /// The same, striking so often.
    pub fn times(self, limit: u64) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// The same, striking again and again.
    pub fn from_now_on(self) -> Self {
        Self { limit: None, ..self }
    }

    /// The same under a name.
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.into()), ..self }
    }
}

/// What brings a fault about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The machine is put together: the guest has not begun.
    Boot,
    /// The guest loads this register, whole or in part.
    Load(RegisterName),
    /// The guest stores to this register; with a value, only when it stores that.
    Store(RegisterName, Option<u64>),
    /// The guest loads the byte at this offset of the function's configuration space.
    ConfigLoad(u16),
    /// The guest rings this queue's doorbell.
    Notify(u16),
    /// The device carries out a request, of this type if one is given.
    Completion(Option<RequestKind>),
    /// The guest loads this field of a virtqueue, whole or in part.
    ///
    /// Rings lie in RAM, whose accesses nobody sees. Only a machine that leaves a hole in
    /// the place of a watched ring can tell, and so for the next two. There the pages of the
    /// ring must hold neither code nor page tables: the processor reaches those only in RAM.
    RingLoad(RingField),
    /// The guest loads this field although nobody has written to it since it did so last.
    RingReload(RingField),
    /// The guest stores to this field.
    RingStore(RingField),
    /// The device writes this field.
    RingWrite(RingField),
    /// The guest makes an access, of whatever sort. `nth` counts accesses from power-on.
    Exit,
    /// The guest halts.
    Halt,
}

/// A part of a virtqueue (VIRTIO 1.4, 2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// The descriptor table.
    Desc,
    /// The available ring.
    Avail,
    /// The used ring.
    Used,
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The load answers, or the store has, another value.
    Alter(Value),
    /// The register answers from now on what it answers now.
    Stick,
    /// The device does not notice the store or notification.
    Ignore,
    /// The function is gone, with this access: it reads as all ones.
    Remove,
    /// The used element of the completion has another ID or another length.
    UsedElement {
        /// The ID.
        id: Option<Value>,
        /// The length.
        len: Option<Value>,
    },
    /// The used index of the completion is another one.
    UsedIdx(Value),
    /// The used index of the completion moves on over an element that is not written.
    NoUsedElement,
    /// The status of the request is another one; `None`: none is written.
    Status(Option<Value>),
    /// No data of the request goes to the guest's memory.
    NoData,
    /// Of the data of the request, only so many sectors go to the disk; a flush does nothing.
    Lose {
        /// How many sectors are kept.
        kept: u64,
    },
    /// The chain is not given back.
    Drop,
    /// The chain is given back when the guest has made so many further accesses.
    Delay(u64),
    /// The chain is given back when another fault releases it, or when the guest halts.
    Hold,
    /// The chains that were held are given back. With a load of a ring: behind it.
    Release,
    /// The chain is given back when the next one has been, or when the guest halts.
    Swap,
    /// The chain is given back, and again when the guest has made so many further accesses.
    Duplicate(u64),
    /// An interrupt is raised.
    Interrupt(Vector),
    /// The function's next interrupt is not sent; with a source, the next of that.
    NoInterrupt(Option<Vector>),
    /// Guest memory is written to. With a completion: after it; with a load of a ring: before.
    Memory {
        /// Where.
        at: Place,
        /// What.
        bytes: Vec<u8>,
    },
    /// An entry of the descriptor table of queue 0 is rewritten. With a completion: after it.
    Descriptor {
        /// Which.
        index: u16,
        /// Its field.
        field: Field,
        /// What becomes of it.
        value: Value,
    },
    /// The device sets NEEDS_RESET, notifies the driver of it, and stops.
    NeedsReset,
    /// The device looks for available chains in this queue, without a notification.
    Poll(u16),
    /// The device has another capacity from now on, in sectors, and notifies the driver of it.
    Capacity(u64),
    /// Configuration space is another one.
    Edit(Edit),
    /// The machine is put together in another way.
    Machine(Setting, u64),
}

/// Where an interrupt goes, and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vector {
    /// To the vector of configuration changes.
    Config,
    /// To the vector of this queue.
    Queue(u16),
}

/// A place in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// This guest-physical address.
    Address(u64),
    /// So far into the data that the device last wrote.
    Data(u64),
    /// So far into an area of queue 0, where it is or was last.
    Area(Area, u64),
    /// So far into the indirect table that the device read last.
    Indirect(u64),
}

/// A field of a descriptor (VIRTIO 1.4, 2.7.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `addr`.
    Addr,
    /// `len`.
    Len,
    /// `flags`.
    Flags,
    /// `next`.
    Next,
}

impl Field {
    /// Where it lies in a descriptor, and its bytes.
    pub(crate) fn place(self) -> (u64, u8) {
        match self {
            Field::Addr => (0, 8),
            Field::Len => (8, 4),
            Field::Flags => (12, 2),
            Field::Next => (14, 2),
        }
    }
}

impl std::str::FromStr for Field {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "addr" => Ok(Field::Addr),
            "len" => Ok(Field::Len),
            "flags" => Ok(Field::Flags),
            "next" => Ok(Field::Next),
            _ => Err("a descriptor has addr, len, flags and next"),
        }
    }
}

/// A change to configuration space before the guest begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// A register, of the header or of a capability.
    Register(RegisterName, Value),
    /// The bytes from this offset on.
    Bytes(u8, Vec<u8>),
    /// The capability is taken out of the list.
    Unlink(CapabilityKind),
    /// A capability becomes the first of the list; the bytes follow its ID and next pointer.
    Prepend(u8, Vec<u8>),
    /// A capability becomes the last of the list.
    Append(u8, Vec<u8>),
}
