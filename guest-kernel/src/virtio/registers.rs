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

/// `struct virtio_blk_config` (VIRTIO 1.4, 5.2.4), as far as this driver goes.
pub mod blk {
    use crate::register::Register;

    /// Capacity in sectors of 512 bytes, low half.
    pub const CAPACITY_LOW: Register<u32> = Register::at(0x00);
    /// Capacity, high half.
    pub const CAPACITY_HIGH: Register<u32> = Register::at(0x04);
    /// The most data segments of one request, with `SEG_MAX`.
    pub const SEG_MAX: Register<u32> = Register::at(0x0c);
    /// Bytes of a block, with `BLK_SIZE`.
    pub const BLK_SIZE: Register<u32> = Register::at(0x14);

    /// Bytes of the part that has all of these.
    pub const LEN: u64 = 0x18;
}
