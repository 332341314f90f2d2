use serde::{Deserialize, Serialize};

use crate::PackedViolation;

/// A rule of the specification that the driver broke, as the device saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Violation {
    /// PCI 3.0, 6.2.2: a function masters the bus only while COMMAND bit 2 is set.
    #[error("DMA was asked for while bus mastering is off")]
    BusMasterOff,
    /// VIRTIO 1.4, 6.1: the device can reach what the driver named.
    #[error("{len} bytes at {addr:#x} are not all in guest RAM")]
    OutsideRam {
        /// Guest-physical address.
        addr: u64,
        /// Bytes.
        len: u32,
    },
    /// VIRTIO 1.4, 2.1.1.
    #[error("status bits {0:#04x} cleared without a reset")]
    StatusBitsCleared(u8),
    /// VIRTIO 1.4, 3.1.1: the steps come in their order.
    #[error("status {0:#04x} skips a step of the initialisation")]
    StatusOrder(u8),
    /// VIRTIO 1.4, 2.2.1.
    #[error("feature bits {bits:#010x} of window {window} were not offered")]
    FeaturesNotOffered {
        /// 0 for bits 0 to 31, 1 for 32 to 63.
        window: u32,
        /// The bits that were not.
        bits: u32,
    },
    /// VIRTIO 1.4, 6.1.
    #[error("VERSION_1 was offered and not accepted")]
    Version1NotAccepted,
    /// VIRTIO 1.4, 3.1.1.
    #[error("features accepted after FEATURES_OK")]
    FeaturesAfterOk,
    /// VIRTIO 1.4, 3.1.1: queues are set up between FEATURES_OK and DRIVER_OK.
    #[error("queue {0} programmed before FEATURES_OK")]
    QueueBeforeFeaturesOk(u16),
    /// VIRTIO 1.4, 4.1.4.3.2: the fields are set before `queue_enable`.
    #[error("queue {0} changed while enabled")]
    QueueChangedWhileEnabled(u16),
    /// VIRTIO 1.4, 4.1.4.3.2.
    #[error("queue size {0} is no power of two, or more than was offered")]
    QueueSize(u16),
    /// VIRTIO 1.4, 4.1.4.3.2.
    #[error("{0} written to queue_enable")]
    QueueEnableValue(u16),
    /// VIRTIO 1.4, 4.1.4.3.2 and 2.6.1: a queue is reset by a 1, while it is enabled,
    /// and only with RING_RESET.
    #[error("queue {0} cannot be reset so, or not now")]
    QueueReset(u16),
    /// VIRTIO 1.4, 4.1.3.1: an access is as wide as its register.
    #[error("a register of {register} bytes accessed with {access}")]
    AccessWidth {
        /// Bytes of the register.
        register: u8,
        /// Bytes of the access.
        access: u8,
    },
    /// VIRTIO 1.4, 4.1.4.9.2.
    #[error(
        "pci_cfg_data accessed while the window points at {len} bytes at {offset:#x} of BAR {bar}"
    )]
    ConfigWindow {
        /// `cap.bar`.
        bar: u8,
        /// `cap.offset`.
        offset: u32,
        /// `cap.length`.
        len: u32,
    },
    /// VIRTIO 1.4, 2.7.1.
    #[error("queue {0} enabled with a misaligned area")]
    QueueAlignment(u16),
    /// VIRTIO 1.4, 4.1.4.3: there is no such queue.
    #[error("queue {0} does not exist")]
    NoSuchQueue(u16),
    /// VIRTIO 1.4, 4.1.5.1.2.2.
    #[error("vector {0} is beyond the MSI-X table")]
    NoSuchVector(u16),
    /// VIRTIO 1.4, 3.1.1.
    #[error("queue {0} notified before DRIVER_OK")]
    NotifyBeforeDriverOk(u16),
    /// VIRTIO 1.4, 4.1.5.2.1.
    #[error("queue {queue} notified with value {value:#x}")]
    NotifyValue {
        /// Whose address was stored to.
        queue: u16,
        /// What was stored.
        value: u16,
    },
    /// VIRTIO 1.4, 2.8.16 and 2.9: with NOTIFICATION_DATA, where the next chain will be.
    #[error("queue {queue} notified with {next:#06x} as what is next, which it is not")]
    NotifyNext {
        /// Whose address was stored to.
        queue: u16,
        /// Offset and wrap counter, or available index.
        next: u16,
    },
    /// VIRTIO 1.4, 3.1.1: the queues that are used are set up before.
    #[error("queue {0} notified while not enabled")]
    NotifyDisabledQueue(u16),
    /// VIRTIO 1.4, 2.7.6.1: `idx` grows by the heads that were added.
    #[error("avail.idx goes from {from:#06x} to {to:#06x}, more than the queue holds")]
    AvailIdxJump {
        /// What the device saw last.
        from: u16,
        /// What it sees.
        to: u16,
    },
    /// VIRTIO 1.4, 2.7.13.1: a chain is put into free descriptors, so that no two chains
    /// that are outstanding have one in common.
    #[error("queue {0} has more descriptors outstanding than it has")]
    TooManyDescriptors(u16),
    /// VIRTIO 1.4, 2.7.5: an index is less than the queue size.
    #[error("descriptor {0} is outside the table")]
    DescriptorIndex(u16),
    /// VIRTIO 1.4, 2.7.5.2 and 2.7.5.3.1.
    #[error("the chain at head {0} loops, or is longer than the queue")]
    ChainTooLong(u16),
    /// VIRTIO 1.4, 2.7.4.2.
    #[error("descriptor {0} is device-readable and follows a device-writable one")]
    ReadableAfterWritable(u16),
    /// VIRTIO 1.4, 2.7.5.3.1.
    #[error("descriptor {0} is indirect, which was not negotiated")]
    IndirectNotNegotiated(u16),
    /// VIRTIO 1.4, 2.7.5.3.1.
    #[error("descriptor {0} is indirect and has a next one")]
    IndirectWithNext(u16),
    /// VIRTIO 1.4, 2.7.5.3.1.
    #[error("entry {0} of an indirect table is indirect")]
    NestedIndirect(u16),
    /// VIRTIO 1.4, 2.7.5.3: a table is one or more descriptors.
    #[error("an indirect table of {0} bytes")]
    IndirectTableLength(u32),
    /// VIRTIO 1.4, 2.7.5.3: `next` is an entry of the table.
    #[error("entry {0} is outside its indirect table")]
    IndirectIndex(u16),
    /// VIRTIO 1.4, 2.7.5.2: with IN_ORDER a chain goes on at the next entry.
    #[error("with IN_ORDER, descriptor {index} goes on at {next}")]
    InOrderNext {
        /// The descriptor.
        index: u16,
        /// Its `next`.
        next: u16,
    },
    /// VIRTIO 1.4, 2.7.5.3.1: with IN_ORDER an indirect table is sequential.
    #[error("with IN_ORDER, entry {index} of an indirect table goes on at {next}")]
    InOrderIndirectNext {
        /// The entry.
        index: u16,
        /// Its `next`.
        next: u16,
    },
    /// VIRTIO 1.4, 2.7.7.1: without EVENT_IDX it is 0 or 1.
    #[error("avail.flags is {0:#06x}")]
    AvailFlags(u16),
    /// A rule of packed virtqueues.
    #[error(transparent)]
    Packed(#[from] PackedViolation),
    /// VIRTIO 1.4, 5.2.6: the header is 16 bytes.
    #[error("the request at head {0} has no whole header")]
    HeaderTooShort(u16),
    /// VIRTIO 1.4, 5.2.6: the last byte is for the status.
    #[error("the request at head {0} has no room for the status")]
    NoStatusByte(u16),
    /// VIRTIO 1.4, 5.2.6.1.
    #[error("{len} bytes of data are no request of type {kind}")]
    DataLength {
        /// The request's type.
        kind: u32,
        /// Bytes of data.
        len: u32,
    },
    /// VIRTIO 1.4, 5.2.6.1.
    #[error("{len} bytes at sector {sector} are beyond the capacity")]
    BeyondCapacity {
        /// First sector.
        sector: u64,
        /// Bytes.
        len: u32,
    },
    /// VIRTIO 1.4, 5.2.6.1.
    #[error("flush with sector {0}")]
    FlushSector(u64),
    /// VIRTIO 1.4, 5.2.6.1: the device offered RO.
    #[error("write to a read-only device")]
    WriteToReadOnly,
    /// VIRTIO 1.4, 5.2.6.1.
    #[error("flush with {0} bytes of data")]
    FlushWithData(u32),
    /// VIRTIO 1.4, 5.2.6: a type's data is for the driver or for the device to fill, not both.
    #[error("{len} bytes of data that a request of type {kind} has no use for")]
    DataDirection {
        /// The request's type.
        kind: u32,
        /// Bytes in the direction that the type does not have.
        len: u32,
    },
    /// VIRTIO 1.4, 5.2.3: the feature makes the request possible.
    #[error("request of type {0}, whose feature was not negotiated")]
    RequestNotNegotiated(u32),
    /// VIRTIO 1.4, 5.2.3: `size_max` and SIZE_MAX.
    #[error("a data buffer of {len} bytes, where size_max is {limit}")]
    SizeMaxExceeded {
        /// Bytes.
        len: u32,
        /// `size_max`.
        limit: u32,
    },
    /// VIRTIO 1.4, 5.2.3: `seg_max` and SEG_MAX.
    #[error("{count} data buffers, where seg_max is {limit}")]
    SegMaxExceeded {
        /// Data buffers of the request.
        count: u32,
        /// `seg_max`.
        limit: u32,
    },
    /// VIRTIO 1.4, 5.2.6.1: no more segments than the configuration says.
    #[error("{count} segments in a request of type {kind}, where the most is {limit}")]
    TooManySegments {
        /// The request's type.
        kind: u32,
        /// Segments.
        count: u32,
        /// The configuration's limit.
        limit: u32,
    },
    /// VIRTIO 1.4, 5.2.3: a segment is no longer than the configuration says.
    #[error(
        "a segment of {sectors} sectors in a request of type {kind}, where the most is {limit}"
    )]
    SegmentTooLong {
        /// The request's type.
        kind: u32,
        /// Sectors.
        sectors: u32,
        /// The configuration's limit.
        limit: u32,
    },
    /// VIRTIO 1.4, 5.2.6.1: only a write-zeroes request has a flag, `unmap`.
    #[error("segment flags {flags:#010x} in a request of type {kind}")]
    SegmentFlags {
        /// The request's type.
        kind: u32,
        /// All flags of the segment.
        flags: u32,
    },
    /// VIRTIO 1.4, 5.2.5.1.
    #[error("writeback read before FEATURES_OK")]
    WritebackReadEarly,
    /// VIRTIO 1.4, 3.1.1: until FEATURES_OK the configuration may be read and not written.
    #[error("device configuration written before FEATURES_OK")]
    ConfigBeforeFeaturesOk,
    /// VIRTIO 1.4, 5.2.6.1: the driver may switch if CONFIG_WCE was negotiated.
    #[error("writeback written without CONFIG_WCE")]
    WritebackNotNegotiated,
    /// VIRTIO 1.4, 5.2.6.1: 0 is write-through, 1 is write-back.
    #[error("{0} written to writeback")]
    WritebackValue(u8),
}

impl Violation {
    /// The clause that has the rule.
    pub fn clause(&self) -> &'static str {
        match self {
            Violation::BusMasterOff => "PCI 3.0, 6.2.2",
            Violation::OutsideRam { .. } => "VIRTIO 1.4, 6.1",
            Violation::StatusBitsCleared(_) => "VIRTIO 1.4, 2.1.1",
            Violation::StatusOrder(_) => "VIRTIO 1.4, 3.1.1",
            Violation::FeaturesNotOffered { .. } => "VIRTIO 1.4, 2.2.1",
            Violation::Version1NotAccepted => "VIRTIO 1.4, 6.1",
            Violation::FeaturesAfterOk
            | Violation::QueueBeforeFeaturesOk(_)
            | Violation::NotifyBeforeDriverOk(_)
            | Violation::NotifyDisabledQueue(_) => "VIRTIO 1.4, 3.1.1",
            Violation::QueueChangedWhileEnabled(_)
            | Violation::QueueSize(_)
            | Violation::QueueEnableValue(_)
            | Violation::QueueReset(_) => "VIRTIO 1.4, 4.1.4.3.2",
            Violation::AccessWidth { .. } => "VIRTIO 1.4, 4.1.3.1",
            Violation::ConfigWindow { .. } => "VIRTIO 1.4, 4.1.4.9.2",
            Violation::NoSuchQueue(_) => "VIRTIO 1.4, 4.1.4.3",
            Violation::QueueAlignment(_) => "VIRTIO 1.4, 2.7.1",
            Violation::NoSuchVector(_) => "VIRTIO 1.4, 4.1.5.1.2.2",
            Violation::NotifyNext { .. } => "VIRTIO 1.4, 2.8.16",
            Violation::NotifyValue { .. } => "VIRTIO 1.4, 4.1.5.2.1",
            Violation::AvailIdxJump { .. } => "VIRTIO 1.4, 2.7.6.1",
            Violation::TooManyDescriptors(_) => "VIRTIO 1.4, 2.7.13.1",
            Violation::DescriptorIndex(_) => "VIRTIO 1.4, 2.7.5",
            Violation::ChainTooLong(_) => "VIRTIO 1.4, 2.7.5.2",
            Violation::ReadableAfterWritable(_) => "VIRTIO 1.4, 2.7.4.2",
            Violation::IndirectNotNegotiated(_)
            | Violation::IndirectWithNext(_)
            | Violation::NestedIndirect(_)
            | Violation::InOrderIndirectNext { .. } => "VIRTIO 1.4, 2.7.5.3.1",
            Violation::IndirectTableLength(_) | Violation::IndirectIndex(_) => {
                "VIRTIO 1.4, 2.7.5.3"
            }
            Violation::InOrderNext { .. } => "VIRTIO 1.4, 2.7.5.2",
            Violation::AvailFlags(_) => "VIRTIO 1.4, 2.7.7.1",
            Violation::Packed(packed) => packed.clause(),
            Violation::HeaderTooShort(_) | Violation::NoStatusByte(_) => "VIRTIO 1.4, 5.2.6",
            Violation::DataLength { .. }
            | Violation::BeyondCapacity { .. }
            | Violation::FlushSector(_)
            | Violation::FlushWithData(_)
            | Violation::TooManySegments { .. }
            | Violation::SegmentFlags { .. }
            | Violation::WritebackNotNegotiated
            | Violation::WritebackValue(_)
            | Violation::WriteToReadOnly => "VIRTIO 1.4, 5.2.6.1",
            Violation::DataDirection { .. } => "VIRTIO 1.4, 5.2.6",
            Violation::RequestNotNegotiated(_)
            | Violation::SizeMaxExceeded { .. }
            | Violation::SegMaxExceeded { .. }
            | Violation::SegmentTooLong { .. } => "VIRTIO 1.4, 5.2.3",
            Violation::WritebackReadEarly => "VIRTIO 1.4, 5.2.5.1",
            Violation::ConfigBeforeFeaturesOk => "VIRTIO 1.4, 3.1.1",
        }
    }
}
