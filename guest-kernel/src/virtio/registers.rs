//! Registers of a VIRTIO device over PCI.

/// `struct virtio_pci_common_cfg` (VIRTIO 1.4, 4.1.4.3).
///
/// A 64-bit field is two registers, because a driver must access it as two 32-bit
/// halves (4.1.3.1).
pub mod common {
    use crate::register::Register;

    /// Which 32 feature bits `DEVICE_FEATURE` shows.
    pub const DEVICE_FEATURE_SELECT: Register<u32> = Register::at(0x00);
    /// Features that the device offers.
    pub const DEVICE_FEATURE: Register<u32> = Register::at(0x04);
    /// Which 32 feature bits `DRIVER_FEATURE` takes.
    pub const DRIVER_FEATURE_SELECT: Register<u32> = Register::at(0x08);
    /// Features that the driver accepts.
    pub const DRIVER_FEATURE: Register<u32> = Register::at(0x0c);
    /// MSI-X table entry for configuration changes.
    pub const CONFIG_MSIX_VECTOR: Register<u16> = Register::at(0x10);
    /// The number of queues.
    pub const NUM_QUEUES: Register<u16> = Register::at(0x12);
    /// Device status (2.1).
    pub const DEVICE_STATUS: Register<u8> = Register::at(0x14);
    /// Changes when the device configuration does (2.5).
    pub const CONFIG_GENERATION: Register<u8> = Register::at(0x15);
    /// Which queue the registers below are of.
    pub const QUEUE_SELECT: Register<u16> = Register::at(0x16);
    /// Offered size at reset; the driver may store less.
    pub const QUEUE_SIZE: Register<u16> = Register::at(0x18);
    /// MSI-X table entry for used buffers.
    pub const QUEUE_MSIX_VECTOR: Register<u16> = Register::at(0x1a);
    /// Turns the queue on; 0 must not be stored.
    pub const QUEUE_ENABLE: Register<u16> = Register::at(0x1c);
    /// Where in the notification structure the queue's doorbell is.
    pub const QUEUE_NOTIFY_OFF: Register<u16> = Register::at(0x1e);
    /// Descriptor area, low half.
    pub const QUEUE_DESC_LOW: Register<u32> = Register::at(0x20);
    /// Descriptor area, high half.
    pub const QUEUE_DESC_HIGH: Register<u32> = Register::at(0x24);
    /// Driver area, low half.
    pub const QUEUE_DRIVER_LOW: Register<u32> = Register::at(0x28);
    /// Driver area, high half.
    pub const QUEUE_DRIVER_HIGH: Register<u32> = Register::at(0x2c);
    /// Device area, low half.
    pub const QUEUE_DEVICE_LOW: Register<u32> = Register::at(0x30);
    /// Device area, high half.
    pub const QUEUE_DEVICE_HIGH: Register<u32> = Register::at(0x34);

    /// Bytes of the part that every VIRTIO 1.x device has.
    pub const LEN: u64 = 0x38;
}

/// The I/O ports of a legacy device, in BAR 0 (VIRTIO 1.4, 4.1.4.10).
pub mod legacy {
    use crate::register::Register;

    /// The first 32 features that the device offers.
    pub const DEVICE_FEATURES: Register<u32> = Register::at(0x00);
    /// Features that the driver accepts.
    pub const DRIVER_FEATURES: Register<u32> = Register::at(0x04);
    /// The selected queue's physical address, in pages of 4096 bytes; 0: it is not in use.
    pub const QUEUE_ADDRESS: Register<u32> = Register::at(0x08);
    /// The selected queue's size, which the device alone decides; 0: there is no such queue.
    pub const QUEUE_SIZE: Register<u16> = Register::at(0x0c);
    /// Which queue the registers above are of.
    pub const QUEUE_SELECT: Register<u16> = Register::at(0x0e);
    /// The doorbell of all queues.
    pub const QUEUE_NOTIFY: Register<u16> = Register::at(0x10);
    /// Device status.
    pub const DEVICE_STATUS: Register<u8> = Register::at(0x12);
    /// Interrupt status; a load clears it.
    pub const ISR_STATUS: Register<u8> = Register::at(0x13);
    /// MSI-X table entry for configuration changes; there while MSI-X is on.
    pub const CONFIG_MSIX_VECTOR: Register<u16> = Register::at(0x14);
    /// MSI-X table entry for the selected queue; there while MSI-X is on.
    pub const QUEUE_MSIX_VECTOR: Register<u16> = Register::at(0x16);

    /// Where the device configuration begins while MSI-X is off.
    pub const CONFIG: u16 = 0x14;
    /// Where it begins while MSI-X is on.
    pub const CONFIG_WITH_MSIX: u16 = 0x18;
    /// Bytes of the part that every legacy device has.
    pub const LEN: u64 = 0x14;
}

/// `struct virtio_blk_config` (VIRTIO 1.4, 5.2.4), up to write zeroes.
pub mod blk {
    use crate::register::Register;

    /// Capacity in sectors of 512 bytes, low half.
    pub const CAPACITY_LOW: Register<u32> = Register::at(0x00);
    /// Capacity, high half.
    pub const CAPACITY_HIGH: Register<u32> = Register::at(0x04);
    /// The most bytes of one data segment, with `SIZE_MAX`.
    pub const SIZE_MAX: Register<u32> = Register::at(0x08);
    /// The most data segments of one request, with `SEG_MAX`.
    pub const SEG_MAX: Register<u32> = Register::at(0x0c);
    /// Cylinders, with `GEOMETRY`.
    pub const CYLINDERS: Register<u16> = Register::at(0x10);
    /// Heads, with `GEOMETRY`.
    pub const HEADS: Register<u8> = Register::at(0x12);
    /// Sectors of a track, with `GEOMETRY`.
    pub const SECTORS: Register<u8> = Register::at(0x13);
    /// Bytes of a block, with `BLK_SIZE`.
    pub const BLK_SIZE: Register<u32> = Register::at(0x14);
    /// Logical blocks of a physical one, as a power of two, with `TOPOLOGY`.
    pub const PHYSICAL_BLOCK_EXP: Register<u8> = Register::at(0x18);
    /// The first aligned logical block, with `TOPOLOGY`.
    pub const ALIGNMENT_OFFSET: Register<u8> = Register::at(0x19);
    /// Logical blocks of the smallest good request, with `TOPOLOGY`.
    pub const MIN_IO_SIZE: Register<u16> = Register::at(0x1a);
    /// Logical blocks of the best request, with `TOPOLOGY`.
    pub const OPT_IO_SIZE: Register<u32> = Register::at(0x1c);
    /// 1: the cache is write-back, 0: write-through, with `CONFIG_WCE`; writable.
    pub const WRITEBACK: Register<u8> = Register::at(0x20);
    /// The number of request queues, with `MQ`.
    pub const NUM_QUEUES: Register<u16> = Register::at(0x22);
    /// The most sectors of a discard segment, with `DISCARD`.
    pub const MAX_DISCARD_SECTORS: Register<u32> = Register::at(0x24);
    /// What a discard is to be aligned to, in sectors, with `DISCARD`.
    pub const DISCARD_SECTOR_ALIGNMENT: Register<u32> = Register::at(0x2c);
    /// The most sectors of a write zeroes segment, with `WRITE_ZEROES`.
    pub const MAX_WRITE_ZEROES_SECTORS: Register<u32> = Register::at(0x30);
    /// Whether write zeroes may unmap, with `WRITE_ZEROES`.
    pub const WRITE_ZEROES_MAY_UNMAP: Register<u8> = Register::at(0x38);

    /// Bytes of the part that has all of these.
    pub const LEN: u64 = 0x3c;
}
