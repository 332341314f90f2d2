//! The devices that the mutants meet, and the driver as it is.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use eclipse_devices::Ram;
use eclipse_kernel::scenario;
use eclipse_tests::Loopback;
use eclipse_trace::Recorder;
use eclipse_trace::rules::{End, Level};
use eclipse_vmm::mutants::{self, Substrate};

use crate::bench::Bench;

pub static OF_MUTANTS: LazyLock<Bench> = LazyLock::new(of_mutants);

/// Each run of the table of mutants, without the mistake.
fn of_mutants() -> Bench {
    let mut bench = Bench::default();
    let mut seen = BTreeSet::new();
    for row in mutants::rows().into_iter().filter(|row| row.substrate == Substrate::Either) {
        let run = format!("{} with {}", row.scenario, row.stimulus());
        if !seen.insert(run.clone()) {
            continue;
        }
        let faults = mutants::faults(row.faults).expect("faults of the catalogue");
        let machine = Loopback::with_faults(row.devices.config(), faults, Ram::Direct)
            .marking()
            .recorded_by(Recorder::new().witness());
        machine.watch(mutants::watching(row.watch).expect("what can be watched"));
        let end = match scenario::run(&machine, row.scenario) {
            Ok(()) => End::Success,
            Err(_) => End::Failure,
        };
        // A SHOULD may be about what a wrong device made of it.
        let from = if row.faults.is_empty() { Level::Recipe } else { Level::Must };
        bench.judge(&run, &machine.entries(), end, from);
    }
    bench
}

#[test]
fn nothing_is_found_where_the_mutants_are() {
    OF_MUTANTS.assert_clean();
}
