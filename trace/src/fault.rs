use std::fmt;

use serde::{Deserialize, Serialize};

/// What a fault did to what the device would have done.
///
/// The fault is recorded before what it altered: the entry that follows shows
/// what the guest saw, this one what it should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// A load was answered with another value.
    Answer {
        /// What the register holds.
        instead_of: u64,
        /// What the guest got.
        value: u64,
    },
    /// A store reached the device with another value.
    Stored {
        /// What the guest stored.
        instead_of: u64,
        /// What the device took.
        value: u64,
    },
    /// A store did not reach the device.
    StoreIgnored,
    /// The function is gone: nothing of it answers any more.
    Removed,
    /// A byte of configuration space differs from what it was, before the guest began.
    Config {
        /// Where.
        offset: u16,
        /// What it was.
        instead_of: u8,
        /// What it is.
        value: u8,
    },
    /// The machine was put together in another way.
    Machine {
        /// What of it.
        setting: Setting,
        /// What that is.
        value: u64,
    },
    /// A load of a virtqueue's memory was answered with another value.
    RingLoad {
        /// Where.
        addr: u64,
        /// What lies there.
        instead_of: u64,
        /// What the guest got.
        value: u64,
    },
    /// A store to a virtqueue's memory stored another value.
    RingStore {
        /// Where.
        addr: u64,
        /// What the guest stored.
        instead_of: u64,
        /// What lies there now.
        value: u64,
    },
    /// The device wrote another value to a virtqueue.
    RingWrite {
        /// Where.
        addr: u64,
        /// What it should be.
        instead_of: u64,
        /// What was written.
        value: u64,
    },
    /// A used element was forged.
    Used {
        /// The ID that it should have.
        id: u32,
        /// The length that it should have.
        len: u32,
    },
    /// A used element was not written at all.
    UsedNotWritten {
        /// The slot that keeps what it had.
        slot: u16,
    },
    /// `idx` of the used ring was forged.
    UsedIdx {
        /// What it should be.
        instead_of: u16,
    },
    /// The status of a request was forged.
    Status {
        /// What it should be.
        instead_of: u8,
        /// What was written; `None`: nothing was.
        value: Option<u8>,
    },
    /// Data was not written to the guest's memory.
    DataWithheld {
        /// Where it should have gone.
        addr: u64,
        /// Bytes.
        len: u32,
    },
    /// Data was not written to the disk, or the disk not flushed, although the device says so.
    DiskWithheld {
        /// The first sector that was left out.
        sector: u64,
    },
    /// A request was carried out and its chain not given back.
    Dropped {
        /// The chain.
        head: u16,
    },
    /// A chain is given back later.
    Delayed {
        /// The chain.
        head: u16,
        /// After this many further accesses of the guest.
        exits: u64,
    },
    /// A chain is given back when another fault says so.
    Held {
        /// The chain.
        head: u16,
    },
    /// The chains that were held are given back.
    Released,
    /// A chain is given back when the next one has been.
    Swapped {
        /// The chain.
        head: u16,
    },
    /// A chain is given back twice.
    Duplicated {
        /// The chain.
        head: u16,
        /// The second time after this many further accesses of the guest.
        exits: u64,
    },
    /// An interrupt is raised without a reason.
    Interrupt,
    /// An interrupt was not sent.
    InterruptWithheld {
        /// The MSI-X vector.
        vector: u16,
    },
    /// Guest memory was written to that the device was not given for that.
    Memory {
        /// Where.
        addr: u64,
        /// Bytes.
        len: u32,
        /// What, where that is at most eight bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<u64>,
    },
    /// The device says that it needs a reset, and stops.
    NeedsReset,
    /// The device looked for available chains without being notified.
    Polled {
        /// Where.
        queue: u16,
    },
    /// The capacity changed.
    Capacity {
        /// What it is now, in sectors.
        sectors: u64,
    },
    /// There was nothing that the fault could have altered.
    Nothing,
}

/// What of a machine a fault can have otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// Feature bits that the function offers as well.
    Offer,
    /// Feature bits that it does not offer.
    Withhold,
    /// `notify_off_multiplier` (VIRTIO 1.4, 4.1.4.4.1).
    NotifyMultiplier,
    /// Whether `queue_notify_off` runs against the queues' order.
    NotifyPermuted,
    /// Entries of the MSI-X table.
    Vectors,
    /// Queues of a block device.
    Queues,
    /// Bytes of the BAR that the structures lie in.
    BarSize,
    /// Whether each structure lies in a BAR of its own, and the notifications in I/O space.
    SpreadBars,
    /// Whether the function has the legacy interface too.
    Transitional,
    /// Whether its I/O BARs have only 16 address bits.
    NarrowPorts,
    /// A block device of so many sectors, where there was none.
    BlockDevice,
    /// A virtio device with this device ID and without a BAR, where there was none.
    OtherDevice,
}

impl Setting {
    /// Every setting.
    pub const ALL: [Self; 12] = [
        Self::Offer,
        Self::Withhold,
        Self::NotifyMultiplier,
        Self::NotifyPermuted,
        Self::Vectors,
        Self::Queues,
        Self::BarSize,
        Self::SpreadBars,
        Self::Transitional,
        Self::NarrowPorts,
        Self::BlockDevice,
        Self::OtherDevice,
    ];

    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::Withhold => "withhold",
            Self::NotifyMultiplier => "notify_multiplier",
            Self::NotifyPermuted => "notify_permuted",
            Self::Vectors => "vectors",
            Self::Queues => "queues",
            Self::BarSize => "bar_size",
            Self::SpreadBars => "spread_bars",
            Self::Transitional => "transitional",
            Self::NarrowPorts => "narrow_ports",
            Self::BlockDevice => "block_device",
            Self::OtherDevice => "other_device",
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { instead_of, value } => {
                write!(f, "answers {value:#x} instead of {instead_of:#x}")
            }
            Self::Stored { instead_of, value } => {
                write!(f, "takes {value:#x} instead of {instead_of:#x}")
            }
            Self::StoreIgnored => f.write_str("ignores the store"),
            Self::Removed => f.write_str("is gone"),
            Self::Config { offset, instead_of, value } => {
                write!(f, "config +{offset:02x} is {value:02x} instead of {instead_of:02x}")
            }
            Self::Machine { setting, value } => write!(f, "has {setting} {value:#x}"),
            Self::RingLoad { addr, instead_of, value } => {
                write!(f, "answers {value:#x} at {addr:#x} instead of {instead_of:#x}")
            }
            Self::RingStore { addr, instead_of, value } => {
                write!(f, "takes {value:#x} at {addr:#x} instead of {instead_of:#x}")
            }
            Self::RingWrite { addr, instead_of, value } => {
                write!(f, "writes {value:#x} at {addr:#x} instead of {instead_of:#x}")
            }
            Self::Used { id, len } => write!(f, "forges the used element of id {id} len {len}"),
            Self::UsedNotWritten { slot } => write!(f, "does not write used.ring[{slot}]"),
            Self::UsedIdx { instead_of } => write!(f, "forges used.idx, which is {instead_of:04x}"),
            Self::Status { instead_of, value: Some(value) } => {
                write!(f, "writes status {value:02x} instead of {instead_of:02x}")
            }
            Self::Status { instead_of, value: None } => {
                write!(f, "does not write status {instead_of:02x}")
            }
            Self::DataWithheld { addr, len } => {
                write!(f, "does not write {len} bytes at {addr:#x}")
            }
            Self::DiskWithheld { sector } => {
                write!(f, "does nothing to the disk from sector {sector} on")
            }
            Self::Dropped { head } => write!(f, "does not give chain {head} back"),
            Self::Delayed { head, exits } => {
                write!(f, "gives chain {head} back after {exits} accesses")
            }
            Self::Held { head } => write!(f, "holds chain {head}"),
            Self::Released => f.write_str("gives back what it held"),
            Self::Swapped { head } => write!(f, "gives chain {head} back after the next one"),
            Self::Duplicated { head, exits: 0 } => write!(f, "gives chain {head} back twice"),
            Self::Duplicated { head, exits } => {
                write!(f, "gives chain {head} back twice, again after {exits} accesses")
            }
            Self::Interrupt => f.write_str("raises an interrupt for nothing"),
            Self::InterruptWithheld { vector } => write!(f, "withholds vector {vector}"),
            Self::Memory { addr, len, .. } => write!(f, "writes {len} bytes at {addr:#x}"),
            Self::NeedsReset => f.write_str("gives up"),
            Self::Polled { queue } => write!(f, "looks at q{queue} unasked"),
            Self::Capacity { sectors } => write!(f, "has {sectors} sectors from now on"),
            Self::Nothing => f.write_str("finds nothing to alter"),
        }
    }
}
