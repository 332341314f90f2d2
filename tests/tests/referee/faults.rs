//! Devices that are wrong: the driver is right even then.

use std::sync::LazyLock;

use eclipse_devices::Preset;
use eclipse_devices::fault::catalogue::{Build, by_name, rows};
use eclipse_tests::life::{self, OTHER_NUMBERS, Verdict};
use eclipse_tests::{Loopback, matrix};
use eclipse_trace::Recorder;
use eclipse_trace::rules::{End, Level};

use crate::bench::Bench;

/// Numbers that the other tests have no use for: a device configuration that is longer than any.
const MORE: [&str; 1] = ["F13:cap=4,length=0x1000000"];

pub static WITH_FAULTS: LazyLock<Bench> = LazyLock::new(with_faults);

/// Every fault of the catalogue that is a schedule, on every machine where it can strike.
///
/// What the driver does to memory is not watched: a device that is wrong is wrong about memory,
/// too, and who then owns what is nobody's word.
fn with_faults() -> Bench {
    let mut bench = Bench::default();
    let rows = rows().filter(|row| matches!(row.build, Build::Schedule(_))).map(|row| row.id);
    for name in rows.chain(OTHER_NUMBERS).chain(MORE) {
        let schedule = by_name(name).unwrap_or_else(|error| panic!("{error}"));
        for preset in Preset::ALL.iter().copied() {
            if let Some(machine) = life::machine(preset, &schedule) {
                live(&mut bench, format!("{name}, {preset}"), machine);
            }
        }
        for preset in [Preset::Modern, Preset::Packed] {
            let devices = || matrix::offering_all(life::config(preset));
            if let Some(machine) = life::on(devices, &schedule) {
                live(&mut bench, format!("{name}, {preset} with every feature"), machine);
            }
        }
    }
    bench
}

/// Judges the driver's whole life on a machine.
fn live(bench: &mut Bench, run: String, machine: Loopback) {
    let machine = machine.marking().recorded_by(Recorder::new().witness());
    let end = match life::live(&machine) {
        Verdict::Refused => End::Failure,
        _ => End::Success,
    };
    bench.judge(&run, &machine.entries(), end, Level::Must);
}

#[test]
fn no_must_is_broken_whatever_the_device_does() {
    WITH_FAULTS.assert_clean();
}
