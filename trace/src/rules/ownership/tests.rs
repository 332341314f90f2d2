use crate::register::CommonCfg;
use crate::rules::testing::{BLOCK, Transcript};
use crate::{Access, Bdf, Effect, Event, Place, Register, Ring, Snapshot, Table};

/// A device that has a chain of one buffer, at 0x30000.
fn busy() -> Transcript {
    let mut device = Transcript::driven(0);
    device.notify(0);
    device.ring(Ring::AvailIdx, 1);
    device.ring(Ring::AvailRing(0), 0);
    device.desc(0, 0x30000, 0x1000, 0, 0);
    device
}

fn altered(device: &mut Transcript) {
    let found = Snapshot::Altered { head: 0, table: Table::Queue, index: 0 };
    device.device(Event::Snapshot { queue: 0, found });
}

#[test]
fn what_the_device_finds_altered_was_the_drivers_doing() {
    let mut device = busy();
    altered(&mut device);
    device.breaks("D3.3.1-a", &["desc[0] of request 0 was altered"]);
}

#[test]
fn a_device_that_looks_and_finds_nothing_is_a_witness() {
    let mut device = busy();
    device.used(0, 0);
    device.keeps("D3.3.1-a", 0);
    let found = Snapshot::Status { head: 0, value: 0xff };
    device.device(Event::Snapshot { queue: 0, found });
    device.used(1, 0);
    device.keeps("D3.3.1-a", 1);
}

#[test]
fn what_a_fault_altered_is_not_the_drivers_doing() {
    let mut device = busy();
    device.fault(Effect::Memory { addr: 0x10000, len: 8, value: Some(0) });
    altered(&mut device);
    device.keeps("D3.3.1-a", 0);
}

#[test]
fn a_table_that_the_device_has_is_not_stored_to() {
    let mut device = busy();
    let place = Place::Indirect { function: BLOCK, queue: 0, index: 3, offset: 8 };
    for access in [Access::Load { width: 4, value: 0 }, Access::Store { width: 4, value: 0 }] {
        device.guest(Event::Ram { place, addr: 0x30008, access });
    }
    device.breaks("D3.3.1-a", &["one to the table of desc[3]"]);
}

/// The driver says that it uses a page for something else.
fn release(driver: &mut Transcript, frame: u64) {
    driver.store(Register::DebugMark, 4, 1 << 28 | frame);
}

#[test]
fn a_page_is_released_when_no_device_has_it() {
    let mut driver = busy();
    release(&mut driver, 0x50);
    driver.keeps("D3.3.1-b", 1);
    release(&mut driver, 0x30);
    driver.breaks("D3.3.1-b", &["page 0x30000 of 00:04.0, which is in use"]);
    driver.used(0, 0);
    release(&mut driver, 0x30);
    assert_eq!(driver.judged("D3.3.1-b").0, 2);
}

#[test]
fn the_pages_of_a_queue_are_its_devices() {
    for frame in [0x10, 0x11, 0x12] {
        let mut driver = Transcript::driven(0);
        release(&mut driver, frame);
        let seen = format!("page {:#x} of 00:04.0, which is in use", frame << 12);
        driver.breaks("D3.3.1-b", &[&seen]);
    }
}

#[test]
fn a_reset_is_over_when_the_status_reads_0() {
    let mut driver = busy();
    driver.status(&[0]);
    release(&mut driver, 0x30);
    driver.breaks("D3.3.1-b", &["page 0x30000 before 00:04.0 says that it is reset"]);
    driver.common_load(CommonCfg::DeviceStatus, 0);
    release(&mut driver, 0x30);
    release(&mut driver, 0x10);
    assert_eq!(driver.judged("D3.3.1-b").0, 2);
}

#[test]
fn a_page_of_another_device_is_none_of_one_that_resets() {
    let mut driver = busy();
    driver.status(&[0]);
    release(&mut driver, 0x50);
    driver.keeps("D3.3.1-b", 1);
}

#[test]
fn two_devices_reset_at_the_same_time() {
    let mut driver = busy();
    let function = Bdf::new(0, 5, 0);
    let status = Register::Common { function, register: CommonCfg::DeviceStatus };
    driver.load(status, 1, 0x0f);
    driver.store(status, 1, 0);
    driver.status(&[0]);
    release(&mut driver, 0x30);
    driver.breaks("D3.3.1-b", &["page 0x30000 before 00:04.0 says that it is reset"]);
}
