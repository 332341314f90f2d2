//! Our devices and QEMU's, by the same accesses: every answer is compared, and
//! where they are meant to differ the table in `differences.rs` says why.
//!
//! Behind the feature `qemu`, because cargo cannot install QEMU; `./check` does.

mod ata;
mod differences;
mod driver;
mod ecam;
mod legacy;
mod lenient;
mod packed;
mod pci;
mod registers;
mod requests;
mod window;

use std::io::Write;
use std::path::Path;

use eclipse_devices::Preset;
use eclipse_devices::disk::MemoryDisk;
use eclipse_tests::Loopback;
use eclipse_tests::parallel::{Difference, Player, compare};
use eclipse_tests::qtest::Qtest;

const SECTORS: u32 = 64;

/// Plays `script` on both virtio devices and compares the answers.
fn play(script: impl Fn(&mut Player<'_>), table: &[Difference]) {
    // Without an ioeventfd a doorbell is rung when its store returns.
    let start = |disk: &Path| Qtest::virtio_blk(disk, "disable-legacy=on,ioeventfd=off");
    let ours = Loopback::new(Preset::Modern, MemoryDisk::counting(SECTORS));
    play_on(&ours, start, script, table);
}

/// Plays `script` on `ours` and on what `start` starts with the same disk.
fn play_on(
    ours: &Loopback,
    start: impl Fn(&Path) -> Qtest,
    script: impl Fn(&mut Player<'_>),
    table: &[Difference],
) {
    let mut image = tempfile::NamedTempFile::new().expect("the host has room for a disk");
    let disk = MemoryDisk::counting(SECTORS);
    image.write_all(disk.bytes()).expect("the host has room for a disk");
    let qemu = start(image.path());
    let (mut ours, mut theirs) = (Player::new(ours), Player::new(&qemu));
    script(&mut ours);
    script(&mut theirs);
    compare(&ours.answers(), &theirs.answers(), table);
}

#[test]
fn bus_0_holds_the_same_functions() {
    play(pci::enumeration, differences::ENUMERATION);
}

#[test]
fn every_header_register_takes_the_same_bits() {
    play(pci::writable_bits, differences::WRITABLE_BITS);
}

#[test]
fn configuration_ports_answer_the_same_at_every_width_and_lane() {
    play(pci::mechanism, differences::MECHANISM);
}

#[test]
fn the_capabilities_and_bars_describe_the_same_structures() {
    play(pci::structures, differences::STRUCTURES);
}

#[test]
fn the_common_configuration_answers_the_same_in_every_state() {
    play(registers::common_in_every_state, differences::COMMON);
}

#[test]
fn the_common_configuration_answers_the_same_at_every_width() {
    play(registers::common_at_every_width, differences::WIDTHS);
}

#[test]
fn the_device_configuration_answers_the_same() {
    play(registers::block, differences::BLOCK);
}

#[test]
fn the_msix_table_answers_the_same() {
    play(registers::msix, differences::MSIX);
}

#[test]
fn requests_are_carried_out_the_same() {
    play(requests::good, differences::GOOD_REQUESTS);
}

#[test]
fn bad_requests_are_answered_the_same() {
    play(requests::bad, differences::BAD_REQUESTS);
}

#[test]
fn interrupts_are_raised_the_same() {
    play(requests::interrupts, differences::INTERRUPTS);
}

#[test]
fn a_reset_leaves_the_same_registers() {
    play(requests::reset, differences::RESET);
}

#[test]
fn the_ata_disk_answers_the_same() {
    let ours = Loopback::new(Preset::Modern, MemoryDisk::counting(1));
    ours.attach_ata(MemoryDisk::counting(SECTORS));
    play_on(&ours, Qtest::ide, ata::commands, differences::ATA);
}

/// Plays `script` on both legacy devices and compares the answers.
fn play_legacy(script: impl Fn(&mut Player<'_>), table: &[Difference]) {
    let start =
        |disk: &Path| Qtest::virtio_blk(disk, "disable-modern=on,disable-legacy=off,ioeventfd=off");
    let ours = Loopback::new(Preset::Legacy, MemoryDisk::counting(SECTORS));
    play_on(&ours, start, script, table);
}

#[test]
fn a_legacy_device_has_the_same_header() {
    play_legacy(legacy::header, differences::LEGACY_HEADER);
}

#[test]
fn legacy_registers_answer_the_same_in_every_state() {
    play_legacy(legacy::registers, differences::LEGACY_REGISTERS);
}

#[test]
fn legacy_requests_are_carried_out_the_same() {
    play_legacy(legacy::requests, differences::LEGACY_REQUESTS);
}

#[test]
fn the_window_reaches_the_same_registers() {
    play(window::registers, differences::WINDOW);
}

#[test]
fn a_window_astray_finds_the_same() {
    play(window::astray, differences::WINDOW_ASTRAY);
}

#[test]
fn the_enhanced_mechanism_answers_the_same() {
    let ours = Loopback::new(Preset::Modern, MemoryDisk::counting(SECTORS));
    play_on(&ours, Qtest::virtio_blk_on_q35, ecam::accesses, differences::ECAM);
}

/// Plays `script` on both devices with packed virtqueues and compares the answers.
fn play_packed(script: impl Fn(&mut Player<'_>), table: &[Difference]) {
    let properties = "disable-legacy=on,ioeventfd=off,packed=on";
    let start = |disk: &Path| Qtest::virtio_blk(disk, properties);
    let ours = Loopback::new(Preset::Packed, MemoryDisk::counting(SECTORS));
    play_on(&ours, start, script, table);
}

#[test]
fn packed_requests_are_carried_out_the_same() {
    play_packed(packed::good, differences::PACKED);
}

#[test]
fn bad_packed_requests_are_answered_the_same() {
    play_packed(packed::bad, differences::BAD_PACKED);
}

/// Plays `script` on QEMU's device and our lenient one, and compares the answers.
fn play_lenient(script: impl Fn(&mut Player<'_>), table: &[Difference]) -> Loopback {
    let start = |disk: &Path| Qtest::virtio_blk(disk, "disable-legacy=on,ioeventfd=off");
    let ours = lenient::device();
    play_on(&ours, start, script, table);
    ours
}

#[test]
fn the_lenient_profile_answers_other_widths_as_qemu_does_and_records_them() {
    let ours = play_lenient(lenient::widths, differences::LENIENT_WIDTHS);
    lenient::check_widths_recorded(&ours);
}

#[test]
fn the_lenient_profile_takes_doorbells_of_other_widths_as_qemu_does_and_records_them() {
    let ours = play_lenient(lenient::doorbells, differences::LENIENT_DOORBELLS);
    lenient::check_widths_recorded(&ours);
}

#[test]
fn the_lenient_profile_takes_steps_in_any_order_as_qemu_does_and_records_it() {
    let ours = play_lenient(lenient::order, differences::LENIENT_ORDER);
    let broken = ["VIRTIO 1.4, 2.1.1", "VIRTIO 1.4, 3.1.1", "VIRTIO 1.4, 4.1.4.3.2"];
    let clauses = lenient::broken_clauses(&ours);
    assert!(broken.iter().all(|clause| clauses.contains(clause)), "{clauses:?}");
}
