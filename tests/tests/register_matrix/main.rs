//! Every register of every structure, at every width and every offset, loaded and
//! stored to, in every state of the device: against a model that shares no code with it.
//!
//! Each access gets the value that the model has or all ones, is recorded as the model
//! says, and leaves every other register as it was.

mod config;
mod fields;
mod model;
mod rig;
mod structure;
mod window;

use model::Setup;
use rig::{Rig, State};
use structure::{Access, Structure};

const WIDTHS: [u8; 4] = [1, 2, 4, 8];

/// Without and with MSI-X enabled, and without and with RING_RESET, which has a register.
const SETUPS: [Setup; 2] =
    [Setup { msix: false, ring_reset: false }, Setup { msix: true, ring_reset: true }];

/// Every access to `offset` of `structure`; a machine in which a store took effect is
/// replaced, so that none depends on the ones before.
fn check_offset(rig: &mut Rig, new: &dyn Fn() -> Rig, structure: Structure, offset: u64) {
    for width in WIDTHS.into_iter().filter(|width| structure.decodes(offset, *width)) {
        rig.access(Access { structure, offset, width, store: None });
        for value in structure.values(offset, width) {
            if !rig.access(Access { structure, offset, width, store: Some(value) }) {
                // It is refused whatever the value.
                break;
            }
            rig.check_registers();
            *rig = new();
        }
    }
}

fn check(structure: Structure, states: &[State], reach: fn(Setup, State) -> Rig) {
    for setup in SETUPS {
        for &state in states {
            let new = || reach(setup, state);
            let mut rig = new();
            for offset in structure.offsets() {
                check_offset(&mut rig, &new, structure, offset);
            }
            rig.check_registers();
        }
    }
}

#[test]
fn the_common_configuration_is_the_models() {
    check(Structure::Common, &State::ALL, Rig::modern);
}

#[test]
fn the_isr_status_is_the_models() {
    check(Structure::Isr, &State::ALL, Rig::modern);
}

#[test]
fn the_doorbells_are_the_models() {
    check(Structure::Notify, &State::ALL, Rig::modern);
}

#[test]
fn the_device_configuration_is_the_models() {
    check(Structure::Block, &State::ALL, Rig::modern);
}

#[test]
fn the_msix_table_is_the_models() {
    check(Structure::MsixTable, &State::ALL, Rig::modern);
}

#[test]
fn the_pending_bits_are_the_models() {
    check(Structure::MsixPba, &State::ALL, Rig::modern);
}

#[test]
fn the_legacy_interface_is_the_models_for_its_own_driver() {
    check(Structure::Legacy, &State::LEGACY, Rig::legacy);
}

#[test]
fn the_legacy_interface_is_the_models_beside_a_modern_driver() {
    check(Structure::Legacy, &State::ALL, Rig::modern);
}

#[test]
fn the_common_configuration_is_the_models_beside_a_legacy_driver() {
    check(Structure::Common, &State::LEGACY, Rig::legacy);
}
