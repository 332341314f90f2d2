use super::{Device, Error, READ, Settings, WRITE, bytes};
use crate::hal::Hal;

const SETTINGS: Settings =
    Settings { size: 4, packed: false, event_idx: false, indirect: true, legacy: false };

/// A descriptor that names a table of so many bytes: all but its last four bytes.
fn names(table: u64, len: u32) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&table.to_le_bytes());
    bytes[8..].copy_from_slice(&len.to_le_bytes());
    bytes
}

#[test]
fn a_table_of_a_split_queue_is_linked() {
    let mut device = Device::new(SETTINGS);
    assert_eq!(device.queue.submit(&[READ, WRITE, WRITE]), Ok(0));
    assert_eq!(device.queue.submit(&[READ, WRITE]), Ok(1));
    let areas = device.areas();
    // The page behind the rings, with room for four segments each.
    let tables = areas.desc + 0x1000;
    assert_eq!(device.ram(areas.desc), names(tables, 48));
    assert_eq!(device.ram(areas.desc + 12), [4, 0, 0, 0]);
    assert_eq!(device.ram(areas.desc + 16), names(tables + 64, 32));
    assert_eq!(device.ram(areas.desc + 28), [4, 0, 0, 0]);
    assert_eq!(device.ram::<12>(areas.driver), bytes("00 00 02 00 00 00 01 00 00 00 00 00"));
    let expected = "
        33 33 22 22 11 11 00 00  10 00 00 00  01 00  01 00
        66 66 55 55 44 44 00 00  01 00 00 00  03 00  02 00
        66 66 55 55 44 44 00 00  01 00 00 00  02 00  00 00
        00 00 00 00 00 00 00 00  00 00 00 00  00 00  00 00
        33 33 22 22 11 11 00 00  10 00 00 00  01 00  01 00
        66 66 55 55 44 44 00 00  01 00 00 00  02 00  00 00";
    assert_eq!(device.ram::<96>(tables), bytes(expected));
}

#[test]
fn a_table_of_a_packed_queue_has_no_flag_but_write() {
    let mut device = Device::new(Settings { packed: true, ..SETTINGS });
    assert_eq!(device.queue.submit(&[READ, WRITE, WRITE]), Ok(0));
    assert_eq!(device.queue.submit(&[READ, WRITE]), Ok(1));
    let desc = device.areas().desc;
    let tables = desc + 0x1000;
    assert_eq!(device.ram(desc), names(tables, 48));
    assert_eq!(device.ram(desc + 12), [0, 0, 0x84, 0]);
    assert_eq!(device.ram(desc + 16), names(tables + 64, 32));
    assert_eq!(device.ram(desc + 28), [1, 0, 0x84, 0]);
    let expected = "
        33 33 22 22 11 11 00 00  10 00 00 00  00 00  00 00
        66 66 55 55 44 44 00 00  01 00 00 00  00 00  02 00
        66 66 55 55 44 44 00 00  01 00 00 00  00 00  02 00
        00 00 00 00 00 00 00 00  00 00 00 00  00 00  00 00
        33 33 22 22 11 11 00 00  10 00 00 00  00 00  00 00
        66 66 55 55 44 44 00 00  01 00 00 00  00 00  02 00";
    assert_eq!(device.ram::<96>(tables), bytes(expected));
}

#[test]
fn one_segment_needs_no_table() {
    for packed in [false, true] {
        let mut device = Device::new(Settings { packed, ..SETTINGS });
        device.queue.submit(&[READ]).unwrap();
        assert_eq!(device.end(), device.areas().desc + 0x1000, "no page of tables");
        let flags = if packed { [0, 0, 0x80, 0] } else { [0; 4] };
        assert_eq!(device.ram(device.areas().desc + 12), flags);
    }
}

#[test]
fn as_many_chains_as_descriptors_are_in_flight() {
    for packed in [false, true] {
        let mut device = Device::new(Settings { packed, ..SETTINGS });
        for id in 0..4 {
            assert!(device.queue.fits(4));
            assert_eq!(device.queue.submit(&[READ, READ, READ, WRITE]), Ok(id));
        }
        assert!(!device.queue.fits(1));
        assert_eq!(device.queue.submit(&[READ, WRITE]), Err(Error::Full));
    }
}

#[test]
fn a_chain_is_not_longer_than_the_queue_in_a_table_either() {
    for packed in [false, true] {
        let mut device = Device::new(Settings { packed, ..SETTINGS });
        assert!(!device.queue.fits(5));
        assert_eq!(device.queue.submit(&[READ; 5]), Err(Error::Chain));
    }
}

#[test]
fn a_chain_that_is_longer_than_a_table_goes_without() {
    for packed in [false, true] {
        let mut device = Device::new(Settings { size: 256, packed, ..SETTINGS });
        device.queue.submit(&[READ; 128]).unwrap();
        // One descriptor, then 129 of them.
        device.queue.submit(&[READ; 129]).unwrap();
        assert!(!device.queue.fits(129) && device.queue.fits(128));
        let flags = |index: u64| device.ram::<4>(device.areas().desc + 16 * index + 12);
        let (next, last) =
            if packed { ([1, 0, 0x81, 0], [1, 0, 0x80, 0]) } else { ([1, 0, 2, 0], [0; 4]) };
        assert_eq!((flags(1), flags(129)), (next, last));
    }
}

#[test]
fn a_table_is_kept_for_the_next_chain_of_its_id() {
    let mut device = Device::new(SETTINGS);
    for _ in 0..3 {
        assert_eq!(device.go_round(&[READ, WRITE]), 0);
    }
    assert_eq!(device.end(), device.areas().desc + 0x2000);
}

#[test]
fn tables_do_not_overlap_and_lie_in_pages_of_their_own() {
    // So many pages for a split queue, whose size is a power of two, and for a packed one.
    for (size, split, packed) in [(2, 1, 1), (3, 1, 1), (16, 1, 1), (100, 16, 50), (256, 128, 128)]
    {
        for (packed, pages) in [(false, split), (true, packed)] {
            let mut device = Device::new(Settings { size, packed, ..SETTINGS });
            let first = (device.end() + 1).next_multiple_of(4096);
            let size = device.queue.size();
            (0..size).for_each(|id| assert_eq!(device.queue.submit(&[READ, WRITE]), Ok(id)));
            assert_eq!(device.end(), first + 4096 * pages, "{size}");
            let room = 16 * u64::from(size.min(128));
            let place = |id| u64::from_le_bytes(device.ram(device.areas().desc + 16 * id));
            assert_eq!(place(0), first);
            for id in 1..u64::from(size) {
                assert!(place(id - 1) + room <= place(id));
                assert_eq!(place(id) >> 12, (place(id) + room - 1) >> 12, "in one page");
            }
        }
    }
}

#[test]
fn where_memory_is_short_nothing_is_changed() {
    for packed in [false, true] {
        let mut device = Device::new(Settings { packed, ..SETTINGS });
        device.hal.allocate_dma((1 << 20) - 0x1800, 1).unwrap();
        let before = device.ram::<128>(device.areas().desc);
        assert!(matches!(device.queue.submit(&[READ, WRITE]), Err(Error::Memory(_))));
        assert_eq!(device.ram::<128>(device.areas().desc), before);
        assert_eq!((device.queue.next_id(), device.queue.outstanding()), (Some(0), 0));
        assert!(!device.queue.should_notify());
        assert_eq!(device.fill(), [0, 1, 2, 3]);
    }
}

#[test]
fn a_table_that_the_device_rewrites_is_never_read_back() {
    let mut device = Device::new(SETTINGS);
    device.queue.submit(&[READ, WRITE]).unwrap();
    let tables = device.areas().desc + 0x1000;
    let before = device.ram::<32>(tables);
    device.set(tables, &[0xa5; 32]);
    device.use_element(0, 1);
    device.queue.pop_used().unwrap();
    device.queue.release(0);
    assert_eq!(device.queue.submit(&[READ, WRITE]), Ok(0));
    assert_eq!(device.ram::<32>(tables), before);
}

#[test]
fn what_is_abandoned_is_never_released() {
    for (packed, abandoned) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut device = Device::new(Settings { packed, ..SETTINGS });
        device.queue.submit(&[READ, WRITE]).unwrap();
        if abandoned {
            device.queue.abandon();
        }
        let (hal, desc) = (device.hal.clone(), device.areas().desc);
        drop(device);
        let mut released = hal.machine().released.clone();
        released.sort_unstable();
        let all = [desc, desc + 0x1000];
        assert_eq!(released, if abandoned { &[][..] } else { &all[..] });
    }
}
