//! Feature bits that rules ask for (VIRTIO 1.4, 5.2.3 and 6).

/// Block: `size_max` limits a buffer.
pub const BLK_SIZE_MAX: u8 = 1;
/// Block: `seg_max` limits the buffers of a request.
pub const BLK_SEG_MAX: u8 = 2;
/// Block: the device is read-only.
pub const BLK_RO: u8 = 5;
/// Block: the device has zones.
pub const BLK_ZONED: u8 = 17;
/// Legacy: a request may be cut into descriptors in any way.
pub const ANY_LAYOUT: u8 = 27;
/// A descriptor may name a table of descriptors.
pub const INDIRECT_DESC: u8 = 28;
/// Both sides say from where on they want to be notified.
pub const EVENT_IDX: u8 = 29;
/// The device's addresses may be something else than physical addresses.
pub const ACCESS_PLATFORM: u8 = 33;
/// The rings are packed.
pub const RING_PACKED: u8 = 34;
/// Buffers are used in the order in which they were made available.
pub const IN_ORDER: u8 = 35;
/// Memory is ordered as between processors and devices of the platform.
pub const ORDER_PLATFORM: u8 = 36;
/// A notification says how far the driver has come.
pub const NOTIFICATION_DATA: u8 = 38;
