use crate::register::CommonCfg;
use crate::rules::testing::{BLOCK, Transcript};
use crate::{DescriptorFlags, Event, Register, Ring, Table};

/// A driver of a packed queue of 4, with NOTIFICATION_DATA.
fn driver() -> Transcript {
    let mut driver = Transcript::new();
    driver.negotiate([0, 5 | 1 << 6], [0, 5 | 1 << 6]);
    driver.enable(0, 4);
    driver.status(&[0x0f]);
    driver
}

#[test]
fn the_areas_of_a_packed_queue_are_aligned() {
    driver().keeps("D2.8.11-a", 1);
    driver().keeps("D2.7.1-a", 0);
    let mut crooked = driver();
    crooked.common(CommonCfg::QueueDriverLow, 0x11002);
    crooked.common(CommonCfg::QueueEnable, 1);
    crooked.breaks("D2.8.11-a", &["0x11002"]);
}

/// The driver names `next`, and the device takes `count` chains from `first` on.
fn notify(driver: &mut Transcript, next: u16, first: u16, count: u16) {
    let value = u64::from(next) << 16;
    driver.store(Register::Notify { function: BLOCK, queue: 0 }, 4, value);
    for index in first..first + count {
        let (index, flags, table) = (index % 4, DescriptorFlags(0x80), Table::Queue);
        let (addr, len, id) = (0x2000, 16, 0);
        driver.device(Event::PackedDescriptor { queue: 0, table, index, addr, len, id, flags });
    }
    driver.ring(Ring::DescriptorFlags((first + count) % 4), 0);
}

#[test]
fn a_notification_names_the_slot_of_the_next_list() {
    const WRAP: u16 = 1 << 15;
    let mut driver = driver();
    notify(&mut driver, 3 | WRAP, 0, 3);
    notify(&mut driver, 1, 3, 2);
    notify(&mut driver, 1, 1, 0);
    driver.keeps("D2.8.16-c", 3);
    notify(&mut driver, 1, 1, 1);
    driver.breaks("D2.8.16-c", &["slot 1, wrap 0"]);
}

#[test]
fn a_reset_begins_anew() {
    let mut driver = driver();
    notify(&mut driver, 3 | 1 << 15, 0, 3);
    driver.negotiate([0, 5 | 1 << 6], [0, 5 | 1 << 6]);
    driver.enable(0, 4);
    notify(&mut driver, 1 | 1 << 15, 0, 1);
    driver.keeps("D2.8.16-c", 2);
}
