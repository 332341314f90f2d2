//! Devices that are wrong: the driver is right even then.

use std::sync::LazyLock;

use eclipse_devices::Preset;
use eclipse_devices::fault::catalogue::{Build, by_name, rows};
use eclipse_tests::life::{self, OTHER_NUMBERS, Verdict};
use eclipse_trace::Recorder;
use eclipse_trace::rules::{End, Level};

use crate::bench::Bench;

pub static WITH_FAULTS: LazyLock<Bench> = LazyLock::new(with_faults);

/// Every fault of the catalogue that is a schedule, on every machine where it can strike.
///
/// What the driver does to memory is not watched: a device that is wrong is wrong about memory,
/// too, and who then owns what is nobody's word.
fn with_faults() -> Bench {
    let mut bench = Bench::default();
    let rows = rows().filter(|row| matches!(row.build, Build::Schedule(_))).map(|row| row.id);
    for name in rows.chain(OTHER_NUMBERS) {
        for preset in Preset::ALL {
            let schedule = by_name(name).unwrap_or_else(|error| panic!("{error}"));
            let Some(machine) = life::machine(*preset, &schedule) else { continue };
            let machine = machine.recorded_by(Recorder::new().witness());
            let end = match life::live(&machine) {
                Verdict::Refused => End::Failure,
                _ => End::Success,
            };
            let run = format!("{name}, {preset}");
            bench.judge(&run, &machine.entries(), end, Level::Must);
        }
    }
    bench
}

#[test]
fn no_must_is_broken_whatever_the_device_does() {
    WITH_FAULTS.assert_clean();
}
