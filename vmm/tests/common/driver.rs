//! A driver of a few stores, assembled by hand.
//!
//! A test program names it beside `common`, which others use too.

// Each test program uses some of it.
#![allow(dead_code)]

use eclipse_devices::fault::Fault;
use eclipse_vmm::{Config, Kernel, Machine, Run, RunOptions};

use crate::common::{exit, image};

pub const COMMON: u32 = 0xFE00_0000;
pub const NOTIFY: u32 = 0xFE00_3000;
/// `VIRTIO_F_RING_PACKED`, of the upper 32 features.
pub const RING_PACKED: u32 = 1 << 2;
pub const DESC: u32 = 0x20_0000;
pub const AVAIL: u32 = 0x20_1000;
pub const USED: u32 = 0x20_2000;
pub const HEADER: u32 = 0x20_4000;
pub const DATA: u32 = 0x20_5000;

/// A guest in the making: 32-bit code, paging off.
pub struct Code(pub Vec<u8>);

impl Code {
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// `mov [address], value`
    pub fn store8(self, address: u32, value: u8) -> Self {
        self.bytes(&[0xC6, 0x05]).bytes(&address.to_le_bytes()).bytes(&[value])
    }

    pub fn store16(self, address: u32, value: u16) -> Self {
        let code = self.bytes(&[0x66, 0xC7, 0x05]).bytes(&address.to_le_bytes());
        code.bytes(&value.to_le_bytes())
    }

    pub fn store32(self, address: u32, value: u32) -> Self {
        let code = self.bytes(&[0xC7, 0x05]).bytes(&address.to_le_bytes());
        code.bytes(&value.to_le_bytes())
    }

    /// `mov al, [address]; cmp al, value; je over; exit with failure`
    pub fn expect8(self, address: u32, value: u8, failure: u8) -> Self {
        let code = self.bytes(&[0xA0]).bytes(&address.to_le_bytes());
        code.bytes(&[0x3C, value, 0x74, 0x04]).bytes(&exit(failure))
    }

    pub fn expect16(self, address: u32, value: u16, failure: u8) -> Self {
        let code = self.bytes(&[0x66, 0xA1]).bytes(&address.to_le_bytes());
        let code = code.bytes(&[0x66, 0x3D]).bytes(&value.to_le_bytes());
        code.bytes(&[0x74, 0x04]).bytes(&exit(failure))
    }

    pub fn expect32(self, address: u32, value: u32, failure: u8) -> Self {
        let code = self.bytes(&[0xA1]).bytes(&address.to_le_bytes());
        let code = code.bytes(&[0x3D]).bytes(&value.to_le_bytes());
        code.bytes(&[0x74, 0x04]).bytes(&exit(failure))
    }

    /// Loads 16 bits a hundred times: `mov ecx, 100; mov ax, [address]; loop back`
    pub fn load16_100_times(self, address: u32) -> Self {
        let code = self.bytes(&[0xB9, 100, 0, 0, 0]);
        code.bytes(&[0x66, 0xA1]).bytes(&address.to_le_bytes()).bytes(&[0xE2, 0xF8])
    }

    /// The block device ready with queue 0 of 8, and a read of sector 0 laid out.
    pub fn ready() -> Self {
        let code = Self::enabled(0);
        let code = code.descriptor(0, HEADER, 16, 1, 1).descriptor(1, DATA, 512, 3, 2);
        code.descriptor(2, HEADER + 16, 1, 2, 0)
    }

    /// The block device ready with a packed queue 0 of 8, and a read of sector 0 laid out: the
    /// flags of its first descriptor are still to be stored.
    pub fn ready_packed() -> Self {
        let code = Self::enabled(RING_PACKED);
        let code = code.packed(1, DATA, 512).store16(DESC + 16 + 14, 0x83);
        let code = code.packed(2, HEADER + 16, 1).store16(DESC + 32 + 14, 0x82);
        code.packed(0, HEADER, 16)
    }

    /// A packed descriptor without its flags.
    pub fn packed(self, index: u32, addr: u32, len: u32) -> Self {
        let at = DESC + 16 * index;
        self.store32(at, addr).store32(at + 8, len).store16(at + 12, 0)
    }

    /// Makes the read available in a packed queue, without a notification.
    pub fn make_packed_available(self) -> Self {
        self.store16(DESC + 14, 0x81)
    }

    /// The block device with queue 0 of 8, and `features` of the upper 32 accepted beside
    /// VERSION_1.
    pub fn enabled(features: u32) -> Self {
        // mov eax, address; mov dx, 0xcf8; out dx, eax; mov dx, 0xcfc; mov ax, 0x406; out dx, ax
        let mut code = vec![0xB8];
        code.extend(0x8000_2004u32.to_le_bytes());
        code.extend([0x66, 0xBA, 0xF8, 0x0C, 0xEF, 0x66, 0xBA, 0xFC, 0x0C]);
        code.extend([0x66, 0xB8, 0x06, 0x04, 0x66, 0xEF]);
        let code = Self(code).store8(COMMON + 0x14, 0x01).store8(COMMON + 0x14, 0x03);
        let code = code.store32(COMMON + 0x08, 1).store32(COMMON + 0x0C, 1 | features);
        let code = code.store8(COMMON + 0x14, 0x0B).store16(COMMON + 0x18, 8);
        let code = code.store32(COMMON + 0x20, DESC).store32(COMMON + 0x28, AVAIL);
        let code = code.store32(COMMON + 0x30, USED).store16(COMMON + 0x1C, 1);
        code.store8(COMMON + 0x14, 0x0F)
    }

    pub fn descriptor(self, index: u32, addr: u32, len: u32, flags: u16, next: u16) -> Self {
        let at = DESC + 16 * index;
        let code = self.store32(at, addr).store32(at + 8, len);
        code.store16(at + 12, flags).store16(at + 14, next)
    }

    /// Makes the read available for the `idx`th time, without a notification.
    pub fn make_available(self, idx: u16) -> Self {
        let slot = AVAIL + 4 + 2 * u32::from((idx - 1) % 8);
        self.store16(slot, 0).store16(AVAIL + 2, idx)
    }

    pub fn notify(self) -> Self {
        self.store16(NOTIFY, 0)
    }
}

/// Runs a guest that ends with success after `code`, on a machine as `config` has it.
pub fn run_with(code: Code, config: Config, options: RunOptions<'_>) -> Run {
    let image = image(&code.bytes(&exit(0x10)).0);
    let kernel = Kernel::from_bytes("a driver of a few stores", image);
    Machine::new(Config { kernel, ..config }).unwrap().run(options).unwrap()
}

/// Runs it with faults.
pub fn run(code: Code, faults: Vec<Fault>) -> Run {
    run_with(code, Config { faults, ..Config::default() }, RunOptions::default())
}
