//! The guest's drivers against the emulated devices, without KVM: exact transcripts.

use eclipse_devices::Preset;
use eclipse_devices::disk::{MemoryDisk, default_image};
use eclipse_kernel::scenario;
use eclipse_tests::Loopback;
use eclipse_tests::expected::{self, Expected};

fn check(expected: Expected) {
    let machine = Loopback::new(Preset::Modern, MemoryDisk::new(default_image()));
    let result = scenario::run(&machine, expected.cmdline);
    assert_eq!(result, Ok(()), "{}", machine.console());
    assert_eq!(machine.dma_allocated(), 0, "DMA memory that the scenario did not give back");
    expected.assert(&machine.entries());
}

#[test]
fn discovery_reads_each_function_once_and_absent_ones_no_further_than_the_vendor() {
    check(expected::pci_discovery());
}

#[test]
fn initialisation_goes_through_the_steps_of_3_1_1_and_ends_with_a_real_read() {
    check(expected::virtio_initialisation());
}

#[test]
fn a_read_of_one_sector_is_one_notification_one_request_and_one_interrupt() {
    check(expected::read_one_sector());
}

#[test]
fn a_write_is_one_request_and_its_flush_carries_no_data() {
    check(expected::write_and_flush());
}
