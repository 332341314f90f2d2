//! Every scenario of the drivers, on every machine, in loopback and on KVM: one transcript.
//!
//! Memory is named by what lies there, because a process and a kernel allocate at different
//! places. All else is compared: each access, each request, each interrupt and each line of
//! the log, in their order, and how the scenario ended.

use eclipse_devices::{PlatformConfig, Preset};
use eclipse_kernel::scenario::{self, SCENARIOS};
use eclipse_tests::matrix::{self, Case};
use eclipse_tests::{Loopback, kvm, slice};
use eclipse_vmm::Outcome;

/// What the drivers did in loopback, and how that ended.
fn in_loopback(cmdline: &str, devices: PlatformConfig) -> (String, Outcome) {
    let machine = Loopback::with(devices);
    let result = scenario::run(&machine, cmdline);
    assert_eq!(machine.dma_allocated(), 0, "{cmdline}: DMA memory that was not given back");
    let (error, value) = match result {
        Ok(()) => (String::new(), 0x10),
        Err(error) => (format!("guest   console [ERROR] {error}\n"), 0x11),
    };
    let end = format!("{error}guest   debug_exit <- {value:02x}\n");
    (machine.transcript_from(0) + &end, Outcome::of_exit(value))
}

/// What they did in the image on KVM, from where the library begins.
fn on_kvm(cmdline: &str, devices: PlatformConfig) -> (String, Outcome) {
    let run = kvm::boot_with(cmdline, devices);
    let entries = run.recorder.entries();
    let stages = slice::position(entries, "[SRV] Servers registered: block, file");
    (slice::transcript(&entries[stages + 1..], entries), run.outcome)
}

/// Asserts that both do the same; answers with what they do.
fn same(cmdline: &str, devices: &dyn Fn() -> PlatformConfig) -> (String, Outcome) {
    let (expected, found) = (in_loopback(cmdline, devices()), on_kvm(cmdline, devices()));
    let both = || expected.0.lines().zip(found.0.lines());
    let same = both().take_while(|(expected, found)| expected == found).count();
    let show = |text: &str| {
        let lines = text.lines().skip(same.saturating_sub(5)).take(12);
        lines.map(|line| format!("  {line}\n")).collect::<String>()
    };
    assert!(
        expected == found,
        "{cmdline}: line {} differs; in loopback\n{}but on KVM\n{}",
        same + 1,
        show(&expected.0),
        show(&found.0),
    );
    found
}

/// Asserts of each command line that both do the same, and that what fails is what has to.
fn all(cases: impl IntoIterator<Item = Case>) {
    for Case { name, cmdlines, devices, fails } in cases {
        let mut failed = Vec::new();
        for cmdline in cmdlines {
            let (transcript, outcome) = same(cmdline, &devices);
            assert!(!transcript.contains("violation"), "{name}, {cmdline}:\n{transcript}");
            if outcome != Outcome::Success {
                let error =
                    transcript.lines().filter_map(|line| line.split_once("[ERROR] ")).next_back();
                failed.push((cmdline, error.unwrap_or_default().1.to_string()));
            }
        }
        let failed: Vec<_> =
            failed.iter().map(|(cmdline, error)| (*cmdline, error.as_str())).collect();
        assert_eq!(failed, fails, "{name}");
    }
}

#[test]
fn every_scenario_that_drives_devices_is_a_row() {
    let rows: Vec<_> = matrix::ROWS.iter().map(|row| row.split(['=', ' ']).nth(1)).collect();
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.devices) {
        // Ring 3 is the image's own: tests/kernel.rs.
        let known = scenario.name == "user" || rows.contains(&Some(scenario.name));
        assert!(known, "{} has no row", scenario.name);
    }
}

#[test]
fn the_modern_preset() {
    all([matrix::preset(Preset::Modern)]);
}

#[test]
fn the_transitional_preset() {
    all([matrix::preset(Preset::Transitional)]);
}

#[test]
fn the_legacy_preset() {
    all([matrix::preset(Preset::Legacy)]);
}

#[test]
fn the_packed_preset() {
    all([matrix::preset(Preset::Packed)]);
}

#[test]
fn the_bridge_preset() {
    all([matrix::preset(Preset::Bridge)]);
}

#[test]
fn devices_that_offer_every_feature() {
    all(matrix::every_feature());
}

#[test]
fn a_device_of_several_queues() {
    all([matrix::several_queues()]);
}

#[test]
fn two_devices_share_an_interrupt_line() {
    let two = matrix::two_devices();
    let (transcript, outcome) = same("scenario=devices interrupts=intx", &two.devices);
    all([two]);
    assert_eq!(outcome, Outcome::Success);
    let last = |function, change| {
        let event = format!("{function} inta {change}, gsi 10\n");
        transcript.rfind(&event).unwrap_or_else(|| panic!("no {event}{transcript}"))
    };
    let (first, second) = ("00:04.0", "00:08.0");
    // Both hold the line; when one lets it go, the other's interrupt is still to come.
    assert!(last(first, "asserted") < last(second, "asserted"), "{transcript}");
    assert!(last(second, "asserted") < last(first, "deasserted"), "{transcript}");
    assert!(last(first, "deasserted") < last(second, "deasserted"), "{transcript}");
}

#[test]
fn a_device_on_the_root_bus_and_one_behind_the_bridge() {
    all([matrix::two_buses()]);
}

#[test]
fn machines_whose_bars_are_unassigned() {
    all(matrix::unassigned());
}

#[test]
fn machines_that_a_loader_has_used() {
    all(matrix::warm());
}

#[test]
fn requests_that_complete_late_or_out_of_order() {
    all(matrix::late_completions());
}

#[test]
fn a_disk_on_the_ide_controller_beside_the_block_device() {
    all([matrix::ide()]);
}

#[test]
fn the_ladder_ends_at_the_ata_disk() {
    all([matrix::ata_alone()]);
}

#[test]
fn the_ladder_ends_at_a_simulated_disk() {
    all([matrix::no_disk()]);
}
