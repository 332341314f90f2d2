use super::{Device, Error, READ, Segment, Settings, Used, Virtqueue, WRITE, bytes};
use crate::fake::FakeHal;

const SETTINGS: Settings =
    Settings { size: 3, packed: true, event_idx: false, indirect: false, legacy: false };

/// Flags of a used descriptor, in a lap whose ring wrap counter is 1, and 0.
const USED: u16 = 0x8080;
const USED_0: u16 = 0x0000;

impl Device {
    /// A packed queue without features.
    fn packed(size: u16) -> Self {
        Self::new(Settings { size, ..SETTINGS })
    }

    /// Writes a used descriptor.
    pub(super) fn use_slot(&mut self, slot: u64, id: u16, len: u32, flags: u16) {
        let descriptor = self.areas().desc + 16 * slot;
        self.set(descriptor + 8, &len.to_le_bytes());
        self.set_u16(descriptor + 12, id);
        self.set_u16(descriptor + 14, flags);
    }
}

#[test]
fn the_parts_are_behind_each_other_and_aligned() {
    for (size, end) in [(1, 0x1000), (3, 0x1000), (255, 0x1000), (256, 0x2000)] {
        let device = Device::packed(size);
        let areas = device.areas();
        assert_eq!(areas.desc % 4096, 0);
        assert_eq!(areas.driver, areas.desc + 16 * u64::from(size));
        assert_eq!(areas.device, areas.driver + 4);
        assert_eq!(device.end(), areas.desc + end);
    }
}

#[test]
fn any_size_will_do() {
    for (offered, size) in [(1, 1), (3, 3), (24, 24), (256, 256), (257, 256), (65535, 256)] {
        assert_eq!(Device::packed(offered).queue.size(), size);
    }
    let none = Virtqueue::new(&FakeHal::new(), Settings { size: 0, ..SETTINGS });
    assert_eq!(none.err(), Some(Error::Size(0)));
}

#[test]
fn lists_are_written_as_the_specification_says_lap_after_lap() {
    let mut device = Device::packed(3);
    assert_eq!(device.queue.submit(&[READ, WRITE]), Ok(0));
    let first = "
        33 33 22 22 11 11 00 00  10 00 00 00  00 00  81 00
        66 66 55 55 44 44 00 00  01 00 00 00  00 00  82 00
        00 00 00 00 00 00 00 00  00 00 00 00  00 00  00 00
        00 00  00 00  00 00  00 00";
    assert_eq!(device.ram::<56>(device.areas().desc), bytes(first));
    device.use_slot(0, 0, 1, USED);
    assert_eq!(device.queue.pop_used(), Ok(Some(Used { id: 0, len: 1 })));
    device.queue.release(0);
    // The last slot of the first lap, and two of the second.
    assert_eq!(device.queue.submit(&[READ, READ, WRITE]), Ok(0));
    let second = "
        33 33 22 22 11 11 00 00  10 00 00 00  00 00  01 80
        66 66 55 55 44 44 00 00  01 00 00 00  00 00  02 80
        33 33 22 22 11 11 00 00  10 00 00 00  00 00  81 00
        00 00  00 00  00 00  00 00";
    assert_eq!(device.ram::<56>(device.areas().desc), bytes(second));
    device.use_slot(2, 0, 9, USED);
    assert_eq!(device.queue.pop_used(), Ok(Some(Used { id: 0, len: 9 })));
    device.queue.release(0);
    assert_eq!(device.queue.submit(&[WRITE]), Ok(0));
    // The third slot, in the second lap.
    let third = "66 66 55 55 44 44 00 00  01 00 00 00  00 00  02 80";
    assert_eq!(device.ram::<16>(device.areas().desc + 32), bytes(third));
    device.use_slot(2, 0, 3, USED_0);
    assert_eq!(device.queue.pop_used(), Ok(Some(Used { id: 0, len: 3 })));
    assert_eq!(device.queue.pop_used(), Ok(None));
}

#[test]
fn buffer_ids_are_not_slots() {
    let mut device = Device::packed(4);
    assert_eq!(device.queue.submit(&[READ, WRITE]), Ok(0));
    assert_eq!(device.queue.submit(&[WRITE]), Ok(1), "in slot 2");
    // The second comes back first, and its one slot is the first of the ring.
    device.use_slot(0, 1, 5, USED);
    assert_eq!(device.queue.pop_used(), Ok(Some(Used { id: 1, len: 5 })));
    assert_eq!(device.queue.pop_used(), Ok(None));
    device.queue.release(1);
    assert_eq!(device.queue.submit(&[READ]), Ok(1), "in slot 3");
    assert_eq!(device.queue.submit(&[READ]), Ok(2), "in slot 0 of the second lap");
    let slot = |slot: u64| device.ram::<16>(device.areas().desc + 16 * slot);
    assert_eq!(slot(3), bytes("33 33 22 22 11 11 00 00  10 00 00 00  01 00  80 00"));
    assert_eq!(slot(0), bytes("33 33 22 22 11 11 00 00  10 00 00 00  02 00  00 80"));
    // Two slots back, and the next used one is behind them.
    device.use_slot(1, 0, 6, USED);
    device.use_slot(3, 2, 7, USED);
    assert_eq!(device.queue.pop_used(), Ok(Some(Used { id: 0, len: 6 })));
    assert_eq!(device.queue.pop_used(), Ok(Some(Used { id: 2, len: 7 })));
    assert_eq!(device.queue.pop_used(), Ok(None));
    assert_eq!(device.queue.outstanding(), 1);
}

#[test]
fn a_list_that_virtio_forbids_or_that_does_not_fit_changes_nothing() {
    let mut device = Device::packed(3);
    let empty = Segment { len: 0, ..READ };
    let forbidden: [&[Segment]; 4] = [&[], &[WRITE, READ], &[READ; 4], &[empty]];
    for list in forbidden {
        assert_eq!(device.queue.submit(list), Err(Error::Chain));
    }
    assert_eq!(device.ram::<56>(device.areas().desc), [0; 56]);
    device.queue.submit(&[READ, WRITE]).unwrap();
    let before = device.ram::<56>(device.areas().desc);
    assert!(device.queue.fits(1) && !device.queue.fits(2));
    assert_eq!(device.queue.submit(&[READ, WRITE]), Err(Error::Full));
    assert_eq!(device.ram::<56>(device.areas().desc), before);
    assert_eq!(device.fill(), [1]);
}

#[test]
fn a_list_counts_until_it_is_released() {
    let mut device = Device::packed(2);
    device.queue.submit(&[READ, WRITE]).unwrap();
    device.use_slot(0, 0, 1, USED);
    device.queue.pop_used().unwrap();
    assert_eq!((device.queue.outstanding(), device.queue.fits(1)), (0, false));
    device.queue.release(0);
    assert!(device.queue.fits(2) && !device.queue.fits(3));
}

#[test]
fn a_used_id_that_is_not_outstanding_is_refused() {
    // Never submitted, the last of the ring, behind it.
    for id in [1, 3, 4, 0x8000, 0xffff] {
        let mut device = Device::packed(4);
        device.queue.submit(&[READ, WRITE]).unwrap();
        device.use_slot(0, id, 1, USED);
        assert_eq!(device.queue.pop_used(), Err(Error::UsedId(id.into())));
        assert_eq!(device.queue.pop_used(), Err(Error::UsedId(id.into())), "it stays broken");
        assert_eq!(device.queue.outstanding(), 1);
    }
}

#[test]
fn a_list_comes_back_once() {
    for released in [false, true] {
        let mut device = Device::packed(4);
        device.queue.submit(&[READ]).unwrap();
        device.queue.submit(&[READ]).unwrap();
        device.use_slot(0, 0, 1, USED);
        device.use_slot(1, 0, 1, USED);
        device.queue.pop_used().unwrap();
        if released {
            device.queue.release(0);
        }
        assert_eq!(device.queue.pop_used(), Err(Error::UsedId(0)));
    }
}

#[test]
fn a_used_descriptor_that_nobody_asked_for_is_refused() {
    let mut device = Device::packed(4);
    device.use_slot(0, 0, 1, USED);
    assert_eq!(device.queue.pop_used(), Err(Error::UsedId(0)));
}

#[test]
fn flags_that_are_neither_available_nor_used_are_refused() {
    // USED without AVAIL, and used in the wrong lap.
    for flags in [0x8000, 0x0000, 0x8002] {
        let mut device = Device::packed(4);
        device.queue.submit(&[READ, WRITE]).unwrap();
        device.use_slot(0, 0, 1, flags);
        assert_eq!(device.queue.pop_used(), Err(Error::UsedFlags { slot: 0, flags }));
    }
    // The same in the second lap.
    for flags in [0x0080, 0x8080] {
        let mut device = Device::packed(1);
        device.queue.submit(&[READ]).unwrap();
        device.use_slot(0, 0, 1, USED);
        device.queue.pop_used().unwrap();
        device.queue.release(0);
        device.queue.submit(&[READ]).unwrap();
        assert_eq!(device.queue.pop_used(), Ok(None));
        device.use_slot(0, 0, 1, flags);
        assert_eq!(device.queue.pop_used(), Err(Error::UsedFlags { slot: 0, flags }));
    }
}

#[test]
fn a_gap_in_what_is_used_is_waited_for() {
    let mut device = Device::packed(4);
    device.queue.submit(&[READ]).unwrap();
    device.queue.submit(&[READ]).unwrap();
    device.use_slot(1, 1, 1, USED);
    assert_eq!(device.queue.pop_used(), Ok(None));
    device.use_slot(0, 0, 1, USED);
    assert_eq!(device.queue.pop_used(), Ok(Some(Used { id: 0, len: 1 })));
    assert_eq!(device.queue.pop_used(), Ok(Some(Used { id: 1, len: 1 })));
}

#[test]
fn what_lies_in_the_tail_of_an_old_list_is_not_used() {
    // Three slots of four, lap after lap: each slot is the tail of a list at times.
    let mut device = Device::packed(4);
    let (mut slot, mut wrap) = (0, true);
    for len in 1..100 {
        assert_eq!(device.queue.pop_used(), Ok(None));
        assert_eq!(device.queue.submit(&[READ, READ, WRITE]), Ok(0));
        assert_eq!(device.queue.pop_used(), Ok(None));
        device.use_slot(slot, 0, len, if wrap { USED } else { USED_0 });
        assert_eq!(device.queue.pop_used(), Ok(Some(Used { id: 0, len })));
        device.queue.release(0);
        wrap ^= slot + 3 >= 4;
        slot = (slot + 3) % 4;
    }
}

#[test]
fn descriptors_that_the_device_rewrites_are_never_read_back() {
    let mut device = Device::packed(4);
    device.queue.submit(&[READ, WRITE]).unwrap();
    device.set(device.areas().desc, &[0xa5; 64]);
    device.use_slot(0, 0, 1, USED);
    device.queue.pop_used().unwrap();
    device.queue.release(0);
    assert_eq!(device.queue.submit(&[READ, WRITE]), Ok(0));
    assert_eq!(
        device.ram::<32>(device.areas().desc + 32),
        bytes(
            "
        33 33 22 22 11 11 00 00  10 00 00 00  00 00  81 00
        66 66 55 55 44 44 00 00  01 00 00 00  00 00  82 00"
        )
    );
}

#[test]
#[should_panic(expected = "no packed queue is a legacy one")]
fn no_packed_queue_is_a_legacy_one() {
    Device::new(Settings { legacy: true, ..SETTINGS });
}
