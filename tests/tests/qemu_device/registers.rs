//! The structures in the device's memory.

use eclipse_devices::Space;
use eclipse_tests::parallel::Player;
use eclipse_trace::register::{BlockCfg, CommonCfg};

use crate::driver::{
    BLOCK, BLOCK_DEVFN, COMMON, ISR, MSIX_PBA, MSIX_TABLE, NOTIFY, State, capability, common,
    config_store, place, reach,
};

/// Every register in every state: load, store, load back. Each store begins
/// anew, so that none depends on the ones before.
pub fn common_in_every_state(player: &mut Player<'_>) {
    place(player);
    for state in State::ALL {
        for &register in CommonCfg::ALL {
            let (at, width) = (u64::from(register.offset()), register.width());
            let name = format!("{state:?} {}", register.name());
            reach(player, state);
            player.load(name.as_str(), Space::Memory, COMMON + at, width);
            for value in values(register) {
                reach(player, state);
                common(player, at, width, value);
                let name = format!("{name} <- {value:x}");
                player.load(name.as_str(), Space::Memory, COMMON + at, width);
                if register != CommonCfg::DeviceStatus {
                    player.load(format!("{name}: status"), Space::Memory, COMMON + 0x14, 1);
                }
            }
        }
        windows(player, state);
    }
}

/// What a driver may store, rightly or wrongly.
fn values(register: CommonCfg) -> Vec<u64> {
    match register {
        CommonCfg::DeviceStatus => {
            vec![0, 1, 2, 3, 4, 7, 8, 0xb, 0xf, 0x13, 0x43, 0x4f, 0x80, 0x83, 0x8b, 0x8f, 0xff]
        }
        CommonCfg::QueueSize => vec![0, 1, 2, 3, 16, 255, 256, 257, 512, 1024, 0x8000, 0xffff],
        CommonCfg::QueueEnable => vec![0, 1, 2, 0xffff],
        CommonCfg::QueueMsixVector | CommonCfg::ConfigMsixVector => vec![0, 1, 2, 7, 0xffff],
        CommonCfg::QueueSelect => vec![0, 1, 7, 0xffff],
        CommonCfg::DriverFeature => vec![0, 4, 0x244, 1, 0xffff_ffff],
        CommonCfg::DeviceFeatureSelect | CommonCfg::DriverFeatureSelect => {
            vec![0, 1, 2, 31, 0xffff_ffff]
        }
        _ if register.width() == 4 => vec![0, 0x1000, 0x1001, 0xffff_ffff],
        _ => vec![0, 1, 0xff],
    }
}

/// The feature windows, and a queue that does not exist.
fn windows(player: &mut Player<'_>, state: State) {
    reach(player, state);
    for select in [0, 1, 2, 31, 0xffff_ffff] {
        common(player, 0x00, 4, select);
        common(player, 0x08, 4, select);
        let name = format!("{state:?} device_feature of window {select:x}");
        player.load(name, Space::Memory, COMMON + 0x04, 4);
        let name = format!("{state:?} driver_feature of window {select:x}");
        player.load(name, Space::Memory, COMMON + 0x0c, 4);
    }
    for queue in [1, 63, 64, 1023, 1024, 0xffff] {
        common(player, 0x16, 2, queue);
        for register in CommonCfg::ALL.iter().filter(|register| register.offset() >= 0x16) {
            let (at, width) = (u64::from(register.offset()), register.width());
            let name = format!("{state:?} queue {queue} {}", register.name());
            player.load(name, Space::Memory, COMMON + at, width);
        }
    }
}

/// Every offset at every width, with the device's structures as a driver finds them.
pub fn common_at_every_width(player: &mut Player<'_>) {
    place(player);
    reach(player, State::QueueEnabled);
    for width in [1, 2, 4, 8] {
        for offset in (0..0x48).filter(|offset| offset % u64::from(width) == 0) {
            let exact = CommonCfg::decode(offset, width).is_ok();
            let kind = if exact { "whole" } else { "part" };
            let name = format!("common +{offset:02x}:{width} {kind}");
            player.load(name, Space::Memory, COMMON + offset, width);
        }
    }
    for width in [1, 2, 4] {
        player.load(format!("isr:{width}"), Space::Memory, ISR, width);
        player.load(format!("isr+8:{width}"), Space::Memory, ISR + 8, width);
        player.load(format!("notify:{width}"), Space::Memory, NOTIFY, width);
    }
}

/// The block device's own configuration.
pub fn block(player: &mut Player<'_>) {
    place(player);
    reach(player, State::Driver);
    for &register in BlockCfg::ALL {
        let at = BLOCK + u64::from(register.offset());
        player.load(format!("block {}", register.name()), Space::Memory, at, register.width());
        let value = 0xa5a5_a5a5 >> (32 - 8 * u32::from(register.width()));
        player.store(Space::Memory, at, register.width(), value);
        let name = format!("block {} <- {value:x}", register.name());
        player.load(name, Space::Memory, at, register.width());
    }
    for width in [1, 2, 8] {
        player.load(format!("block capacity:{width}"), Space::Memory, BLOCK, width);
    }
}

/// The MSI-X table and pending bits, masked and not.
pub fn msix(player: &mut Player<'_>) {
    place(player);
    let names = ["message_address", "message_upper_address", "message_data", "vector_control"];
    for enabled in [false, true] {
        let capability = capability(player, 0x11, None);
        config_store(player, BLOCK_DEVFN, capability + 2, 2, u64::from(enabled) << 15 | 1 << 14);
        for vector in [0, 1] {
            for (offset, name) in (0..).step_by(4).zip(names) {
                let at = MSIX_TABLE + 16 * vector + offset;
                let name = format!("enabled {enabled}, vector {vector} {name}");
                player.load(name.as_str(), Space::Memory, at, 4);
                for value in [0xffff_ffff, 0x1234_5678, 0] {
                    player.store(Space::Memory, at, 4, value);
                    player.load(format!("{name} <- {value:x}"), Space::Memory, at, 4);
                }
            }
        }
    }
    player.load("table+32", Space::Memory, MSIX_TABLE + 32, 4);
    player.store(Space::Memory, MSIX_TABLE, 8, 0x1122_3344_5566_7788);
    player.load("table:8 <-", Space::Memory, MSIX_TABLE, 8);
    player.store(Space::Memory, MSIX_TABLE + 8, 8, 0x0000_0001_5566_7788);
    player.load("table+8:8 <-", Space::Memory, MSIX_TABLE + 8, 8);
    player.load("table+4", Space::Memory, MSIX_TABLE + 4, 4);
    for width in [1, 2] {
        player.load(format!("table:{width}"), Space::Memory, MSIX_TABLE, width);
    }
    for (offset, width) in [(0, 4), (4, 4), (0, 8), (8, 4), (0, 1)] {
        player.load(format!("pba+{offset}:{width}"), Space::Memory, MSIX_PBA + offset, width);
    }
    player.store(Space::Memory, MSIX_PBA, 4, 3);
    player.load("pba <- 3", Space::Memory, MSIX_PBA, 4);
}
