//! Configuration space.

use eclipse_devices::Space;
use eclipse_tests::parallel::Player;

use crate::driver::{BLOCK_DEVFN, capability, config, config_store};

/// The functions that both machines have.
const FUNCTIONS: [u8; 5] = [0x00, 0x08, 0x09, 0x0b, BLOCK_DEVFN];

fn name(devfn: u8) -> String {
    format!("00:{:02x}.{}", devfn >> 3, devfn & 7)
}

/// Every function number of the bus, and the header of those that answer.
pub fn enumeration(player: &mut Player<'_>) {
    for devfn in 0..=u8::MAX {
        let vendor = config(player, devfn, 0, 2);
        player.note(format!("{} +00:2", name(devfn)), vendor);
        if vendor == 0xffff {
            for (offset, width) in [(0, 4), (2, 2), (8, 4), (0x0e, 1), (0xfc, 4)] {
                let value = config(player, devfn, offset, width);
                player.note(format!("{} +{offset:02x}:{width}", name(devfn)), value);
            }
            continue;
        }
        for width in [1, 2, 4] {
            for offset in (0..0x40).step_by(width) {
                let value = config(player, devfn, offset, width as u8);
                player.note(format!("{} +{offset:02x}:{width}", name(devfn)), value);
            }
        }
    }
}

/// All ones and all zeros to every doubleword of every header.
pub fn writable_bits(player: &mut Player<'_>) {
    for devfn in FUNCTIONS {
        for offset in (0..0x40).step_by(4) {
            let before = config(player, devfn, offset, 4);
            for probe in [0xffff_ffff, 0x0000_0000, 0xffff_fff0, 0x5555_5555] {
                config_store(player, devfn, offset, 4, probe);
                let after = config(player, devfn, offset, 4);
                player.note(format!("{} +{offset:02x} <- {probe:08x}", name(devfn)), after);
            }
            config_store(player, devfn, offset, 4, before);
        }
    }
    // Narrow stores reach their own bytes only.
    for offset in 0x3c..0x40 {
        for width in [1, 2].into_iter().filter(|width| (offset & 3) + width <= 4) {
            config_store(player, BLOCK_DEVFN, 0x3c, 4, 0);
            config_store(player, BLOCK_DEVFN, offset, width, 0xa5a5);
            let after = config(player, BLOCK_DEVFN, 0x3c, 4);
            player.note(format!("+3c after +{offset:02x}:{width} <- a5"), after);
        }
    }
}

/// The two ports themselves.
pub fn mechanism(player: &mut Player<'_>) {
    for value in [0, 0x8000_0000, 0x8000_2000, 0x8000_2003, 0xffff_ffff, 0x0000_2000] {
        player.store(Space::Port, 0xcf8, 4, value);
        player.load(format!("address <- {value:08x}"), Space::Port, 0xcf8, 4);
        for width in [1, 2, 4] {
            for lane in 0..4 {
                let name = format!("data+{lane}:{width} with address {value:08x}");
                player.load(name, Space::Port, 0xcfc + lane, width);
            }
        }
    }
    player.store(Space::Port, 0xcf8, 4, 0x8000_2000);
    for (port, width) in [(0xcf8, 1), (0xcf8, 2), (0xcf9, 1), (0xcfa, 1), (0xcfa, 2), (0xcfb, 1)] {
        player.load(format!("address port {port:x}:{width}"), Space::Port, port, width);
        // Not 0xCF9, where a PC has its reset control.
        if port != 0xcf9 {
            player.store(Space::Port, port, width, 0);
            player.load(format!("address after {port:x}:{width} <- 0"), Space::Port, 0xcf8, 4);
        }
    }
    // An absent function takes stores and forgets them.
    config_store(player, 0xf8, 0x3c, 4, 0x55);
    let absent = config(player, 0xf8, 0x3c, 4);
    player.note("00:1f.0 +3c <- 55", absent);
    player.store(Space::Port, 0xcf8, 4, 0x8001_0000);
    player.load("bus 1", Space::Port, 0xcfc, 4);
}

/// What a driver learns from the block device's capabilities and BARs.
pub fn structures(player: &mut Player<'_>) {
    for cfg_type in 1..=5 {
        // The window is not in every preset.
        if cfg_type == 5 {
            continue;
        }
        let at = capability(player, 0x09, Some(cfg_type));
        for (field, offset, width) in
            [("cap_len", 2, 1), ("bar", 4, 1), ("offset", 8, 4), ("length", 12, 4)]
        {
            let value = config(player, BLOCK_DEVFN, at + offset, width);
            player.note(format!("virtio {cfg_type} {field}"), value);
        }
        if cfg_type == 2 {
            let value = config(player, BLOCK_DEVFN, at + 16, 4);
            player.note("notify_off_multiplier", value);
        }
    }
    let at = capability(player, 0x11, None);
    for (field, offset, width) in [("message_control", 2, 2), ("table", 4, 4), ("pba", 8, 4)] {
        let value = config(player, BLOCK_DEVFN, at + offset, width);
        player.note(format!("msix {field}"), value);
    }
    for probe in [0xffff, 0x0000, 0xc000] {
        config_store(player, BLOCK_DEVFN, at + 2, 2, probe);
        let value = config(player, BLOCK_DEVFN, at + 2, 2);
        player.note(format!("msix message_control <- {probe:04x}"), value);
    }
    for bar in 0..6 {
        let offset = 0x10 + 4 * bar;
        config_store(player, BLOCK_DEVFN, offset, 4, 0xffff_ffff);
        let size = config(player, BLOCK_DEVFN, offset, 4);
        player.note(format!("bar {bar} size"), size);
        config_store(player, BLOCK_DEVFN, offset, 4, 0);
    }
}
