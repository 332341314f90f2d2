//! The lenient profile: what stock QEMU carries out is carried out, with QEMU's answer,
//! and is on record all the same.

use std::collections::BTreeSet;

use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::virtio::{Features, Profile};
use eclipse_devices::{Preset, Space};
use eclipse_tests::Loopback;
use eclipse_tests::parallel::Player;
use eclipse_trace::register::CommonCfg;
use eclipse_trace::{Entry, Event, Register, Violation};

use crate::SECTORS;
use crate::driver::{BLOCK, COMMON, ISR, NOTIFY, State, common, place, reach, ready};

/// The device under test; it offers RING_RESET as QEMU's does.
pub fn device() -> Loopback {
    let mut config = Preset::Modern.config(Box::new(MemoryDisk::counting(SECTORS)));
    config.blocks[0].virtio.profile = Profile::Lenient;
    config.blocks[0].virtio.offer = Features::RING_RESET;
    Loopback::with(config)
}

/// The clauses of the rules that the driver broke, as ours has them on record.
pub fn broken_clauses(machine: &Loopback) -> BTreeSet<&'static str> {
    let clause = |entry: Entry| match entry.event {
        Event::Violation { violation } => Some(violation.clause()),
        _ => None,
    };
    machine.entries().into_iter().filter_map(clause).collect()
}

/// Every access that was carried out with another width than its register's has its
/// violation on record, before anything that it caused.
pub fn check_widths_recorded(machine: &Loopback) {
    let entries = machine.entries();
    let mut wrong = 0;
    for pair in entries.windows(2) {
        let Event::Register { register, access } = &pair[0].event else { continue };
        let width = match register {
            Register::Common { register, .. } => register.width(),
            Register::Block { register, .. } => register.width(),
            Register::Isr { .. } => 1,
            Register::Notify { .. } => 2,
            _ => continue,
        };
        let rule = Violation::AccessWidth { register: width, access: access.width() };
        let recorded = pair[1].event == Event::Violation { violation: rule };
        assert_eq!(recorded, access.width() != width, "{}\n{}", pair[0], pair[1]);
        wrong += usize::from(recorded);
    }
    assert!(wrong > 0, "the script has accesses of another width");
}

/// Loads and stores of another width than the register's, at its first byte.
pub fn widths(player: &mut Player<'_>) {
    place(player);
    for &register in CommonCfg::ALL.iter().filter(|register| register.offset() < 0x38) {
        for width in [1, 2, 4].into_iter().filter(|width| *width != register.width()) {
            let at = COMMON + u64::from(register.offset());
            reach(player, State::QueueEnabled);
            let name = format!("{} by {width}", register.name());
            player.load(name.clone(), Space::Memory, at, width);
            reach(player, State::FeaturesOk);
            player.store(Space::Memory, at, width, 0x0000_0001);
            player.load(format!("{name} <- 1"), Space::Memory, at, register.width());
        }
    }
    for width in [2, 4] {
        player.load(format!("isr by {width}"), Space::Memory, ISR, width);
    }
    for (at, width) in [(0, 1), (0, 2), (0, 8), (4, 1), (4, 2), (0x14, 1), (0x14, 2)] {
        player.load(format!("block +{at:x} by {width}"), Space::Memory, BLOCK + at, width);
    }
}

/// Steps skipped and taken back, queues programmed too early and too late.
pub fn order(player: &mut Player<'_>) {
    place(player);
    for state in State::ALL {
        for value in [1, 2, 3, 4, 7, 8, 0x0b, 0x0f, 0x80, 0x83, 0x8b, 0x8f] {
            reach(player, state);
            common(player, 0x14, 1, value);
            let name = format!("{state:?} device_status <- {value:x}");
            player.load(name, Space::Memory, COMMON + 0x14, 1);
        }
        for (offset, value) in [(0x20, 0x1000), (0x28, 0x2000), (0x30, 0x3000)] {
            reach(player, state);
            common(player, offset, 4, value);
            let name = format!("{state:?} +{offset:02x} <- {value:x}");
            player.load(name, Space::Memory, COMMON + offset, 4);
        }
        for value in [1, 4, 8, 256] {
            reach(player, state);
            common(player, 0x18, 2, value);
            player.load(
                format!("{state:?} queue_size <- {value}"),
                Space::Memory,
                COMMON + 0x18,
                2,
            );
        }
        for value in [4, 0x244] {
            reach(player, state);
            common(player, 0x0c, 4, value);
            let name = format!("{state:?} driver_feature <- {value:x}");
            player.load(name, Space::Memory, COMMON + 0x0c, 4);
        }
    }
}

/// Doorbells of other widths: what was made available is carried out.
pub fn doorbells(player: &mut Player<'_>) {
    ready(player);
    for (width, value) in [(1, 0), (4, 0), (2, 0)] {
        let name = format!("doorbell by {width}");
        crate::requests::by_doorbell(player, &name, NOTIFY, width, value);
    }
}
