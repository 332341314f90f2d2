//! Packed virtqueues (VIRTIO 1.4, 2.8): requests, and the descriptors that they leave.

use eclipse_devices::Space;
use eclipse_tests::parallel::{Player, checksum};

use crate::driver::{
    AVAIL, COMMON, DATA, DESC, HEADER, MESSAGES, NEXT, NOTIFY, QUEUE_SIZE, STATUS, USED, WRITE,
    common, enable_msix, field, place,
};

const FLAG_AVAIL: u16 = 1 << 7;
const FLAG_USED: u16 = 1 << 15;
const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;

/// The driver's place in the ring.
struct Ring {
    slot: u16,
    wrap: bool,
}

/// A buffer of a list: address, length, flags.
type Buffer = (u64, u32, u16);

/// From a reset to DRIVER_OK with a packed ring of `size` that is empty.
fn start(player: &Player<'_>, size: u16) -> Ring {
    for area in [DESC, AVAIL, USED] {
        player.machine().write_ram(area, &[0; 0x100]);
    }
    common(player, 0x14, 1, 0);
    common(player, 0x14, 1, 0x01);
    common(player, 0x14, 1, 0x03);
    // FLUSH, BLK_SIZE and SEG_MAX; VERSION_1 and RING_PACKED.
    for (window, bits) in [(0, 0x244), (1, 0x5)] {
        common(player, 0x08, 4, window);
        common(player, 0x0c, 4, bits);
    }
    common(player, 0x14, 1, 0x0b);
    common(player, 0x16, 2, 0);
    common(player, 0x18, 2, size.into());
    for (offset, area) in [(0x20, DESC), (0x28, AVAIL), (0x30, USED)] {
        common(player, offset, 4, area);
        common(player, offset + 4, 4, 0);
    }
    common(player, 0x10, 2, 0);
    common(player, 0x1a, 2, 1);
    common(player, 0x1c, 2, 1);
    common(player, 0x14, 1, 0x0f);
    Ring { slot: 0, wrap: true }
}

impl Ring {
    /// Makes a list available, its first descriptor last, and rings the doorbell; then
    /// notes what the request left.
    fn submit(&mut self, player: &mut Player<'_>, name: &str, size: u16, list: &[Buffer], id: u16) {
        player.machine().write_ram(STATUS, &[0xee]);
        let (head, lap) = (self.slot, self.wrap);
        let mut descriptors = Vec::new();
        for (index, &(addr, len, flags)) in list.iter().enumerate() {
            let next = if index + 1 == list.len() { 0 } else { NEXT };
            let owned = if self.wrap { FLAG_AVAIL } else { FLAG_USED };
            descriptors.push((self.slot, addr, len, flags | next | owned));
            self.slot += 1;
            if self.slot == size {
                (self.slot, self.wrap) = (0, !self.wrap);
            }
        }
        for (slot, addr, len, flags) in descriptors.into_iter().rev() {
            let mut bytes = addr.to_le_bytes().to_vec();
            bytes.extend(len.to_le_bytes());
            bytes.extend(id.to_le_bytes());
            bytes.extend(flags.to_le_bytes());
            player.machine().write_ram(DESC + 16 * u64::from(slot), &bytes);
        }
        player.store(Space::Memory, NOTIFY, 2, 0);
        let at = DESC + 16 * u64::from(head);
        let both = FLAG_AVAIL | FLAG_USED;
        let used = if lap { both } else { 0 };
        let machine = player.machine();
        machine.settle(&|| {
            field(player, at + 14) & both == used
                || machine.load(Space::Memory, COMMON + 0x14, 1) & 0x40 != 0
        });
        let mut status = [0];
        machine.read_ram(STATUS, &mut status);
        player.note(format!("{name}: status"), status[0].into());
        let mut used = [0; 8];
        machine.read_ram(at + 8, &mut used);
        let part = |from: usize| u64::from(u16::from_le_bytes([used[from], used[from + 1]]));
        player.note(format!("{name}: used.len"), part(0));
        player.note(format!("{name}: used.id"), part(4));
        player.note(format!("{name}: used.flags"), part(6));
        let mut data = [0; 4096];
        player.machine().read_ram(DATA, &mut data);
        player.note(format!("{name}: data"), checksum(&data));
        player.load(format!("{name}: device_status"), Space::Memory, COMMON + 0x14, 1);
        for vector in [0, 1] {
            let taken = player.machine().take_message(MESSAGES + 4 * vector, 0x40 + vector as u32);
            player.note(format!("{name}: message {vector}"), taken.into());
        }
        for (area, what) in [(AVAIL, "driver"), (USED, "device")] {
            player.note(format!("{name}: {what}_event.flags"), field(player, area + 2).into());
        }
    }
}

fn header(player: &Player<'_>, kind: u32, sector: u64) {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend([0; 4]);
    bytes.extend(sector.to_le_bytes());
    player.machine().write_ram(HEADER, &bytes);
}

fn framed(len: u32, flags: u16) -> [Buffer; 3] {
    [(HEADER, 16, 0), (DATA, len, flags), (STATUS, 1, WRITE)]
}

/// What drivers do, past the end of rings of several sizes.
pub fn good(player: &mut Player<'_>) {
    place(player);
    enable_msix(player);
    for size in [QUEUE_SIZE, 5, 3] {
        let mut ring = start(player, size);
        player.load(format!("{size}: queue_size"), Space::Memory, COMMON + 0x18, 2);
        player.machine().write_ram(DATA, &[0; 4096]);
        for round in 0..7u16 {
            let sector = u64::from(round);
            let name = |what: &str| format!("{size}, {round}, {what}");
            header(player, IN, sector);
            ring.submit(player, &name("read"), size, &framed(512, WRITE), 3 * round);
            header(player, FLUSH, 0);
            let flush = [(HEADER, 16, 0), (STATUS, 1, WRITE)];
            ring.submit(player, &name("flush"), size, &flush, 0xffff - round);
            header(player, OUT, 40 + sector);
            ring.submit(player, &name("write"), size, &framed(512, 0), round);
        }
        // 2.8.10: the driver wants no interrupt.
        player.machine().write_ram(AVAIL + 2, &1u16.to_le_bytes());
        header(player, IN, 40);
        ring.submit(player, &format!("{size}, no interrupt"), size, &framed(512, WRITE), 1);
    }
}

/// What they do wrong; each from a device that is ready. Lists that are wrong in
/// themselves are not among it: QEMU 7.2 does not come back from one in a packed ring.
pub fn bad(player: &mut Player<'_>) {
    place(player);
    enable_msix(player);
    let cases: &[(&str, u32, u64, &[Buffer])] = &[
        ("read beyond the end", IN, 64, &framed(512, WRITE)),
        ("read of 511 bytes", IN, 0, &framed(511, WRITE)),
        ("unknown type", 0x1234, 0, &framed(512, WRITE)),
        ("header only", IN, 0, &[(HEADER, 16, 0)]),
        ("no status", IN, 0, &[(HEADER, 16, 0), (DATA, 512, 0)]),
    ];
    for (name, kind, sector, list) in cases {
        let mut ring = start(player, QUEUE_SIZE);
        player.machine().write_ram(DATA, &[0; 4096]);
        header(player, *kind, *sector);
        ring.submit(player, name, QUEUE_SIZE, list, 7);
    }
}
