//! What the fuzzers run, on any bytes: each is an entry function that fails only
//! when a device breaks a promise.
//!
//! The targets in `fuzz/` call them, and a test calls them with the corpus.

use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::{Preset, Space};
use eclipse_trace::{Entry, Event};

use crate::Loopback;
use crate::bare::{Bare, Descriptor, WRITE};

/// Accesses to the bus, eight bytes each: how, where, offset (16 bits), value (32 bits).
///
/// # Panics
/// A load answers more than its width, or a device panics.
pub fn bus(input: &[u8]) {
    let machine = Loopback::new(Preset::Modern, MemoryDisk::counting(16));
    machine.attach_ata(MemoryDisk::counting(16));
    for step in input.chunks_exact(8).take(512) {
        let &[how, place, low, high, ref value @ ..] = step else { continue };
        let offset = u64::from(u16::from_le_bytes([low, high]));
        let value = value.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte));
        let width = 1 << (how >> 1 & 3);
        let (space, address, width) = match place % 10 {
            0 => (Space::Port, 0xcf8 + offset % 8, width.min(4)),
            1 => {
                // Configuration space: the offset is a function and a register.
                let register = 0x8000_0000 | offset & 0xfffc;
                machine.store(Space::Port, 0xcf8, 4, register);
                (Space::Port, 0xcfc + offset % 4, width.min(4))
            }
            2 => (Space::Port, 0x1f0 + offset % 8, width.min(4)),
            3 => (Space::Port, 0x3f6, 1),
            4 => (Space::Memory, Bare::COMMON + offset % 0x4000, width),
            5 => (Space::Memory, Bare::MSIX_TABLE + offset % 0x1000, width),
            6 => (Space::Port, offset, width.min(4)),
            7 => (Space::Memory, offset << 16 | value >> 16, width),
            // A doorbell, which random offsets seldom hit.
            8 => (Space::Memory, Bare::NOTIFY, 2),
            _ => {
                write_ram(&machine, offset * 4 % 0x8000, &(value as u32).to_le_bytes());
                continue;
            }
        };
        if how & 1 == 1 {
            machine.store(space, address, width, value << 32 | value);
        } else {
            let answer = machine.load(space, address, width);
            let most = u64::MAX >> (64 - 8 * u32::from(width));
            assert!(answer <= most, "a load of {width} bytes answers {answer:#x}");
        }
    }
}

/// Queue memory for a device that is ready, in rounds of 92 bytes: what is to be
/// special, available index, available ring, request header and descriptors.
///
/// # Panics
/// The device does more work than was made available, does DMA without being a bus
/// master, or cannot be used again after a reset.
pub fn queue(input: &[u8]) {
    let bare = Bare::ready(MemoryDisk::counting(16));
    for round in input.chunks(Round::LENGTH).take(8) {
        let round = Round::from_bytes(round);
        if round.special & 1 != 0 {
            restart(&bare);
        }
        let master = round.special & 2 == 0;
        bare.config_store(0x04, 2, if master { 0x0406 } else { 0x0402 });
        bare.write(Bare::AVAIL, round.avail);
        bare.write(Bare::HEADER, round.header);
        bare.descriptors(&round.descriptors);
        let from = bare.machine.entries().len();
        bare.store(Bare::NOTIFY, 2, u64::from(round.special >> 4));
        check_work(&bare.machine.entries()[from..], master);
    }
    restart(&bare);
    bare.config_store(0x04, 2, 0x0406);
    bare.header(0, 3);
    bare.write(Bare::STATUS, 0xff_u8);
    bare.descriptors(&[
        (Bare::HEADER, 16, 1, 1),
        (Bare::DATA, 512, 1 | WRITE, 2),
        (Bare::STATUS, 1, WRITE, 0),
    ]);
    bare.make_available(0);
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0, "a good read after a reset succeeds");
}

/// What one doorbell may cause.
fn check_work(entries: &[Entry], master: bool) {
    let size = usize::from(Bare::SIZE);
    let count = |is: fn(&Event) -> bool| entries.iter().filter(|entry| is(&entry.event)).count();
    let used = count(|event| matches!(event, Event::Used { .. }));
    let descriptors = count(|event| matches!(event, Event::Descriptor { .. }));
    let buffers = count(|event| matches!(event, Event::Buffer { .. }));
    assert!(used <= size, "{used} chains were given back");
    // As many as the table has, and the chain that is one too many.
    assert!(descriptors <= 2 * size, "{descriptors} descriptors were read");
    if !master {
        let rings = count(|event| matches!(event, Event::Ring { .. } | Event::Msix { .. }));
        assert_eq!(used + descriptors + buffers + rings, 0, "DMA with bus mastering off");
    }
}

/// From a reset to DRIVER_OK with empty rings.
fn restart(bare: &Bare) {
    bare.accept_features();
    bare.enable_msix();
    bare.common(0x10, 2, 0);
    bare.set_up_queue();
    bare.common(0x1a, 2, 1);
    bare.common(0x1c, 2, 1);
    bare.common(0x14, 1, 0x0f);
    write_ram(&bare.machine, Bare::AVAIL, &[0; 0x20]);
    write_ram(&bare.machine, Bare::USED, &[0; 0x50]);
}

/// A round of [`queue`].
struct Round {
    /// Bit 0: begin with a reset; bit 1: no bus mastering; bits 7:4: what is rung.
    special: u8,
    /// `flags`, `idx` and the ring.
    avail: [u8; 20],
    header: [u8; 16],
    descriptors: Vec<Descriptor>,
}

impl Round {
    const DESCRIPTOR: usize = 7;
    const LENGTH: usize = 1 + 18 + 16 + 8 * Self::DESCRIPTOR + 1;

    /// Bytes that are missing are 0.
    fn from_bytes(bytes: &[u8]) -> Self {
        let mut all = [0; Self::LENGTH];
        all[..bytes.len()].copy_from_slice(bytes);
        let mut avail = [0; 20];
        // Interrupts are wanted if the last byte is even.
        avail[0] = all[Self::LENGTH - 1] & 1;
        avail[2..].copy_from_slice(&all[1..19]);
        let mut header = [0; 16];
        header.copy_from_slice(&all[19..35]);
        let descriptors = all[35..].chunks_exact(Self::DESCRIPTOR).map(Self::descriptor).collect();
        Self { special: all[0], avail, header, descriptors }
    }

    /// Address (24 bits), length (16 bits), flags, next. The highest bits of the
    /// address and of the flags lead to places that are seldom found by chance.
    fn descriptor(bytes: &[u8]) -> Descriptor {
        let &[a0, a1, a2, l0, l1, flags, next] = bytes else { return (0, 0, 0, 0) };
        let low = u64::from(u32::from_le_bytes([a0, a1, a2 & 0x0f, 0]));
        let addr = match a2 >> 4 {
            0xf => u64::MAX << 20 | low,
            0xe => (16 << 20) - (low & 0xfff),
            0xd => 0xfe00_0000 | low,
            _ => low,
        };
        let len = u32::from(u16::from_le_bytes([l0, l1]));
        let len = if flags & 0x80 != 0 { len << 16 | len } else { len };
        (addr, len, u16::from(flags & 0x7f), u16::from(next))
    }
}

fn write_ram(machine: &Loopback, address: u64, bytes: &[u8]) {
    use vm_memory::{Bytes, GuestAddress};
    machine.memory().write_slice(bytes, GuestAddress(address)).expect("it is in RAM");
}
