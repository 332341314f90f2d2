//! Why a VIRTIO device cannot be driven.

use super::structure::Kind;
use crate::pci;

/// Why a device cannot be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The function itself is at fault.
    #[error(transparent)]
    Pci(#[from] pci::Error),
    /// A structure has no capability.
    #[error("no capability tells where the {0} structure is")]
    Missing(Kind),
    /// A structure is too short.
    #[error("the {kind} structure has {length} bytes, {needed} are needed")]
    TooShort {
        /// Which one.
        kind: Kind,
        /// Its bytes.
        length: u32,
        /// The bytes needed.
        needed: u64,
    },
    /// A structure is not aligned.
    #[error("the {kind} structure is at offset {offset:#x}, which is not aligned")]
    Misaligned {
        /// Which one.
        kind: Kind,
        /// Where it is.
        offset: u32,
    },
    /// A structure is not where it can be.
    #[error("the {kind} structure: {source}")]
    Misplaced {
        /// Which one.
        kind: Kind,
        /// Why.
        source: pci::Error,
    },
    /// There is no MSI-X capability.
    #[error("the device has no MSI-X")]
    NoMsix,
    /// The machine has no interrupt vector left.
    #[error("no interrupt vector is left")]
    NoVector,
    /// The status does not become 0.
    #[error("the device does not reset: its status stays {0:#04x}")]
    NoReset(u8),
    /// The device is a legacy one.
    #[error("the device does not offer VERSION_1")]
    NoVersion1,
    /// The device does not take the features, or has failed meanwhile.
    #[error("the device refuses the features {features:#x}: its status is {status:#04x}")]
    FeaturesRefused {
        /// What was accepted.
        features: u64,
        /// The status after that.
        status: u8,
    },
    /// The device configuration changes all the time.
    #[error("the device configuration does not come to rest")]
    ConfigUnstable,
    /// A table entry is not taken.
    #[error("MSI-X entry {entry} cannot be used for {what}: {answer:#06x} was read back")]
    VectorRefused {
        /// The entry.
        entry: u16,
        /// The event.
        what: &'static str,
        /// What was read back.
        answer: u16,
    },
    /// The device has no such queue.
    #[error("there is no queue {0}")]
    NoQueue(u16),
    /// The queue is enabled, right after a reset.
    #[error("queue {0} is enabled already")]
    QueueInUse(u16),
    /// The doorbell is not in the notification structure.
    #[error("the doorbell of queue {queue} is at {offset:#x}, outside its structure or odd")]
    Doorbell {
        /// The queue.
        queue: u16,
        /// Where it would be.
        offset: u64,
    },
}
