//! Configuration space by the enhanced mechanism: a window of memory (PCI Express Base
//! 3.0, 7.2.2), which a q35 has once its host bridge was told where.

use eclipse_devices::Space;
use eclipse_devices::pci::ECAM;
use eclipse_tests::parallel::Player;

use crate::driver::BLOCK_DEVFN;

/// PCIEXBAR of a q35's host bridge: where the window is, and 1 to switch it on. Ours has
/// its window from the beginning, and takes the store for one to a reserved register.
fn switch_on(player: &Player<'_>) {
    player.store(Space::Port, 0xcf8, 4, 0x8000_0060);
    player.store(Space::Port, 0xcfc, 4, ECAM.start | 1);
}

fn at(bus: u64, devfn: u8, offset: u64) -> u64 {
    ECAM.start + (bus << 20 | u64::from(devfn) << 12) + offset
}

/// Every width at every offset of a header, stores, and what is not there.
pub fn accesses(player: &mut Player<'_>) {
    switch_on(player);
    for width in [1, 2, 4] {
        for offset in (0..0x40).filter(|offset| offset % 4 + u64::from(width) <= 4) {
            let name = format!("header +{offset:02x}:{width}");
            player.load(name, Space::Memory, at(0, BLOCK_DEVFN, offset), width);
        }
    }
    for (lane, width) in [(1, 4), (2, 4), (3, 4), (3, 2)] {
        let name = format!("crossing +{lane}:{width}");
        player.load(name, Space::Memory, at(0, BLOCK_DEVFN, lane), width);
    }
    player.load("header:8", Space::Memory, at(0, BLOCK_DEVFN, 0), 8);
    for devfn in (0x10..=u8::MAX).filter(|devfn| *devfn != BLOCK_DEVFN && *devfn < 0xf8) {
        player.load(format!("absent {devfn:02x}"), Space::Memory, at(0, devfn, 0), 4);
    }
    for bus in [1, 2, 0x80, 0xff] {
        player.load(format!("bus {bus}"), Space::Memory, at(bus, BLOCK_DEVFN, 0), 4);
    }
    for offset in [0x100, 0x104, 0xffc] {
        player.load(format!("extended +{offset:x}"), Space::Memory, at(0, BLOCK_DEVFN, offset), 4);
        player.load(format!("absent +{offset:x}"), Space::Memory, at(0, 0x50, offset), 4);
    }
    for (offset, width, value) in
        [(0x3c, 1, 0x5a), (0x0c, 1, 0x10), (0x04, 2, 0x0006), (0x3c, 4, 0)]
    {
        player.store(Space::Memory, at(0, BLOCK_DEVFN, offset), width, value);
        let name = format!("+{offset:02x}:{width} <- {value:x}");
        player.load(name.clone(), Space::Memory, at(0, BLOCK_DEVFN, offset), width);
        player.store(Space::Port, 0xcf8, 4, 0x8000_0000 | u64::from(BLOCK_DEVFN) << 8 | offset);
        player.load(format!("{name}, by the ports"), Space::Port, 0xcfc, width);
    }
}
