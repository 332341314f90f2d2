//! The guest's drivers against the emulated devices, without KVM: exact transcripts.
//!
//! The files in `tests/expected` were written by hand, from VIRTIO 1.4 and PCI 3.0,
//! before the code that they judge.

use eclipse_devices::Preset;
use eclipse_devices::disk::{MemoryDisk, default_image};
use eclipse_kernel::scenario;
use eclipse_tests::{Loopback, slice};
use eclipse_trace::Entry;
use expect_test::expect_file;

fn run(cmdline: &str) -> Vec<Entry> {
    let machine = Loopback::new(Preset::Modern, MemoryDisk::new(default_image()));
    let result = scenario::run(&machine, cmdline);
    assert_eq!(result, Ok(()), "{}", machine.console());
    assert_eq!(machine.dma_allocated(), 0, "DMA memory that the scenario did not give back");
    machine.entries()
}

#[test]
fn discovery_reads_each_function_once_and_absent_ones_no_further_than_the_vendor() {
    let entries = run("scenario=pci");
    expect_file!["../expected/pci_discovery.txt"].assert_eq(&slice::transcript(&entries, &entries));
}

#[test]
fn initialisation_goes_through_the_steps_of_3_1_1_and_ends_with_a_real_read() {
    let entries = run("scenario=init");
    let part = slice::between(
        &entries,
        "[VirtIO] Initializing VirtIO devices...",
        "[VirtIO] Real PCI device initialized successfully",
    );
    expect_file!["../expected/virtio_initialisation.txt"]
        .assert_eq(&slice::transcript(part, &entries));
}

#[test]
fn a_read_of_one_sector_is_one_notification_one_request_and_one_interrupt() {
    let entries = run("scenario=read sector=3");
    let part = slice::after(&entries, "[VirtIO] Real PCI device initialized successfully");
    expect_file!["../expected/read_one_sector.txt"].assert_eq(&slice::transcript(part, &entries));
}

#[test]
fn a_write_is_on_the_disk_only_after_its_flush_which_carries_no_data() {
    let entries = run("scenario=write sector=300");
    let part = slice::after(&entries, "[VirtIO] Real PCI device initialized successfully");
    expect_file!["../expected/write_and_flush.txt"].assert_eq(&slice::transcript(part, &entries));
}
