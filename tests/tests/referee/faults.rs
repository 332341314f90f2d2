//! Devices that are wrong: the driver is right even then.

use std::sync::LazyLock;

use eclipse_devices::Preset;
use eclipse_devices::fault::catalogue::{Build, by_name, rows};
use eclipse_devices::fault::{Action, Area, Fault, Place, Trigger};
use eclipse_tests::life::{self, OTHER_NUMBERS, Verdict};
use eclipse_tests::{Loopback, matrix};
use eclipse_trace::Recorder;
use eclipse_trace::rules::{End, Level};

use crate::bench::Bench;

/// Numbers that the other tests have no use for: a device configuration that is longer than any,
/// a structure in a reserved BAR, and data of a vendor.
const MORE: [&str; 3] = ["F13:cap=4,length=0x1000000", "F08:type=1,bar=6", "F08:type=9"];

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
            if let Some(machine) = life::machine(preset, &at(&schedule, preset)) {
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
    for preset in Preset::ALL.iter().copied().filter(|preset| *preset != Preset::Packed) {
        let machine = life::machine(preset, &at(&[littered()], preset)).expect("it can strike");
        live(&mut bench, format!("avail_event is written, {preset}"), machine);
    }
    bench
}

/// The same faults of the preset's block device.
fn at(schedule: &[Fault], preset: Preset) -> Vec<Fault> {
    let of = |fault: &Fault| match fault.device {
        Fault::BLOCK_DEVICE => fault.clone().of(preset.block_device()),
        _ => fault.clone(),
    };
    schedule.iter().map(of).collect()
}

/// The device writes where `avail_event` is, which nobody negotiated, after each request.
fn littered() -> Fault {
    const QUEUE_SIZE: u64 = 256;
    let at = Place::Area(Area::Used, 4 + 8 * QUEUE_SIZE);
    let write = Action::Memory { at, bytes: vec![0x55, 0x55] };
    Fault::new(Trigger::Completion(None), write).from_now_on()
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
