use std::{fmt, num::NonZeroU64};

use serde::{Deserialize, Serialize};

use crate::{
    Access, Bdf, Effect, MemoryKind, Pin, Place, Refusal, Register, RequestKind, RequestStatus,
    Snapshot, Violation,
};

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The guest's processor.
    Guest,
    /// A PCI function: its reads, writes and interrupts.
    Device(Bdf),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Guest => f.pad("guest"),
            Actor::Device(function) => f.pad(&function.to_string()),
        }
    }
}

/// An [`Event`] in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Position in the transcript, from 0, without gaps.
    pub seq: u64,
    /// The guest's instruction, where the recorder was told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rip: Option<NonZeroU64>,
    /// Who did it.
    pub by: Actor,
    /// What was done.
    #[serde(flatten)]
    pub event: Event,
}

// Half a million events are to cost 32 MiB, not more.
const _: () = assert!(size_of::<Entry>() <= 64);

/// One thing that happened on the boundary between driver and device.
///
/// The guest's accesses to registers are loads and stores of the guest; what a
/// device does to guest memory are its reads and writes, recorded by the field
/// of the virtqueue that they concern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The guest accessed a register.
    Register {
        /// Which.
        register: Register,
        /// How, and what was answered or stored.
        access: Access,
    },
    /// The guest's access took no effect.
    Refused {
        /// What it would have concerned.
        register: Register,
        /// How; a load was answered with `value`.
        access: Access,
        /// Why.
        why: Refusal,
    },
    /// The device read or wrote a 16-bit field of a virtqueue (VIRTIO 1.4, 2.7 and 2.8).
    Ring {
        /// Whose.
        queue: u16,
        /// Which.
        field: Ring,
        /// `Load` when the device read it.
        access: Access,
    },
    /// The device read a descriptor (VIRTIO 1.4, 2.7.5).
    Descriptor {
        /// Whose.
        queue: u16,
        /// Which table it is in.
        #[serde(default, skip_serializing_if = "Table::is_queue")]
        table: Table,
        /// Which entry of the table.
        index: u16,
        /// Guest-physical address of the buffer.
        addr: u64,
        /// Bytes.
        len: u32,
        /// NEXT, WRITE, INDIRECT.
        flags: DescriptorFlags,
        /// The next descriptor, where `flags` has NEXT.
        next: u16,
    },
    /// The device read a descriptor of a packed virtqueue (VIRTIO 1.4, 2.8.13).
    PackedDescriptor {
        /// Whose.
        queue: u16,
        /// Whether it is in the ring or in an indirect table.
        #[serde(default, skip_serializing_if = "Table::is_queue")]
        table: Table,
        /// Which slot of the ring, or entry of the table.
        index: u16,
        /// Guest-physical address of the buffer.
        addr: u64,
        /// Bytes.
        len: u32,
        /// Buffer ID; meant in the last descriptor of a list.
        id: u16,
        /// NEXT, WRITE, INDIRECT, AVAIL, USED.
        flags: DescriptorFlags,
    },
    /// The device wrote a used descriptor into the ring of a packed virtqueue
    /// (VIRTIO 1.4, 2.8.4).
    PackedUsed {
        /// Whose.
        queue: u16,
        /// Which slot of the ring.
        slot: u16,
        /// The ID of the buffer that is given back.
        id: u16,
        /// Bytes written to the buffer.
        len: u32,
        /// WRITE, AVAIL, USED.
        flags: DescriptorFlags,
    },
    /// The device read or wrote a buffer that a descriptor named.
    Buffer {
        /// Whose.
        queue: u16,
        /// Where the descriptor is.
        #[serde(default, skip_serializing_if = "Table::is_queue")]
        table: Table,
        /// The descriptor.
        index: u16,
        /// Which way.
        direction: Direction,
        /// Guest-physical address of the first byte moved.
        addr: u64,
        /// Bytes.
        len: u32,
    },
    /// The device carried out a block request (VIRTIO 1.4, 5.2.6).
    Request {
        /// Whose.
        queue: u16,
        /// The head of its chain.
        head: u16,
        /// What was asked.
        request: RequestKind,
        /// First sector, of 512 bytes.
        sector: u64,
        /// Bytes of data moved to or from the disk, or discarded, zeroed or erased on it.
        len: u32,
        /// The answer.
        status: RequestStatus,
    },
    /// The device read a segment of a discard, write-zeroes or secure-erase
    /// request (VIRTIO 1.4, 5.2.6).
    Segment {
        /// Whose.
        queue: u16,
        /// Its place in the request's data.
        index: u32,
        /// First sector, of 512 bytes.
        sector: u64,
        /// Sectors.
        sectors: u32,
        /// Bit 0 is `unmap`, the others are reserved.
        flags: u32,
    },
    /// The device wrote an element of the used ring (VIRTIO 1.4, 2.7.8).
    Used {
        /// Whose.
        queue: u16,
        /// Which slot of the ring.
        slot: u16,
        /// The head of the chain that is given back.
        id: u32,
        /// Bytes written to the chain's buffers.
        len: u32,
    },
    /// The device sent an MSI-X message (PCI 3.0, 6.8.2).
    Msix {
        /// Entry of the table.
        vector: u16,
        /// Message address.
        address: u64,
        /// Message data.
        data: u32,
    },
    /// The device would have sent a message, but its vector is masked or the
    /// function may not master the bus.
    MsixPending {
        /// Entry of the table, and pending bit.
        vector: u16,
    },
    /// The device began or ceased to assert its interrupt pin (PCI 3.0, 2.2.6).
    Intx {
        /// Which.
        pin: Pin,
        /// The line of the interrupt controller that it is wired to, maybe with others.
        gsi: u32,
        /// Whether it is asserted now.
        asserted: bool,
    },
    /// The device drives a line of the interrupt controller that no pin is wired to,
    /// as the IDE controller does in compatibility mode.
    Line {
        /// Which.
        gsi: u32,
        /// Whether it is asserted now.
        asserted: bool,
    },
    /// The device met what it cannot recover from and set NEEDS_RESET (VIRTIO 1.4, 2.1.2).
    NeedsReset,
    /// The driver broke a rule; the device answered as the specification says.
    Violation {
        /// The rule, and what broke it.
        violation: Violation,
    },
    /// A fault of the schedule took effect.
    Fault {
        /// Which: its name, or its number in the schedule.
        fault: Box<str>,
        /// What it did.
        effect: Box<Effect>,
    },
    /// The guest accessed a part of its own memory that is watched.
    Ram {
        /// What lies there.
        place: Place,
        /// Guest-physical address.
        addr: u64,
        /// How, and what was fetched or stored.
        access: Access,
    },
    /// What stood between the driver's last store to the index of the available ring (or to the
    /// flags of a packed descriptor) and this place, where it next looks at the device's side of
    /// the queue (VIRTIO 1.4, 2.7.13.4.1 and 2.8.21.3.1).
    Barrier {
        /// Whose queue.
        function: Bdf,
        /// Which.
        queue: u16,
        /// Whether it was a full memory barrier: `mfence`, or an instruction with `lock`.
        full: bool,
    },
    /// What the device found in memory that the driver handed over, beside what it uses.
    Snapshot {
        /// Whose.
        queue: u16,
        /// What, and how it was.
        found: Snapshot,
    },
    /// The guest has this memory.
    Memory {
        /// What it is for.
        kind: MemoryKind,
        /// Guest-physical address of the first byte.
        start: u64,
        /// Bytes.
        len: u64,
    },
    /// The guest printed a line on the console.
    Console {
        /// The line, without its end; what is not UTF-8 is replaced.
        line: Box<str>,
    },
}

impl Event {
    /// The virtqueue that it is about, unless that is an access to a register.
    pub fn queue(&self) -> Option<u16> {
        match *self {
            Event::Ring { queue, .. }
            | Event::Descriptor { queue, .. }
            | Event::PackedDescriptor { queue, .. }
            | Event::PackedUsed { queue, .. }
            | Event::Buffer { queue, .. }
            | Event::Request { queue, .. }
            | Event::Segment { queue, .. }
            | Event::Used { queue, .. }
            | Event::Barrier { queue, .. }
            | Event::Snapshot { queue, .. } => Some(queue),
            Event::Ram { place, .. } => Some(place.queue()),
            _ => None,
        }
    }
}

/// A 16-bit field of a virtqueue, apart from descriptors and used elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ring {
    /// `flags` of the available ring (VIRTIO 1.4, 2.7.6).
    AvailFlags,
    /// `idx` of the available ring.
    AvailIdx,
    /// A slot of the available ring.
    AvailRing(u16),
    /// `used_event` behind the available ring (VIRTIO 1.4, 2.7.7).
    UsedEvent,
    /// `flags` of the used ring (VIRTIO 1.4, 2.7.8).
    UsedFlags,
    /// `idx` of the used ring.
    UsedIdx,
    /// `avail_event` behind the used ring (VIRTIO 1.4, 2.7.10).
    AvailEvent,
    /// `flags` of a descriptor in a packed ring, where the device only looked
    /// whether it is available (VIRTIO 1.4, 2.8.2).
    DescriptorFlags(u16),
    /// `desc` of the driver event suppression structure: offset and wrap counter
    /// (VIRTIO 1.4, 2.8.14).
    DriverEventDesc,
    /// `flags` of the driver event suppression structure.
    DriverEventFlags,
    /// `desc` of the device event suppression structure.
    DeviceEventDesc,
    /// `flags` of the device event suppression structure.
    DeviceEventFlags,
}

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ring::AvailFlags => "avail.flags",
            Ring::AvailIdx => "avail.idx",
            Ring::AvailRing(slot) => return write!(f, "avail.ring[{slot}]"),
            Ring::UsedEvent => "avail.used_event",
            Ring::UsedFlags => "used.flags",
            Ring::UsedIdx => "used.idx",
            Ring::AvailEvent => "used.avail_event",
            Ring::DescriptorFlags(slot) => return write!(f, "desc[{slot}].flags"),
            Ring::DriverEventDesc => "driver_event.desc",
            Ring::DriverEventFlags => "driver_event.flags",
            Ring::DeviceEventDesc => "device_event.desc",
            Ring::DeviceEventFlags => "device_event.flags",
        })
    }
}

/// Which table a descriptor is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// The queue's own: its descriptor table, or its ring if it is packed.
    #[default]
    Queue,
    /// A table that an indirect descriptor names (VIRTIO 1.4, 2.7.5.3 and 2.8.7).
    Indirect,
}

impl Table {
    fn is_queue(&self) -> bool {
        *self == Table::Queue
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Table::Queue => "desc",
            Table::Indirect => "indirect",
        })
    }
}

/// Which way a device moved bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From guest memory.
    Read,
    /// To guest memory.
    Write,
}

/// The flags of a descriptor (VIRTIO 1.4, 2.7.5 and 2.8.1), undefined bits kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DescriptorFlags(pub u16);

bitflags::bitflags! {
    impl DescriptorFlags: u16 {
        /// The chain goes on at `next`.
        const NEXT = 1;
        /// The buffer is for the device to write.
        const WRITE = 2;
        /// The buffer is a table of descriptors.
        const INDIRECT = 4;
        /// Packed only: differs from USED while the descriptor is available.
        const AVAIL = 1 << 7;
        /// Packed only: equals AVAIL once the descriptor is used.
        const USED = 1 << 15;
        const _ = !0;
    }
}
