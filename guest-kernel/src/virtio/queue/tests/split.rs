use super::{Device, Error, READ, Segment, Settings, Used, Virtqueue, WRITE, bytes};
use crate::fake::FakeHal;

#[test]
fn the_parts_of_a_queue_are_aligned_and_do_not_overlap() {
    for size in (0..=8).map(|power| 1 << power) {
        let areas = Device::split(size).areas();
        assert_eq!(areas.desc % 4096, 0);
        assert_eq!(areas.driver, areas.desc + 16 * u64::from(size));
        assert!(areas.device.is_multiple_of(4));
        assert!(areas.device >= areas.driver + 6 + 2 * u64::from(size));
    }
}

#[test]
fn a_queue_of_256_has_its_parts_where_the_structures_say() {
    let device = Device::split(256);
    let areas = device.areas();
    // 256 * 16, then 6 + 256 * 2 aligned to 4.
    assert_eq!((areas.driver - areas.desc, areas.device - areas.desc), (0x1000, 0x1208));
    assert_eq!(device.end(), areas.desc + 0x2000);
}

#[test]
fn a_legacy_queue_of_256_has_three_pages_with_the_used_ring_in_the_third() {
    let device = Device::new(Settings { size: 256, legacy: true, ..Settings::default() });
    let areas = device.areas();
    assert_eq!(areas.desc % 4096, 0);
    assert_eq!((areas.driver - areas.desc, areas.device - areas.desc), (0x1000, 0x2000));
    // 2.7.2: ALIGN(16*256 + 2*(3 + 256)) + ALIGN(2*3 + 8*256).
    assert_eq!(device.end(), areas.desc + 0x3000);
}

#[test]
fn a_legacy_queue_has_the_size_that_the_device_says() {
    let new = |size| {
        Virtqueue::new(&FakeHal::new(), Settings { size, legacy: true, ..Settings::default() })
    };
    for size in [1, 2, 128, 512, 1024, 32768] {
        let queue = new(size).unwrap();
        assert_eq!(queue.size(), size);
        let (size, areas) = (u64::from(size), queue.areas());
        assert_eq!(areas.driver, areas.desc + 16 * size);
        assert_eq!(areas.device, (areas.driver + 6 + 2 * size).next_multiple_of(4096));
    }
    for size in [0, 3, 24, 255, 32769, 65535] {
        assert_eq!(new(size).err(), Some(Error::Size(size)));
    }
}

#[test]
fn the_size_is_the_largest_power_of_two_that_the_offer_and_the_driver_allow() {
    let sizes = [(1, 1), (2, 2), (3, 2), (5, 4), (24, 16), (255, 128), (256, 256), (65535, 256)];
    for (offered, size) in sizes {
        assert_eq!(Device::split(offered).queue.size(), size);
    }
    let none = Virtqueue::new(&FakeHal::new(), Settings::default());
    assert_eq!(none.err(), Some(Error::Size(0)));
}

#[test]
fn a_chain_is_written_as_the_specification_says() {
    let mut device = Device::split(4);
    assert_eq!(device.queue.submit(&[READ, WRITE, WRITE]), Ok(0));
    let table = "
        33 33 22 22 11 11 00 00  10 00 00 00  01 00  01 00
        66 66 55 55 44 44 00 00  01 00 00 00  03 00  02 00
        66 66 55 55 44 44 00 00  01 00 00 00  02 00  00 00
        00 00 00 00 00 00 00 00  00 00 00 00  00 00  00 00";
    assert_eq!(device.ram::<64>(device.areas().desc), bytes(table));
    // flags, idx, four entries, used_event.
    let ring = "00 00  01 00  00 00  00 00  00 00  00 00  00 00";
    assert_eq!(device.ram::<14>(device.areas().driver), bytes(ring));
    assert_eq!(device.ram::<38>(device.areas().device), [0; 38], "the device's alone");
}

#[test]
fn the_second_chain_begins_where_the_first_one_ended() {
    let mut device = Device::split(4);
    device.queue.submit(&[READ]).unwrap();
    device.queue.submit(&[READ, WRITE]).unwrap();
    let table = "
        33 33 22 22 11 11 00 00  10 00 00 00  00 00  00 00
        33 33 22 22 11 11 00 00  10 00 00 00  01 00  02 00
        66 66 55 55 44 44 00 00  01 00 00 00  02 00  00 00
        00 00 00 00 00 00 00 00  00 00 00 00  00 00  00 00";
    assert_eq!(device.ram::<64>(device.areas().desc), bytes(table));
    let ring = "00 00  02 00  00 00  01 00  00 00  00 00  00 00";
    assert_eq!(device.ram::<14>(device.areas().driver), bytes(ring));
}

#[test]
fn a_chain_that_virtio_forbids_or_that_does_not_fit_changes_nothing() {
    let mut device = Device::split(4);
    let before = device.ram::<4096>(device.areas().desc);
    let long = Segment { len: u32::MAX, ..READ };
    let empty = Segment { len: 0, ..READ };
    let forbidden: [&[Segment]; 5] =
        [&[], &[WRITE, READ], &[READ; 5], &[empty, WRITE], &[long, Segment { len: 2, ..READ }]];
    for chain in forbidden {
        assert_eq!(device.queue.submit(chain), Err(Error::Chain));
    }
    assert_eq!(device.ram::<4096>(device.areas().desc), before);
    assert!(!device.queue.should_notify());
    assert_eq!(device.queue.submit(&[READ, WRITE, WRITE]), Ok(0));
    let before = device.ram::<4096>(device.areas().desc);
    assert!(!device.queue.fits(2) && device.queue.fits(1));
    assert_eq!(device.queue.submit(&[READ, WRITE]), Err(Error::Full));
    assert_eq!(device.ram::<4096>(device.areas().desc), before);
    assert_eq!(device.queue.submit(&[READ]), Ok(3));
    assert_eq!((device.queue.next_id(), device.queue.fits(1)), (None, false));
    assert_eq!(device.queue.submit(&[READ]), Err(Error::Full));
}

#[test]
fn a_chain_of_2_to_the_32_bytes_is_allowed() {
    let mut device = Device::split(4);
    let long = Segment { len: u32::MAX, ..READ };
    assert_eq!(device.queue.submit(&[long, WRITE]), Ok(0));
}

#[test]
fn chains_come_back_in_any_order_and_their_descriptors_when_they_are_released() {
    let mut device = Device::split(8);
    let ids: Vec<_> = (0..4).map(|_| device.queue.submit(&[READ, WRITE]).unwrap()).collect();
    assert_eq!(ids, [0, 2, 4, 6]);
    for id in [4, 0, 6, 2] {
        device.use_element(id, id);
    }
    for (id, left) in [(4, 3), (0, 2), (6, 1), (2, 0)] {
        assert_eq!(device.queue.pop_used(), Ok(Some(Used { id, len: id.into() })));
        assert_eq!(device.queue.outstanding(), left);
    }
    assert_eq!(device.queue.pop_used(), Ok(None));
    assert!(!device.queue.fits(1));
    device.queue.release(6);
    assert!(device.queue.fits(2) && !device.queue.fits(3));
    [2, 0, 4].into_iter().for_each(|id| device.queue.release(id));
    // No descriptor was lost or came back twice.
    let mut all = device.fill();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn the_indices_run_past_65535_whatever_the_size() {
    let mut device = Device::split(4);
    for round in 0..66_000_u32 {
        let id = device.queue.submit(&[READ, WRITE]).unwrap();
        assert_eq!(id, 0, "the same descriptors serve again");
        let driver = device.areas().driver;
        assert_eq!(u32::from(device.u16_at(driver + 2)), (round + 1) % 65_536);
        assert_eq!(device.u16_at(driver + 4 + 2 * u64::from(round % 4)), id);
        assert_eq!(device.queue.pop_used(), Ok(None));
        device.use_element(id.into(), round);
        assert_eq!(device.queue.pop_used(), Ok(Some(Used { id, len: round })));
        device.queue.release(id);
    }
}

#[test]
fn a_full_ring_that_is_used_at_once_is_not_an_empty_one() {
    let mut device = Device::split(4);
    device.go_round(&[READ]);
    let ids = device.fill();
    ids.iter().for_each(|&id| device.use_element(id.into(), 7));
    for id in ids {
        assert_eq!(device.queue.pop_used(), Ok(Some(Used { id, len: 7 })));
    }
    assert_eq!(device.queue.pop_used(), Ok(None));
}

#[test]
fn a_used_id_that_is_no_outstanding_head_is_refused() {
    // Never submitted, in the middle of a chain, behind the table, and 0 only in its low half.
    for id in [3, 1, 4, 5, 0xffff, 0x1_0000, 0xffff_ffff] {
        let mut device = Device::split(4);
        device.queue.submit(&[READ, WRITE]).unwrap();
        device.use_element(id, 1);
        assert_eq!(device.queue.pop_used(), Err(Error::UsedId(id)));
        assert_eq!(device.queue.pop_used(), Err(Error::UsedId(id)), "it stays broken");
        assert_eq!(device.queue.outstanding(), 1);
        assert!(device.queue.fits(2) && !device.queue.fits(3));
    }
}

#[test]
fn a_chain_comes_back_once() {
    for released in [false, true] {
        let mut device = Device::split(8);
        device.queue.submit(&[READ, WRITE]).unwrap();
        device.queue.submit(&[READ, WRITE]).unwrap();
        device.use_element(0, 1);
        device.use_element(0, 1);
        assert_eq!(device.queue.pop_used(), Ok(Some(Used { id: 0, len: 1 })));
        if released {
            device.queue.release(0);
        }
        assert_eq!(device.queue.pop_used(), Err(Error::UsedId(0)));
    }
}

#[test]
fn an_element_of_the_last_lap_is_refused() {
    let mut device = Device::split(2);
    for _ in 0..2 {
        device.go_round(&[READ]);
    }
    // Chain 0 is the driver's, chain 1 the device's; the old element names chain 0.
    device.queue.submit(&[READ]).unwrap();
    device.queue.submit(&[READ]).unwrap();
    device.use_element(0, 1);
    device.queue.pop_used().unwrap();
    device.set_used_index(4);
    assert_eq!(device.queue.pop_used(), Err(Error::UsedId(0)));
}

#[test]
fn a_used_index_that_jumps_is_refused_before_any_element_is_believed() {
    for to in [2, 5, 0x8000, 0xffff] {
        let mut device = Device::split(4);
        device.queue.submit(&[READ, WRITE]).unwrap();
        device.set_used_index(to);
        let error = Error::UsedIndex { from: 0, to, outstanding: 1 };
        assert_eq!(device.queue.pop_used(), Err(error));
    }
    // One too many, one back, and to the start.
    for to in [4, 2, 0] {
        let mut device = Device::split(4);
        for _ in 0..3 {
            device.go_round(&[READ]);
        }
        device.set_used_index(to);
        let error = Error::UsedIndex { from: 3, to, outstanding: 0 };
        assert_eq!(device.queue.pop_used(), Err(error));
    }
}

#[test]
fn descriptors_that_the_device_rewrites_are_never_read_back() {
    let mut device = Device::split(4);
    device.queue.submit(&[READ, WRITE]).unwrap();
    // Those in flight, those that are free, and all of the available ring.
    device.set(device.areas().desc, &[0xa5; 64]);
    device.set(device.areas().driver, &[0xa5; 14]);
    device.use_element(0, 1);
    device.queue.pop_used().unwrap();
    device.queue.release(0);
    assert_eq!(device.queue.submit(&[READ, WRITE, WRITE]), Ok(0));
    let table = "
        33 33 22 22 11 11 00 00  10 00 00 00  01 00  01 00
        66 66 55 55 44 44 00 00  01 00 00 00  03 00  02 00
        66 66 55 55 44 44 00 00  01 00 00 00  02 00  00 00
        a5 a5 a5 a5 a5 a5 a5 a5  a5 a5 a5 a5  a5 a5  a5 a5";
    assert_eq!(device.ram::<64>(device.areas().desc), bytes(table));
    let ring = "a5 a5  02 00  a5 a5  00 00  a5 a5  a5 a5  a5 a5";
    assert_eq!(device.ram::<14>(device.areas().driver), bytes(ring));
}

#[test]
#[should_panic(expected = "the chain 0 is not the driver's")]
fn a_chain_that_the_device_has_cannot_be_released() {
    let mut device = Device::split(4);
    device.queue.submit(&[READ]).unwrap();
    device.queue.release(0);
}
