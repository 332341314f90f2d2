//! The window from configuration space into the BARs (VIRTIO 1.4, 4.1.4.9): what it is
//! pointed at answers as it does directly, in every state, and wherever it must not be
//! pointed nothing happens.

use crate::SETUPS;
use crate::rig::{Rig, State};
use crate::structure::{Access, Structure};

/// The capability of the window, behind MSI-X and the four structures.
const WINDOW: u8 = 0x90;

/// The structures in BAR 4, and where each begins.
const REACHED: [(Structure, u64); 4] = [
    (Structure::Common, 0x0000),
    (Structure::Isr, 0x1000),
    (Structure::Block, 0x2000),
    (Structure::Notify, 0x3000),
];

/// Points the window at `length` bytes at `offset` of `bar`.
fn point(rig: &Rig, bar: u8, offset: u64, length: u64) {
    rig.bare.config_store(WINDOW + 4, 1, bar.into());
    rig.bare.config_store(WINDOW + 8, 4, offset);
    rig.bare.config_store(WINDOW + 12, 4, length);
}

/// Makes `access` through the window, with what it comes to by the model: the lines of
/// the access itself, after the selection of the register that leads to it.
fn access(rig: &mut Rig, base: u64, access: Access) -> bool {
    point(rig, 4, base + access.offset, access.width.into());
    let from = rig.bare.machine.recorded();
    let data = WINDOW + 16;
    let answer = match access.store {
        None => rig.bare.config_load(data, access.width),
        Some(value) => {
            rig.bare.config_store(data, access.width, value);
            0
        }
    };
    let expected = rig.model.access(access);
    assert_eq!(answer, expected.answer * u64::from(access.store.is_none()), "{access:x?}");
    let digits = 2 * usize::from(access.width);
    let (mut lines, settled) = match expected.lines.split_last() {
        Some((last, lines)) if last.contains("inta") => (lines.to_vec(), Some(last.clone())),
        _ => (expected.lines.clone(), None),
    };
    let name = "guest   00:04.0 config virtio_pci_cfg.pci_cfg_data";
    match access.store {
        None => lines.push(format!("{name} -> {answer:0digits$x}")),
        Some(value) => lines.insert(0, format!("{name} <- {value:0digits$x}")),
    }
    lines.extend(settled);
    // Past the store to CONFIG_ADDRESS.
    rig.compare(from + 1, &lines, access);
    expected.accepted
}

#[test]
fn through_the_window_every_access_is_what_it_is_directly() {
    for setup in SETUPS {
        for state in State::ALL {
            for (structure, base) in REACHED {
                let mut rig = Rig::modern(setup, state);
                for offset in structure.offsets() {
                    for width in [1, 2, 4].into_iter().filter(|w| offset % u64::from(*w) == 0) {
                        access(&mut rig, base, Access { structure, offset, width, store: None });
                        let store = structure.values(offset, width).last().copied();
                        if access(&mut rig, base, Access { structure, offset, width, store }) {
                            rig.check_registers();
                            rig = Rig::modern(setup, state);
                        }
                    }
                }
                rig.check_registers();
            }
        }
    }
}

#[test]
fn a_window_that_must_not_be_used_so_reaches_nothing_in_any_state() {
    for state in State::ALL {
        let mut rig = Rig::modern(SETUPS[0], state);
        for (bar, offset, length) in [
            // No BAR of the structures, or none at all.
            (0, 0, 4),
            (1, 0, 4),
            (5, 0, 4),
            (6, 0, 4),
            (0xff, 0, 4),
            // Neither 1, 2 nor 4 bytes, or not aligned to as many.
            (4, 0, 0),
            (4, 0, 3),
            (4, 0, 8),
            (4, 0x15, 2),
            (4, 0x16, 4),
            // Behind the structures.
            (4, 0x4000, 4),
            (4, 0xffff_fffc, 4),
        ] {
            point(&rig, bar, offset, length);
            let rule = "00:04.0 violation of VIRTIO 1.4, 4.1.4.9.2: ".to_string();
            let line = "guest   00:04.0 config virtio_pci_cfg.pci_cfg_data";
            let from = rig.bare.machine.recorded();
            rig.bare.config_store(WINDOW + 16, 4, 0x1234_5678);
            rig.compare(from + 1, &[format!("{line} <- 12345678"), rule.clone()], length);
            let from = rig.bare.machine.recorded();
            assert_eq!(rig.bare.config_load(WINDOW + 16, 4), 0x1234_5678, "it is only memory");
            rig.compare(from + 1, &[rule, format!("{line} -> 12345678")], length);
        }
        rig.check_registers();
    }
}
