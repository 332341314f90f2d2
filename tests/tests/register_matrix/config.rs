//! Configuration space of the virtio function and of the bridge: every byte, width and
//! alignment, by both mechanisms, in every state of the device.

use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::{Preset, Space, pci::ECAM};
use eclipse_tests::{Bare, Loopback};

use crate::SETUPS;
use crate::model::Setup;
use crate::rig::{Rig, State};

/// A function's configuration space through one of the mechanisms.
struct Config<'a> {
    machine: &'a Loopback,
    /// Bus, device and function number, as in CONFIG_ADDRESS (15:8 to 23:16).
    function: u64,
    ecam: bool,
}

impl Config<'_> {
    /// Where the byte at `offset` is accessed, which is selected first.
    fn at(&self, offset: u64) -> (Space, u64) {
        if self.ecam {
            return (Space::Memory, ECAM.start + (self.function << 12) + offset);
        }
        let address = 1 << 31 | self.function << 8 | offset & 0xfc;
        self.machine.store(Space::Port, 0xcf8, 4, address);
        (Space::Port, 0xcfc + offset % 4)
    }

    fn load(&self, offset: u64, width: u8) -> u64 {
        let (space, address) = self.at(offset);
        self.machine.load(space, address, width)
    }

    fn store(&self, offset: u64, width: u8, value: u64) {
        let (space, address) = self.at(offset);
        self.machine.store(space, address, width, value);
    }

    /// What the access of `width` bytes at `offset` records first, without who and where.
    fn line(&self, from: usize) -> String {
        let entries = self.machine.entries_from(from);
        let skipped = usize::from(!self.ecam);
        entries.get(skipped).map(ToString::to_string).unwrap_or_default()
    }
}

/// What a configuration space holds, doubleword for doubleword, and which bits of each a
/// store changes.
#[derive(Clone, Copy)]
struct Doubleword {
    value: u32,
    writable: u32,
}

/// PCI 3.0, 6.1 and 6.2, and VIRTIO 1.4, 4.1.2, 4.1.4 and 4.1.4.9: the transitional device
/// with its MSI-X capability, four structures, and the window, each behind the other.
fn virtio(setup: Setup) -> [Doubleword; 64] {
    let mut space = [Doubleword { value: 0, writable: 0 }; 64];
    let mut put = |offset: usize, value, writable| {
        space[offset / 4] = Doubleword { value, writable };
    };
    put(0x00, 0x1001_1af4, 0);
    put(0x04, 0x0010_0007, 0x0547);
    put(0x08, 0x0100_0000, 0);
    put(0x0c, 0, 0xff);
    put(0x10, 0x0000_c001, 0xffff_ff80);
    put(0x14, 0xfebc_1000, 0xffff_f000);
    put(0x20, 0xfe00_000c, 0xffff_c000);
    put(0x24, 0, u32::MAX);
    put(0x2c, 0x0002_1af4, 0);
    put(0x34, 0x40, 0);
    put(0x3c, 0x0000_010a, 0xff);
    let enabled = if setup.msix { 0x8000_0000 } else { 0 };
    put(0x40, enabled | 0x0001_4c11, 0xc000_0000);
    put(0x44, 1, 0);
    put(0x48, 0x801, 0);
    for (at, cfg_type, offset) in
        [(0x4c, 1, 0), (0x5c, 3, 0x1000), (0x6c, 4, 0x2000), (0x7c, 2, 0x3000)]
    {
        let length: u32 = if cfg_type == 2 { 20 } else { 16 };
        let next = at as u32 + length;
        put(at, cfg_type << 24 | length << 16 | next << 8 | 0x09, 0);
        put(at + 4, 4, 0);
        put(at + 8, offset, 0);
        put(at + 12, 0x1000, 0);
    }
    put(0x8c, 4, 0);
    put(0x90, 0x0514_0009, 0);
    put(0x94, 0, 0xff);
    put(0x98, 0, u32::MAX);
    put(0x9c, 0, u32::MAX);
    put(0xa0, 0, u32::MAX);
    space
}

/// PCI-to-PCI Bridge 1.2, 3.2, with the windows that hold the device behind it.
fn bridge() -> [Doubleword; 64] {
    let mut space = [Doubleword { value: 0, writable: 0 }; 64];
    let mut put = |offset: usize, value, writable| {
        space[offset / 4] = Doubleword { value, writable };
    };
    put(0x00, 0x0001_1b36, 0);
    put(0x04, 0x0000_0007, 0x0547);
    put(0x08, 0x0604_0000, 0);
    put(0x0c, 0x0001_0000, 0xff);
    put(0x18, 0x0001_0100, u32::MAX);
    put(0x1c, 0x0000_00f0, 0x0000_f0f0);
    put(0x20, 0xfd00_fd00, 0xfff0_fff0);
    put(0x24, 0xfc01_fc01, 0xfff0_fff0);
    put(0x28, 0, u32::MAX);
    put(0x2c, 0, u32::MAX);
    put(0x3c, 0, 0x0067_00ff);
    space
}

/// Every width at every offset: a load has the bytes of the doubleword, a store changes
/// the writable bits of its bytes, and what leaves its doubleword is refused.
fn check(config: &Config<'_>, space: &[Doubleword; 64], what: &str) {
    for offset in 0..256u64 {
        let Doubleword { value, writable } = space[offset as usize / 4];
        for width in [1u8, 2, 4, 8] {
            let what = format!("{what}: {width} bytes at {offset:#x}, ecam {}", config.ecam);
            let ones = u64::MAX >> (64 - 8 * u32::from(width));
            let from = config.machine.recorded();
            let answer = config.load(offset, width);
            let line = config.line(from);
            if offset % 4 + u64::from(width) > 4 {
                assert_eq!(answer, ones, "{what}");
                assert!(line.contains("refused: "), "{what}: {line}");
                config.store(offset, width, 0);
                assert_eq!(config.load(offset & 0xfc, 4), u64::from(value), "{what}");
                continue;
            }
            assert_eq!(answer, u64::from(value) >> (8 * (offset % 4)) & ones, "{what}");
            assert!(!line.contains("refused"), "{what}: {line}");
            let lanes = (ones as u32) << (8 * (offset % 4));
            for stored in [u32::MAX, 0x5a5a_5a5a] {
                config.store(offset, width, u64::from(stored >> (8 * (offset % 4))) & ones);
                let after = config.load(offset & 0xfc, 4);
                let expected = value & !(writable & lanes) | stored & writable & lanes;
                assert_eq!(after, u64::from(expected), "{what} <- {stored:x}");
                config.store(offset & 0xfc, 4, value.into());
            }
        }
    }
}

#[test]
fn configuration_space_is_the_same_in_every_state() {
    for setup in SETUPS {
        for state in State::ALL {
            for ecam in [false, true] {
                let mut rig = Rig::modern(setup, state);
                let machine = rig.bare.machine.clone();
                let mut space = virtio(setup);
                // PCI 3.0, 6.2.3: the status bit shows that the pin is asked for.
                if rig.model.isr != 0 && !setup.msix {
                    space[1].value |= 1 << 19;
                }
                let config = Config { machine: &machine, function: 0x0020, ecam };
                check(&config, &space, &format!("{setup:?}, {state:?}"));
                // What was pending has been let out or not by the stores to COMMAND and
                // message control; the registers in the BARs are as they were.
                rig.check_registers();
            }
        }
    }
}

#[test]
fn a_bridges_configuration_space_is_the_tables() {
    for ecam in [false, true] {
        let machine = Loopback::new(Preset::Bridge, MemoryDisk::counting(64));
        let config = Config { machine: &machine, function: 0x0028, ecam };
        check(&config, &bridge(), "bridge");
        let behind = Config { machine: &machine, function: 0x0100, ecam };
        assert_eq!(behind.load(0, 4), 0x1042_1af4, "found again behind it");
    }
}

#[test]
fn an_absent_function_answers_every_access_with_all_ones() {
    let bare = Bare::new(MemoryDisk::counting(8));
    for ecam in [false, true] {
        let config = Config { machine: &bare.machine, function: 0x00f8, ecam };
        for (offset, width) in (0..256).flat_map(|offset| [(offset, 1), (offset, 2), (offset, 4)]) {
            config.store(offset, width, 0);
            assert_eq!(config.load(offset, width), u64::MAX >> (64 - 8 * u32::from(width)));
        }
    }
}
