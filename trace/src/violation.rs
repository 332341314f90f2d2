use serde::{Deserialize, Serialize};

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
            | Violation::QueueEnableValue(_) => "VIRTIO 1.4, 4.1.4.3.2",
            Violation::NoSuchQueue(_) => "VIRTIO 1.4, 4.1.4.3",
            Violation::QueueAlignment(_) => "VIRTIO 1.4, 2.7.1",
            Violation::NoSuchVector(_) => "VIRTIO 1.4, 4.1.5.1.2.2",
            Violation::NotifyValue { .. } => "VIRTIO 1.4, 4.1.5.2.1",
            Violation::AvailIdxJump { .. } => "VIRTIO 1.4, 2.7.6.1",
            Violation::DescriptorIndex(_) => "VIRTIO 1.4, 2.7.5",
            Violation::ChainTooLong(_) => "VIRTIO 1.4, 2.7.5.2",
            Violation::ReadableAfterWritable(_) => "VIRTIO 1.4, 2.7.4.2",
            Violation::IndirectNotNegotiated(_) => "VIRTIO 1.4, 2.7.5.3.1",
            Violation::HeaderTooShort(_) | Violation::NoStatusByte(_) => "VIRTIO 1.4, 5.2.6",
            Violation::DataLength { .. }
            | Violation::BeyondCapacity { .. }
            | Violation::FlushSector(_)
            | Violation::WriteToReadOnly => "VIRTIO 1.4, 5.2.6.1",
        }
    }
}
