use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Bdf, Ring, Table};

/// What lies at an address of guest memory that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// An area of a virtqueue.
    Area {
        /// Whose.
        function: Bdf,
        /// Which queue.
        queue: u16,
        /// Which area, and how it is laid out.
        area: Area,
        /// Bytes from its start.
        offset: u32,
    },
    /// A table of indirect descriptors that the device has (VIRTIO 1.4, 2.7.5.3 and 2.8.7).
    Indirect {
        /// Whose.
        function: Bdf,
        /// Which queue.
        queue: u16,
        /// The descriptor that names the table.
        index: u16,
        /// Bytes from its start.
        offset: u32,
    },
    /// A buffer that the device has.
    Buffer {
        /// Whose.
        function: Bdf,
        /// Which queue.
        queue: u16,
        /// Where its descriptor is.
        table: Table,
        /// The descriptor.
        index: u16,
        /// Whether it is for the device to write.
        writable: bool,
    },
}

/// A part of a virtqueue (VIRTIO 1.4, 2.6).
///
/// An access belongs to the part that it begins in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// The descriptor table (VIRTIO 1.4, 2.7.5).
    Desc,
    /// The available ring (VIRTIO 1.4, 2.7.6).
    Avail,
    /// `used_event`, behind it (VIRTIO 1.4, 2.7.7).
    UsedEvent,
    /// The used ring (VIRTIO 1.4, 2.7.8).
    Used,
    /// `avail_event`, behind it (VIRTIO 1.4, 2.7.10).
    AvailEvent,
    /// The ring of a packed queue (VIRTIO 1.4, 2.8.13).
    PackedDesc,
    /// The driver event suppression structure (VIRTIO 1.4, 2.8.14).
    DriverEvent,
    /// The device event suppression structure.
    DeviceEvent,
}

/// A field of a virtqueue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A 16-bit field that stands alone.
    Ring(Ring),
    /// `addr` of a descriptor.
    Addr(u16),
    /// `len` of a descriptor.
    Len(u16),
    /// `flags` of a descriptor.
    Flags(u16),
    /// `next` of a descriptor.
    Next(u16),
    /// Buffer `id` of a packed descriptor.
    Id(u16),
    /// `id` of an element of the used ring.
    UsedId(u16),
    /// `len` of an element of the used ring.
    UsedLen(u16),
}

impl Area {
    /// The field that the byte at `offset` belongs to, its first byte and its width in bytes.
    ///
    /// `None`: the area ends before.
    pub fn field(self, offset: u32) -> Option<(Field, u32, u8)> {
        let words = |first, second| match offset {
            0..2 => Some((Field::Ring(first), 0, 2)),
            2..4 => Some((Field::Ring(second), 2, 2)),
            _ => None,
        };
        match self {
            Area::Desc => Some(descriptor(offset, false)),
            Area::PackedDesc => Some(descriptor(offset, true)),
            Area::Avail => words(Ring::AvailFlags, Ring::AvailIdx).or_else(|| {
                let slot = Ring::AvailRing(index(offset - 4, 2));
                Some((Field::Ring(slot), offset & !1, 2))
            }),
            Area::Used => words(Ring::UsedFlags, Ring::UsedIdx).or_else(|| {
                let slot = index(offset - 4, 8);
                let id = (offset - 4) % 8 < 4;
                Some((if id { Field::UsedId(slot) } else { Field::UsedLen(slot) }, offset & !3, 4))
            }),
            Area::UsedEvent => (offset < 2).then_some((Field::Ring(Ring::UsedEvent), 0, 2)),
            Area::AvailEvent => (offset < 2).then_some((Field::Ring(Ring::AvailEvent), 0, 2)),
            Area::DriverEvent => words(Ring::DriverEventDesc, Ring::DriverEventFlags),
            Area::DeviceEvent => words(Ring::DeviceEventDesc, Ring::DeviceEventFlags),
        }
    }

    /// The fields that `width` bytes at `offset` meet, in their order.
    pub fn fields(self, offset: u32, width: u8) -> impl Iterator<Item = Field> {
        let end = offset.saturating_add(width.into());
        let mut at = offset;
        std::iter::from_fn(move || {
            let (field, start, width) = (at < end).then(|| self.field(at))??;
            at = start + u32::from(width);
            Some(field)
        })
    }
}

/// The field of a descriptor table, or of a packed ring, that the byte at `offset` belongs to.
pub(crate) fn descriptor(offset: u32, packed: bool) -> (Field, u32, u8) {
    let (index, start) = (index(offset, 16), offset & !15);
    let (field, at, width) = match (offset % 16, packed) {
        (0..8, _) => (Field::Addr(index), 0, 8),
        (8..12, _) => (Field::Len(index), 8, 4),
        (12..14, false) => (Field::Flags(index), 12, 2),
        (_, false) => (Field::Next(index), 14, 2),
        (12..14, true) => (Field::Id(index), 12, 2),
        (_, true) => (Field::Flags(index), 14, 2),
    };
    (field, start + at, width)
}

/// A queue has at most 32768 entries; what lies beyond its end has the last number there is.
fn index(offset: u32, size: u32) -> u16 {
    u16::try_from(offset / size).unwrap_or(u16::MAX)
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Ring(field) => write!(f, "{field}"),
            Field::Addr(index) => write!(f, "desc[{index}].addr"),
            Field::Len(index) => write!(f, "desc[{index}].len"),
            Field::Flags(index) => write!(f, "desc[{index}].flags"),
            Field::Next(index) => write!(f, "desc[{index}].next"),
            Field::Id(index) => write!(f, "desc[{index}].id"),
            Field::UsedId(slot) => write!(f, "used.ring[{slot}].id"),
            Field::UsedLen(slot) => write!(f, "used.ring[{slot}].len"),
        }
    }
}

impl Place {
    /// Whether `width` bytes here are all of the address in a descriptor.
    pub(crate) fn holds_address(self, width: u8) -> bool {
        let whole = |offset| width == 8 && offset % 16 == 0;
        match self {
            Place::Area { area: Area::Desc | Area::PackedDesc, offset, .. } => whole(offset),
            Place::Indirect { offset, .. } => whole(offset),
            _ => false,
        }
    }

    /// The function whose queue it belongs to.
    pub fn function(&self) -> Bdf {
        match *self {
            Place::Area { function, .. }
            | Place::Indirect { function, .. }
            | Place::Buffer { function, .. } => function,
        }
    }

    /// The queue that it belongs to.
    pub fn queue(&self) -> u16 {
        match *self {
            Place::Area { queue, .. }
            | Place::Indirect { queue, .. }
            | Place::Buffer { queue, .. } => queue,
        }
    }
}

/// Whose it is, and what: `00:04.0 q0 desc[3].addr`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Place::Area { function, queue, area, offset } => {
                write!(f, "{function} q{queue} ")?;
                match area.field(offset) {
                    Some((field, start, _)) if start == offset => write!(f, "{field}"),
                    Some((field, start, _)) => write!(f, "{field}+{}", offset - start),
                    None => write!(f, "{area:?}+{offset:#x}"),
                }
            }
            Place::Indirect { function, queue, index, offset } => {
                write!(f, "{function} q{queue} table of desc[{index}]+{offset:#x}")
            }
            Place::Buffer { function, queue, table, index, writable } => {
                let whose = if writable { "writable" } else { "readable" };
                write!(f, "{function} q{queue} {whose} buffer of {table}[{index}]")
            }
        }
    }
}

/// What the device found in memory that the driver handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Snapshot {
    /// A field of the queue, when the driver enabled it.
    Enabled {
        /// Which.
        field: Ring,
        /// What was in it.
        value: u16,
    },
    /// The status byte of a block request, when the device took the chain (VIRTIO 1.4, 5.2.6).
    Status {
        /// The head of the chain, or the buffer's ID in a packed queue.
        head: u16,
        /// What was in it.
        value: u8,
    },
    /// A descriptor of a chain that the device has is not as it was when the device took it
    /// (VIRTIO 1.4, 3.3.1).
    Altered {
        /// The head of the chain, or the buffer's ID in a packed queue.
        head: u16,
        /// Where the descriptor is.
        table: Table,
        /// Which it is.
        index: u16,
    },
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Snapshot::Enabled { field, value } => write!(f, "{field} was {value:04x}"),
            Snapshot::Status { head, value } => {
                write!(f, "the status byte of request {head} was {value:02x}")
            }
            Snapshot::Altered { head, table, index } => {
                write!(f, "{table}[{index}] of request {head} was altered")
            }
        }
    }
}

/// What a part of guest memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryKind {
    /// Anything: it is RAM.
    Ram,
    /// The guest's instructions.
    Text,
    /// Page tables.
    PageTable,
    /// A stack.
    Stack,
}

impl fmt::Display for MemoryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MemoryKind::Ram => "ram",
            MemoryKind::Text => "text",
            MemoryKind::PageTable => "page table",
            MemoryKind::Stack => "stack",
        })
    }
}

/// What a guest says at the debug mark, a port that takes 32-bit stores and does nothing else.
///
/// Bits 31:28 are the kind and the others its number: a test marks its phases, and a guest tells
/// what no access shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A phase begins.
    Phase(u32),
    /// The page with this frame number was a device's and is used for something else now.
    Released(u32),
    /// What was written before is durable, the guest promised somebody; a running number.
    Durable(u32),
    /// A request ended with an error, which was reported; a running number.
    Failed(u32),
    /// The page with this frame number holds instructions, page tables, or a stack.
    Page(MemoryKind, u32),
    /// Another kind.
    Other(u32),
}

impl Mark {
    const NUMBER: u32 = 0x0fff_ffff;

    /// What `value` at the debug mark says.
    pub fn of(value: u32) -> Self {
        let number = value & Self::NUMBER;
        match value >> 28 {
            0 => Mark::Phase(number),
            1 => Mark::Released(number),
            2 => Mark::Durable(number),
            3 => Mark::Failed(number),
            4 => Mark::Page(MemoryKind::Text, number),
            5 => Mark::Page(MemoryKind::PageTable, number),
            6 => Mark::Page(MemoryKind::Stack, number),
            _ => Mark::Other(value),
        }
    }

    /// What is stored at the debug mark to say so.
    ///
    /// A page is of text, of page tables or of a stack; memory of any other kind is not marked.
    pub fn value(self) -> u32 {
        let (kind, number) = match self {
            Mark::Phase(number) => (0, number),
            Mark::Released(frame) => (1, frame),
            Mark::Durable(number) => (2, number),
            Mark::Failed(number) => (3, number),
            Mark::Page(MemoryKind::Text | MemoryKind::Ram, frame) => (4, frame),
            Mark::Page(MemoryKind::PageTable, frame) => (5, frame),
            Mark::Page(MemoryKind::Stack, frame) => (6, frame),
            Mark::Other(value) => return value,
        };
        kind << 28 | number & Self::NUMBER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(area: Area, offset: u32, width: u8) -> Vec<String> {
        area.fields(offset, width).map(|field| field.to_string()).collect()
    }

    #[test]
    fn a_wide_access_meets_several_fields() {
        assert_eq!(names(Area::Desc, 0x38, 8), ["desc[3].len", "desc[3].flags", "desc[3].next"]);
        assert_eq!(names(Area::PackedDesc, 0x3c, 4), ["desc[3].id", "desc[3].flags"]);
        assert_eq!(names(Area::Avail, 2, 4), ["avail.idx", "avail.ring[0]"]);
        assert_eq!(names(Area::Used, 0x2, 4), ["used.idx", "used.ring[0].id"]);
        assert_eq!(names(Area::DriverEvent, 0, 4), ["driver_event.desc", "driver_event.flags"]);
    }

    #[test]
    fn an_event_field_is_a_part_of_its_own() {
        assert_eq!(names(Area::UsedEvent, 0, 4), ["avail.used_event"]);
        assert_eq!(names(Area::AvailEvent, 0, 2), ["used.avail_event"]);
        assert_eq!(Area::UsedEvent.field(2), None);
        assert_eq!(Area::DeviceEvent.field(4), None);
    }

    #[test]
    fn a_part_of_a_field_belongs_to_it() {
        assert_eq!(Area::Desc.field(5), Some((Field::Addr(0), 0, 8)));
        assert_eq!(Area::Avail.field(7), Some((Field::Ring(Ring::AvailRing(1)), 6, 2)));
        assert_eq!(Area::Used.field(11), Some((Field::UsedLen(0), 8, 4)));
    }
}
