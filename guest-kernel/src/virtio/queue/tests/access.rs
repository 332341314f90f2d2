//! What is loaded and stored, in which order, and what happens in between.

use std::{cell::RefCell, rc::Rc};

use super::{Areas, Device, READ, Settings, Used, WRITE};
use crate::hal::DmaAccess;

const SPLIT: Settings =
    Settings { size: 4, packed: false, event_idx: false, indirect: false, legacy: false };
const PACKED: Settings = Settings { packed: true, ..SPLIT };
const FEATURES: Settings = Settings { event_idx: true, indirect: true, ..SPLIT };

impl Device {
    /// The accesses that `act` makes: load or store, in which part, where there, how wide.
    fn accesses(&mut self, act: impl FnOnce(&mut Self)) -> Vec<String> {
        let order = self.order(act).into_iter();
        order.filter(|line| !line.starts_with("fence")).collect()
    }

    /// The same, with what keeps them in order.
    pub(super) fn order(&mut self, act: impl FnOnce(&mut Self)) -> Vec<String> {
        let (areas, log) = (self.areas(), Rc::new(RefCell::new(vec![])));
        let noted = Rc::clone(&log);
        self.hal.machine().on_dma =
            Some(Box::new(move |_, DmaAccess { store, address, width }| {
                let what = if store { "store" } else { "load" };
                let (part, offset) = place(areas, address);
                noted.borrow_mut().push(format!("{what} {part}+{offset:x}/{width}"));
            }));
        let noted = Rc::clone(&log);
        self.hal.machine().on_fence = Some(Box::new(move |ordering| {
            noted.borrow_mut().push(format!("fence {ordering:?}"));
        }));
        act(self);
        self.hal.machine().on_dma = None;
        self.hal.machine().on_fence = None;
        log.take()
    }
}

fn place(areas: Areas, address: u64) -> (&'static str, u64) {
    let parts = [(areas.device, "device"), (areas.driver, "driver"), (areas.desc, "desc")];
    let table = (areas.desc & !0xfff) + 0x1000;
    if address >= table {
        return ("table", address - table);
    }
    let (start, part) = parts.into_iter().find(|(start, _)| address >= *start).unwrap();
    (part, address - start)
}

#[test]
fn a_split_queue_stores_the_descriptors_then_the_entry_then_the_index() {
    let mut device = Device::new(SPLIT);
    let accesses = device.accesses(|device| {
        device.queue.submit(&[READ, WRITE]).unwrap();
    });
    let expected = [
        "store desc+0/8",
        "store desc+8/4",
        "store desc+c/2",
        "store desc+e/2",
        "store desc+10/8",
        "store desc+18/4",
        "store desc+1c/2",
        "store desc+1e/2",
        "store driver+4/2",
        "store driver+2/2",
    ];
    assert_eq!(accesses, expected);
}

#[cfg(feature = "mutants")]
#[test]
fn the_mutant_without_a_fence_is_seen_to_have_none() {
    let fences = |mutant| {
        let mut device = Device::new(SPLIT);
        device.hal.machine().mutant = mutant;
        let order = device.order(|device| {
            device.queue.submit(&[READ, WRITE]).unwrap();
        });
        order.into_iter().filter(|line| line.starts_with("fence")).collect::<Vec<_>>()
    };
    assert_eq!(fences(None), ["fence Release"]);
    assert!(fences(Some(crate::mutant::Mutant::M90)).is_empty());
}

#[test]
fn a_table_is_stored_before_the_descriptor_that_names_it() {
    for (settings, last) in [
        (FEATURES, &["store driver+4/2", "store driver+2/2"][..]),
        (Settings { packed: true, ..FEATURES }, &[]),
    ] {
        let mut device = Device::new(settings);
        let accesses = device.accesses(|device| {
            device.queue.submit(&[READ, WRITE]).unwrap();
        });
        let mut expected = vec![
            "store table+0/8",
            "store table+8/4",
            "store table+c/2",
            "store table+e/2",
            "store table+10/8",
            "store table+18/4",
            "store table+1c/2",
            "store table+1e/2",
            "store desc+0/8",
            "store desc+8/4",
            "store desc+c/2",
            "store desc+e/2",
        ];
        expected.extend(last);
        assert_eq!(accesses, expected);
    }
}

#[test]
fn a_packed_queue_stores_the_flags_of_the_first_descriptor_last() {
    let mut device = Device::new(PACKED);
    let accesses = device.accesses(|device| {
        device.queue.submit(&[READ, WRITE]).unwrap();
    });
    let expected = [
        "store desc+0/8",
        "store desc+8/4",
        "store desc+c/2",
        "store desc+10/8",
        "store desc+18/4",
        "store desc+1c/2",
        "store desc+1e/2",
        "store desc+e/2",
    ];
    assert_eq!(accesses, expected);
}

#[test]
fn what_the_device_wrote_is_loaded_once_and_what_the_driver_wrote_never() {
    let mut device = Device::new(SPLIT);
    device.queue.submit(&[READ, WRITE]).unwrap();
    device.use_element(0, 1);
    let accesses = device.accesses(|device| {
        device.queue.should_notify();
        device.queue.should_notify();
        device.queue.pop_used().unwrap();
        device.queue.release(0);
        device.queue.pop_used().unwrap();
    });
    let expected = [
        "load device+0/2",
        "load device+2/2",
        "load device+4/4",
        "load device+8/4",
        "load device+2/2",
    ];
    assert_eq!(accesses, expected);
}

#[test]
fn a_packed_queue_loads_the_flags_first_and_each_field_once() {
    let mut device = Device::new(PACKED);
    device.queue.submit(&[READ, WRITE]).unwrap();
    let desc = device.areas().desc;
    device.set_u16(desc + 14, 0x8080);
    let accesses = device.accesses(|device| {
        device.queue.should_notify();
        device.queue.pop_used().unwrap();
        device.queue.release(0);
        device.queue.pop_used().unwrap();
    });
    let expected =
        ["load device+0/4", "load desc+e/2", "load desc+c/2", "load desc+8/4", "load desc+2e/2"];
    assert_eq!(accesses, expected);
}

#[test]
fn a_wish_for_interrupts_is_stored_where_first_then_that_and_then_the_device_is_looked_at() {
    let plain = ["store driver+0/2", "load device+2/2"];
    let used_event = ["store driver+c/2", "load device+2/2"];
    let flags = ["store driver+2/2", "load desc+e/2"];
    let slot = ["store driver+0/2", "store driver+2/2", "load desc+e/2"];
    for (settings, expected) in [
        (SPLIT, &plain[..]),
        (FEATURES, &used_event),
        (PACKED, &flags),
        (Settings { packed: true, ..FEATURES }, &slot),
    ] {
        let accesses = Device::new(settings).accesses(|device| {
            device.queue.set_interrupts(true);
        });
        assert_eq!(accesses, expected);
    }
}

#[test]
fn what_changes_after_its_load_changes_nothing() {
    let mut device = Device::new(SPLIT);
    device.queue.submit(&[READ]).unwrap();
    device.use_element(0, 513);
    // Whatever is loaded is wrecked by the next access.
    let (used, mut last) = (device.areas().device, None::<DmaAccess>);
    device.hal.machine().on_dma = Some(Box::new(move |machine, access| {
        if let Some(DmaAccess { address, width, .. }) = last.replace(access) {
            assert!(address >= used);
            machine.set_ram(address, &vec![0xee; width]);
        }
    }));
    assert_eq!(device.queue.pop_used(), Ok(Some(Used { id: 0, len: 513 })));
}

/// Lets the device use chain 0 right after the driver's next store to `address`.
fn use_after_store_to(device: &Device, settings: Settings, address: u64) {
    let areas = device.areas();
    device.hal.machine().on_dma = Some(Box::new(move |machine, access| {
        if access.store && access.address == address {
            if settings.packed {
                machine.set_ram(areas.desc + 14, &[0x80, 0x80]);
            } else {
                machine.set_ram(areas.device + 2, &[1, 0]);
            }
        }
    }));
}

#[test]
fn what_is_used_while_interrupts_are_asked_for_is_seen() {
    for (settings, offset) in [
        // avail.flags; used_event; `flags` of the event suppression structure, twice.
        (SPLIT, 0),
        (FEATURES, 12),
        (PACKED, 2),
        (Settings { packed: true, ..FEATURES }, 2),
    ] {
        let mut device = Device::new(settings);
        assert!(!device.queue.set_interrupts(false));
        device.queue.submit(&[READ]).unwrap();
        use_after_store_to(&device, settings, device.areas().driver + offset);
        assert!(device.queue.set_interrupts(true), "{settings:?}");
        device.hal.machine().on_dma = None;
        assert!(device.queue.pop_used().unwrap().is_some());
        assert_eq!(device.queue.pop_used(), Ok(None));
        assert!(!device.queue.set_interrupts(true), "{settings:?}");
    }
}

#[test]
fn what_is_used_while_the_next_interrupt_is_asked_for_is_taken() {
    let mut device = Device::new(FEATURES);
    device.queue.submit(&[READ]).unwrap();
    device.queue.submit(&[READ]).unwrap();
    device.use_element(0, 1);
    device.queue.pop_used().unwrap();
    let (used, used_event) = (device.areas().device, device.areas().driver + 12);
    device.hal.machine().on_dma = Some(Box::new(move |machine, access| {
        if access.store && access.address == used_event {
            machine.set_ram(used + 12, &[1, 0, 0, 0, 9, 0, 0, 0]);
            machine.set_ram(used + 2, &[2, 0]);
        }
    }));
    assert_eq!(device.queue.pop_used(), Ok(Some(Used { id: 1, len: 9 })));
}
