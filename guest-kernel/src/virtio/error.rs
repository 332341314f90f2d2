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
    /// The legacy interface is not in I/O ports, or there is none.
    #[error("BAR0 of the legacy device is no range of I/O ports")]
    NoPorts,
    /// It has not the device ID and revision of a legacy device.
    #[error("a device {device_id:#06x} of revision {revision} has no legacy interface")]
    NotLegacy {
        /// Its device ID.
        device_id: u16,
        /// Its revision.
        revision: u8,
    },
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
    /// The device has no such queue.
    #[error("there is no queue {0}")]
    NoQueue(u16),
    /// The queue is enabled, right after a reset.
    #[error("queue {0} is enabled already")]
    QueueInUse(u16),
    /// The queue did not come on.
    #[error("queue {queue} is not enabled: {answer:#x} was read back")]
    QueueNotEnabled {
        /// The queue.
        queue: u16,
        /// What was read back.
        answer: u32,
    },
    /// A legacy queue has the device's size, and no other.
    #[error("queue {queue} has {offered} entries, and cannot have {size}")]
    QueueSizeFixed {
        /// The queue.
        queue: u16,
        /// The size asked for.
        size: u16,
        /// The size of the device.
        offered: u16,
    },
    /// A legacy queue is one range, from a page that has a 32-bit number.
    #[error("queue {queue} at {address:#x} does not lie as a legacy device expects it")]
    LegacyLayout {
        /// The queue.
        queue: u16,
        /// Its descriptor area.
        address: u64,
    },
    /// The doorbell is not in the notification structure.
    #[error("the doorbell of queue {queue} is at {offset:#x}, outside its structure or odd")]
    Doorbell {
        /// The queue.
        queue: u16,
        /// Where it would be.
        offset: u64,
    },
}
