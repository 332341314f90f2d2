//! The same block device behind the legacy interface.

use super::{FakeHal, Function, Machine, block::notified};
use crate::pci::Address;

/// Where its ports are.
const PORTS: u16 = 0xc000;
/// How many there are.
const LEN: u16 = 0x40;
/// Where its function is.
const FUNCTION: (u8, u8, u8) = (0, 4, 0);
/// Where message control bits 15:8 are in its configuration space.
const MSIX_CONTROL: usize = 0x43;

/// The configuration space of a legacy device; it has MSI-X if asked for.
fn legacy_function(msix: bool) -> Function {
    let mut function = Function::new(0x1af4, 0x1001, 0x01_00_00);
    function.register(0x10, u32::from(PORTS) | 1, 0xffff_ffc0);
    function.set(0x3c, &[11, 1]);
    if msix {
        function.register(0x14, 0xfebc_1000, 0xffff_f000);
        function.capabilities(0x40);
        function.set(0x40, &[0x11, 0, 1, 0, 1, 0, 0, 0, 1, 8, 0, 0]);
        function.writable[MSIX_CONTROL] = 0xc0;
    }
    function
}

impl FakeHal {
    /// A machine with a legacy block device at 00:04.0.
    pub fn with_legacy_block(msix: bool) -> Self {
        let hal = Self::new();
        let (bus, device, function) = FUNCTION;
        hal.insert_at(Address { bus, device, function }, legacy_function(msix));
        hal
    }
}

/// Which register of the device a port is.
pub fn place(port: u16) -> Option<u64> {
    port.checked_sub(PORTS).filter(|offset| *offset < LEN).map(u64::from)
}

impl Machine {
    /// Whether MSI-X is on.
    pub(super) fn msix(&self) -> bool {
        self.functions.get(&FUNCTION).is_some_and(|own| own.bytes[MSIX_CONTROL] & 0x80 != 0)
    }

    pub(super) fn legacy_load(&mut self, offset: u64, width: u8) -> u32 {
        let start = if self.msix() { 0x18 } else { 0x14 };
        let device = &mut self.device;
        match (offset, width) {
            (0x00, 4) => device.offered as u32,
            (0x08, 4) => device.load("common", 0x20, 4) >> 12,
            (0x0c, 2) if device.load("common", 0x16, 2) != 0 => 0,
            (0x0c, 2) => device.queue_size.into(),
            (0x12, 1) => device.load("common", 0x14, 1),
            (0x13, 1) => device.load("isr", 0, 1),
            (0x14, 2) if start == 0x18 => device.load("common", 0x10, 2),
            (0x16, 2) if start == 0x18 => device.load("common", 0x1a, 2),
            _ if offset >= start => device.load("device", offset - start, width),
            _ => panic!("a load of {width} bytes at {offset:#x} of the ports"),
        }
    }

    pub(super) fn legacy_store(&mut self, offset: u64, width: u8, value: u32) {
        let msix = self.msix();
        let mut store = |offset, value| super::block::store(self, "common", offset, value);
        match (offset, width) {
            (0x04, 4) => store(0x0c, value),
            (0x08, 4) => self.place_legacy_queue(value),
            (0x0e, 2) => store(0x16, value),
            (0x10, 2) => notified(self),
            (0x12, 1) => store(0x14, value),
            (0x14, 2) if msix => store(0x10, value),
            (0x16, 2) if msix => store(0x1a, value),
            _ => panic!("a store of {width} bytes at {offset:#x} of the ports"),
        }
    }

    /// VIRTIO 1.4, 2.7.2: the device knows its size, and so where the rings are.
    fn place_legacy_queue(&mut self, page: u32) {
        let size = u32::from(self.device.queue_size);
        let table = page << 12;
        let avail = table + 16 * size;
        let used = (avail + 6 + 2 * size).next_multiple_of(4096);
        for (offset, value) in [(0x18, size), (0x20, table), (0x28, avail), (0x30, used)] {
            super::block::store(self, "common", offset, value);
        }
    }
}
