use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Access, Bdf, Refusal, Register, Violation};

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
    /// The device read or wrote a 16-bit field of a split virtqueue (VIRTIO 1.4, 2.7).
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
    /// The device read or wrote a buffer that a descriptor named.
    Buffer {
        /// Whose.
        queue: u16,
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
        /// Bytes of data moved to or from the disk.
        len: u32,
        /// The answer.
        status: RequestStatus,
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
    /// The device met what it cannot recover from and set NEEDS_RESET (VIRTIO 1.4, 2.1.2).
    NeedsReset,
    /// The driver broke a rule; the device answered as the specification says.
    Violation {
        /// The rule, and what broke it.
        violation: Violation,
    },
    /// The guest printed a line on the console.
    Console {
        /// The line, without its end; what is not UTF-8 is replaced.
        line: Box<str>,
    },
}

/// A 16-bit field of a split virtqueue's rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ring {
    /// `flags` of the available ring (VIRTIO 1.4, 2.7.6).
    AvailFlags,
    /// `idx` of the available ring.
    AvailIdx,
    /// A slot of the available ring.
    AvailRing(u16),
    /// `idx` of the used ring (VIRTIO 1.4, 2.7.8).
    UsedIdx,
}

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ring::AvailFlags => f.write_str("avail.flags"),
            Ring::AvailIdx => f.write_str("avail.idx"),
            Ring::AvailRing(slot) => write!(f, "avail.ring[{slot}]"),
            Ring::UsedIdx => f.write_str("used.idx"),
        }
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

/// The flags of a descriptor (VIRTIO 1.4, 2.7.5), undefined bits kept.
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
        const _ = !0;
    }
}

/// The type of a block request (VIRTIO 1.4, 5.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// `VIRTIO_BLK_T_IN`: read from the disk.
    In,
    /// `VIRTIO_BLK_T_OUT`: write to the disk.
    Out,
    /// `VIRTIO_BLK_T_FLUSH`.
    Flush,
    /// `VIRTIO_BLK_T_GET_ID`.
    GetId,
    /// Any other, by its number.
    Other(u32),
}

impl RequestKind {
    /// The name; one for all types without.
    pub const fn name(self) -> &'static str {
        match self {
            RequestKind::In => "in",
            RequestKind::Out => "out",
            RequestKind::Flush => "flush",
            RequestKind::GetId => "get_id",
            RequestKind::Other(_) => "other",
        }
    }
}

impl fmt::Display for RequestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestKind::Other(number) => write!(f, "type {number:#x}"),
            kind => f.pad(kind.name()),
        }
    }
}

/// The status byte of a block request (VIRTIO 1.4, 5.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RequestStatus {
    /// `VIRTIO_BLK_S_OK`.
    Ok = 0,
    /// `VIRTIO_BLK_S_IOERR`.
    IoErr = 1,
    /// `VIRTIO_BLK_S_UNSUPP`.
    Unsupp = 2,
}

impl fmt::Display for RequestStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RequestStatus::Ok => "ok",
            RequestStatus::IoErr => "ioerr",
            RequestStatus::Unsupp => "unsupp",
        })
    }
}
