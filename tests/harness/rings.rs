//! Queues set up with features of a test's choice, and the driver's side of a packed ring.

use eclipse_devices::Preset;
use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::virtio::{BlkConfig, Features};

use crate::{Bare, Loopback};

/// `VIRTQ_DESC_F_AVAIL` of a packed ring (VIRTIO 1.4, 2.8.1).
pub const AVAIL: u16 = 1 << 7;
/// `VIRTQ_DESC_F_USED` of a packed ring.
pub const USED: u16 = 1 << 15;

/// The modern preset with `features` offered on top of its own and nothing done yet.
pub fn offering(features: Features) -> Bare {
    let default = BlkConfig::default();
    let block = BlkConfig { features: default.features | features, ..default };
    Bare { machine: Loopback::with_block(Preset::Modern, MemoryDisk::counting(64), block) }
}

/// The same, and ready: all that is offered accepted, queue 0 of `size` enabled,
/// MSI-X with data 0x40 for configuration changes and 0x41 for the queue, DRIVER_OK.
pub fn ready(features: Features, size: u16) -> Bare {
    let bare = offering(features);
    bare.config_store(0x04, 2, 0x0406);
    start(&bare, size);
    bare
}

/// Resets the device and makes it ready with a queue of `size`.
pub fn start(bare: &Bare, size: u16) {
    bare.accept_features();
    bare.enable_msix();
    bare.common(0x10, 2, 0);
    bare.set_up_queue();
    bare.common(0x18, 2, size.into());
    bare.common(0x1a, 2, 1);
    bare.common(0x1c, 2, 1);
    bare.common(0x14, 1, 0x0f);
}

/// A packed ring at [`Bare::DESC`], as its driver writes it.
pub struct PackedDriver {
    size: u16,
    /// The slot that comes next.
    pub slot: u16,
    /// The driver ring wrap counter.
    pub wrap: bool,
}

impl PackedDriver {
    /// The ring's first lap.
    pub fn new(size: u16) -> Self {
        Self { size, slot: 0, wrap: true }
    }

    /// Writes one descriptor as it is: address, length, buffer ID, flags.
    pub fn write(bare: &Bare, slot: u16, addr: u64, len: u32, id: u16, flags: u16) {
        write_entry(bare, Bare::DESC + 16 * u64::from(slot), addr, len, id, flags);
    }

    /// Makes a list of (address, length, flags) available, its first descriptor
    /// last; the last has the buffer ID. Returns the slot of the first.
    pub fn push(&mut self, bare: &Bare, list: &[(u64, u32, u16)], id: u16) -> u16 {
        let head = self.slot;
        let mut first = None;
        for (index, &(addr, len, flags)) in list.iter().enumerate() {
            let last = index + 1 == list.len();
            let next = if last { 0 } else { crate::bare::NEXT };
            let flags = flags | next | if self.wrap { AVAIL } else { USED };
            let id = if last { id } else { 0 };
            match index {
                0 => first = Some((self.slot, addr, len, id, flags)),
                _ => Self::write(bare, self.slot, addr, len, id, flags),
            }
            self.slot += 1;
            if self.slot == self.size {
                (self.slot, self.wrap) = (0, !self.wrap);
            }
        }
        let (slot, addr, len, id, flags) = first.expect("a list has a descriptor");
        Self::write(bare, slot, addr, len, id, flags);
        head
    }

    /// What lies in a slot: length, buffer ID, flags.
    pub fn read(bare: &Bare, slot: u16) -> (u32, u16, u16) {
        let at = Bare::DESC + 16 * u64::from(slot);
        (bare.read(at + 8), bare.read(at + 12), bare.read(at + 14))
    }
}

/// Writes a descriptor in the layout of packed rings and their indirect tables.
pub fn write_entry(bare: &Bare, at: u64, addr: u64, len: u32, id: u16, flags: u16) {
    bare.write(at, addr);
    bare.write(at + 8, len);
    bare.write(at + 12, id);
    bare.write(at + 14, flags);
}
