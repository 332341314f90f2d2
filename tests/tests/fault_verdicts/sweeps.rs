//! A device that goes at any access, and a wrong bit in any load.

use eclipse_devices::Preset;
use eclipse_devices::fault::by_name;
use eclipse_trace::{Access, Entry, Event};

use crate::PRESETS;
use eclipse_tests::life::{Verdict, live, machine, stands};

/// Runs the driver's life with the fault that `name` makes of each number.
fn sweep(preset: Preset, numbers: impl Iterator<Item = usize>, name: fn(usize) -> String) {
    for number in numbers {
        let name = name(number);
        let schedule = by_name(&name).unwrap_or_else(|error| panic!("{error}"));
        let machine = machine(preset, &schedule).expect("it can strike on every machine");
        assert_ne!(stands(&name, preset, &machine), Verdict::Corrupt, "{name}, {preset}");
    }
}

/// How many accesses the driver makes where nothing is wrong, and how many of them are loads of
/// the device's own registers.
fn accesses(preset: Preset) -> (usize, usize) {
    let machine = machine(preset, &[]).expect("nothing can be wrong with it");
    assert_eq!(live(&machine), Verdict::Ok);
    let load = |entry: &&Entry| match &entry.event {
        Event::Register { register, access: Access::Load { .. } } => {
            register.function() == Some(preset.block_device())
        }
        _ => false,
    };
    let loads = machine.entries().iter().filter(load).count();
    (machine.summary().accesses() as usize, loads)
}

/// Bits of the widest register.
const BITS: usize = 32;

/// One wrong bit in one load, numbered load by load.
fn wrong_bit(number: usize) -> String {
    format!("F112:load={},bit={}", 1 + (number - 1) / BITS, (number - 1) % BITS)
}

#[test]
fn a_device_that_goes_at_any_access_is_given_up() {
    for preset in [Preset::Modern, Preset::Legacy] {
        let exits = (1..=accesses(preset).0).step_by(3);
        sweep(preset, exits, |exit| format!("F111:exit={exit}"));
    }
}

#[test]
fn a_wrong_bit_in_a_load_is_survived() {
    for preset in [Preset::Modern, Preset::Legacy] {
        // Prime to the bits, so that each has its turn.
        let bits = (1..=accesses(preset).1 * BITS).step_by(19);
        sweep(preset, bits, wrong_bit);
    }
}

#[test]
#[ignore = "every access, and every bit of every load"]
fn a_device_that_goes_and_a_wrong_bit_are_survived_anywhere() {
    for preset in PRESETS {
        let (accesses, loads) = accesses(preset);
        sweep(preset, 1..=accesses, |exit| format!("F111:exit={exit}"));
        sweep(preset, 1..=loads * BITS, wrong_bit);
        println!("{preset}: {accesses} accesses, {loads} loads, {} bits", loads * BITS);
    }
}
