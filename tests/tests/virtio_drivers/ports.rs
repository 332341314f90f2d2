//! The legacy transport, over the emulated ports.

use eclipse_devices::Space;
use eclipse_tests::Loopback;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{PhysAddr, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The same device by its legacy interface, whose registers are I/O ports (VIRTIO 1.4, 4.1.4.10).
pub struct Ports(pub Loopback);

impl Ports {
    const BASE: u64 = 0xc000;
    const CONFIG: u64 = 20;

    fn load(&self, offset: u64, width: u8) -> u64 {
        self.0.load(Space::Port, Self::BASE + offset, width)
    }

    fn store(&self, offset: u64, width: u8, value: u64) {
        self.0.store(Space::Port, Self::BASE + offset, width, value);
    }
}

impl Transport for Ports {
    fn device_type(&self) -> DeviceType {
        DeviceType::Block
    }

    fn read_device_features(&mut self) -> u64 {
        self.load(0, 4)
    }

    fn write_driver_features(&mut self, features: u64) {
        self.store(4, 4, features & 0xffff_ffff);
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.store(14, 2, queue.into());
        self.load(12, 2) as u32
    }

    fn notify(&mut self, queue: u16) {
        self.store(16, 2, queue.into());
    }

    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::from_bits_retain(self.load(18, 1) as u32)
    }

    fn set_status(&mut self, status: DeviceStatus) {
        // 3.1.2: there is no FEATURES_OK.
        self.store(18, 1, (status - DeviceStatus::FEATURES_OK).bits().into());
    }

    fn set_guest_page_size(&mut self, _size: u32) {}

    fn requires_legacy_layout(&self) -> bool {
        true
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        _driver_area: PhysAddr,
        _device_area: PhysAddr,
    ) {
        assert_eq!(self.max_queue_size(queue), size, "it cannot be changed");
        self.store(8, 4, descriptors >> 12);
    }

    fn queue_unset(&mut self, queue: u16) {
        self.store(14, 2, queue.into());
        self.store(8, 4, 0);
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        self.store(14, 2, queue.into());
        self.load(8, 4) != 0
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::from_bits_retain(self.load(19, 1) as u32)
    }

    /// There is none.
    fn read_config_generation(&self) -> u32 {
        0
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        let byte = |at| self.load(Self::CONFIG + at as u64, 1) as u8;
        let bytes: Vec<u8> = (offset..offset + size_of::<T>()).map(byte).collect();
        Ok(T::read_from_bytes(&bytes).expect("as many bytes as it has"))
    }

    fn write_config_space<T: IntoBytes + Immutable>(&mut self, offset: usize, value: T) -> Result {
        for (at, byte) in (offset as u64..).zip(value.as_bytes()) {
            self.store(Self::CONFIG + at, 1, (*byte).into());
        }
        Ok(())
    }
}
