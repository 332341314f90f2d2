//! The modern transport, over the emulated bus.

use eclipse_devices::Space;
use eclipse_tests::Loopback;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{PhysAddr, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Where the four structures are in their BAR.
const COMMON: u64 = 0;
const ISR: u64 = 0x1000;
const DEVICE: u64 = 0x2000;
const NOTIFY: u64 = 0x3000;

/// The structures, in a BAR at `base`.
pub struct Bus {
    pub machine: Loopback,
    pub base: u64,
}

impl Bus {
    fn load(&self, offset: u64, width: u8) -> u64 {
        self.machine.load(Space::Memory, self.base + offset, width)
    }

    fn store(&self, offset: u64, width: u8, value: u64) {
        self.machine.store(Space::Memory, self.base + offset, width, value);
    }

    fn select(&self, queue: u16) {
        self.store(COMMON + 0x16, 2, queue.into());
    }

    fn store_halves(&self, offset: u64, value: u64) {
        self.store(COMMON + offset, 4, value & 0xffff_ffff);
        self.store(COMMON + offset + 4, 4, value >> 32);
    }
}

impl Transport for Bus {
    fn device_type(&self) -> DeviceType {
        DeviceType::Block
    }

    fn read_device_features(&mut self) -> u64 {
        self.store(COMMON, 4, 0);
        let low = self.load(COMMON + 4, 4);
        self.store(COMMON, 4, 1);
        self.load(COMMON + 4, 4) << 32 | low
    }

    fn write_driver_features(&mut self, features: u64) {
        for window in [0, 1] {
            self.store(COMMON + 8, 4, window);
            self.store(COMMON + 0xc, 4, features >> (32 * window) & 0xffff_ffff);
        }
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.select(queue);
        self.load(COMMON + 0x18, 2) as u32
    }

    fn notify(&mut self, queue: u16) {
        self.select(queue);
        let offset = 4 * self.load(COMMON + 0x1e, 2);
        self.store(NOTIFY + offset, 2, queue.into());
    }

    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::from_bits_retain(self.load(COMMON + 0x14, 1) as u32)
    }

    fn set_status(&mut self, status: DeviceStatus) {
        self.store(COMMON + 0x14, 1, status.bits().into());
    }

    fn set_guest_page_size(&mut self, _size: u32) {}

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        self.select(queue);
        self.store(COMMON + 0x18, 2, size.into());
        self.store_halves(0x20, descriptors);
        self.store_halves(0x28, driver_area);
        self.store_halves(0x30, device_area);
        self.store(COMMON + 0x1c, 2, 1);
    }

    /// A queue goes away with the reset of its device.
    fn queue_unset(&mut self, _queue: u16) {}

    fn queue_used(&mut self, queue: u16) -> bool {
        self.select(queue);
        self.load(COMMON + 0x1c, 2) == 1
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::from_bits_retain(self.load(ISR, 1) as u32)
    }

    fn read_config_generation(&self) -> u32 {
        self.load(COMMON + 0x15, 1) as u32
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        let value = self.load(DEVICE + offset as u64, size_of::<T>() as u8).to_le_bytes();
        Ok(T::read_from_bytes(&value[..size_of::<T>()]).expect("a field of 1 to 8 bytes"))
    }

    fn write_config_space<T: IntoBytes + Immutable>(&mut self, offset: usize, value: T) -> Result {
        let mut bytes = [0; 8];
        bytes[..size_of::<T>()].copy_from_slice(value.as_bytes());
        self.store(DEVICE + offset as u64, size_of::<T>() as u8, u64::from_le_bytes(bytes));
        Ok(())
    }
}
