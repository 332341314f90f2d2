//! The window from configuration space into the BARs (VIRTIO 1.4, 4.1.4.9).

use eclipse_devices::Space;
use eclipse_tests::parallel::Player;
use eclipse_trace::register::CommonCfg;

use crate::driver::{BLOCK_DEVFN, COMMON, State, capability, config, config_store, place, reach};

/// Where the structures are in their BAR, in both.
const ISR: u32 = 0x1000;
const DEVICE: u32 = 0x2000;
const NOTIFY: u32 = 0x3000;

struct Window {
    at: u8,
}

impl Window {
    fn of(player: &Player<'_>) -> Self {
        Self { at: capability(player, 0x09, Some(5)) }
    }

    fn point(&self, player: &Player<'_>, bar: u8, offset: u32, length: u32) {
        config_store(player, BLOCK_DEVFN, self.at + 4, 1, bar.into());
        config_store(player, BLOCK_DEVFN, self.at + 8, 4, offset.into());
        config_store(player, BLOCK_DEVFN, self.at + 12, 4, length.into());
    }

    fn load(&self, player: &mut Player<'_>, name: String, width: u8) {
        let value = config(player, BLOCK_DEVFN, self.at + 16, width);
        player.note(name, value);
    }

    fn store(&self, player: &Player<'_>, width: u8, value: u64) {
        config_store(player, BLOCK_DEVFN, self.at + 16, width, value);
    }
}

/// Every register through the window, in every state; and the initialisation by it alone.
pub fn registers(player: &mut Player<'_>) {
    place(player);
    let window = Window::of(player);
    for state in State::ALL {
        reach(player, state);
        for &register in CommonCfg::ALL {
            let (at, width) = (register.offset().into(), register.width());
            window.point(player, 4, at, width.into());
            window.load(player, format!("{state:?} {}", register.name()), width);
        }
        for (name, at, width) in
            [("isr", ISR, 1), ("capacity_low", DEVICE, 4), ("capacity_high", DEVICE + 4, 4)]
        {
            window.point(player, 4, at, width.into());
            window.load(player, format!("{state:?} {name}"), width);
        }
    }
    // 4.1.4.9 is there for a driver that cannot reach the BARs at all.
    config_store(player, BLOCK_DEVFN, 0x04, 2, 0x0004);
    let steps = [(0x14, 1, 0), (0x14, 1, 1), (0x14, 1, 3), (0x0c, 4, 0x244), (0x08, 4, 1)];
    for (at, width, value) in steps.into_iter().chain([(0x0c, 4, 1), (0x14, 1, 0x0b)]) {
        window.point(player, 4, at, width.into());
        window.store(player, width, value);
        window.load(player, format!("by the window, +{at:02x} <- {value:x}"), width);
    }
    config_store(player, BLOCK_DEVFN, 0x04, 2, 0x0006);
    player.load("by the window, at last", Space::Memory, COMMON + 0x14, 1);
}

/// The window pointed wherever it must not be, and what remains in its register.
pub fn astray(player: &mut Player<'_>) {
    place(player);
    let window = Window::of(player);
    for (bar, offset, length) in [
        (4, 0x14, 0),
        (4, 0x14, 3),
        (4, 0x14, 8),
        (4, 0x15, 2),
        (4, 0x16, 4),
        (4, NOTIFY + 0x1000, 4),
        (4, 0xffff_fffc, 4),
        (0, 0x14, 1),
        (1, 0x14, 1),
        (6, 0x14, 1),
        (0xff, 0x14, 1),
    ] {
        reach(player, State::Acknowledge);
        // What a load that reaches nothing is to find.
        window.point(player, 4, 0, 0);
        window.store(player, 4, 0x1122_3344);
        window.point(player, bar, offset, length);
        let name = format!("bar {bar} +{offset:x}:{length}");
        window.load(player, name.clone(), 4);
        window.store(player, 4, 0x0000_0003);
        player.load(format!("{name} <- 3: status"), Space::Memory, COMMON + 0x14, 1);
    }
    let at = window.at;
    for (field, offset) in [("bar", 4), ("offset", 8), ("length", 12)] {
        config_store(player, BLOCK_DEVFN, at + offset, 4, 0xffff_ffff);
        let value = config(player, BLOCK_DEVFN, at + offset, 4);
        player.note(format!("cap.{field} <- ffffffff"), value);
        config_store(player, BLOCK_DEVFN, at + offset, 4, 0);
    }
}
