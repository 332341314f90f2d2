use serde::{Deserialize, Serialize};

/// A rule of packed virtqueues that the driver broke (VIRTIO 1.4, 2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum PackedViolation {
    /// VIRTIO 1.4, 2.8.11.
    #[error("packed queue {0} enabled with a misaligned area")]
    Alignment(u16),
    /// VIRTIO 1.4, 2.8.17.
    #[error("the list at slot {0} is longer than the queue")]
    ListTooLong(u16),
    /// VIRTIO 1.4, 2.8.17: the first descriptor of a list is made available last.
    #[error("the list goes on at slot {0}, which is not available")]
    PartialList(u16),
    /// VIRTIO 1.4, 2.8.17: there is room for the whole list before its first
    /// descriptor is made available.
    #[error("the list at slot {0} lies over descriptors that are not used yet")]
    Overrun(u16),
    /// VIRTIO 1.4, 2.8.17.
    #[error("descriptor {0} is device-readable and follows a device-writable one")]
    ReadableAfterWritable(u16),
    /// VIRTIO 1.4, 2.8.19.
    #[error("descriptor {0} is indirect, which was not negotiated")]
    IndirectNotNegotiated(u16),
    /// VIRTIO 1.4, 2.8.19.
    #[error("descriptor {0} is indirect and in a list")]
    IndirectInList(u16),
    /// VIRTIO 1.4, 2.8.7: a table is one or more descriptors.
    #[error("an indirect table of {0} bytes")]
    IndirectTableLength(u32),
    /// VIRTIO 1.4, 2.8.19: in a table there is no flag but WRITE.
    #[error("entry {index} of an indirect table has flags {flags:#06x}")]
    IndirectFlags {
        /// The entry.
        index: u16,
        /// All its flags.
        flags: u16,
    },
    /// VIRTIO 1.4, 2.8.10 and 2.8.14: 0, 1, and with EVENT_IDX 2.
    #[error("the flags of the driver event structure are {0:#06x}")]
    EventFlags(u16),
    /// VIRTIO 1.4, 2.8.10: an offset within the ring.
    #[error("the driver event structure asks for slot {0}, which the ring has not")]
    EventOffset(u16),
}

impl PackedViolation {
    /// The clause that has the rule.
    pub fn clause(&self) -> &'static str {
        match self {
            Self::Alignment(_) => "VIRTIO 1.4, 2.8.11",
            Self::ListTooLong(_)
            | Self::PartialList(_)
            | Self::Overrun(_)
            | Self::ReadableAfterWritable(_) => "VIRTIO 1.4, 2.8.17",
            Self::IndirectNotNegotiated(_)
            | Self::IndirectInList(_)
            | Self::IndirectFlags { .. } => "VIRTIO 1.4, 2.8.19",
            Self::IndirectTableLength(_) => "VIRTIO 1.4, 2.8.7",
            Self::EventFlags(_) | Self::EventOffset(_) => "VIRTIO 1.4, 2.8.10",
        }
    }
}
