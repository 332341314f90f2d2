//! The split queue, with the test in the device's place.

use crate::{
    fake::FakeHal,
    virtio::split::{Error, Segment, SplitQueue, Used},
};

/// The test's side of a queue: what a device knows.
struct Device {
    hal: FakeHal,
    queue: SplitQueue<FakeHal>,
    used_index: u16,
}

const READ: Segment = Segment { address: 0x1111_2222_3333, len: 16, device_writes: false };
const WRITE: Segment = Segment { address: 0x4444_5555_6666, len: 1, device_writes: true };

impl Device {
    fn new(size: u16) -> Self {
        let hal = FakeHal::new();
        Self { queue: SplitQueue::new(&hal, size).unwrap(), hal, used_index: 0 }
    }

    fn u16_at(&self, address: u64) -> u16 {
        u16::from_le_bytes(self.hal.machine().ram(address))
    }

    fn avail_index(&self) -> u16 {
        self.u16_at(self.queue.areas().driver + 2)
    }

    fn avail_slot(&self, slot: u64) -> u16 {
        self.u16_at(self.queue.areas().driver + 4 + 2 * slot)
    }

    /// A descriptor: address, length, flags, next.
    fn descriptor(&self, index: u64) -> (u64, u32, u16, u16) {
        let bytes: [u8; 16] = self.hal.machine().ram(self.queue.areas().desc + 16 * index);
        let value = u128::from_le_bytes(bytes);
        (value as u64, (value >> 64) as u32, (value >> 96) as u16, (value >> 112) as u16)
    }

    fn use_element(&mut self, id: u32, len: u32) {
        let size = u64::from(self.queue.size());
        let slot = u64::from(self.used_index) % size;
        let element = self.queue.areas().device + 4 + 8 * slot;
        self.hal.machine().set_ram(element, &id.to_le_bytes());
        self.hal.machine().set_ram(element + 4, &len.to_le_bytes());
        self.set_used_index(self.used_index.wrapping_add(1));
    }

    fn set_used_index(&mut self, index: u16) {
        self.used_index = index;
        let address = self.queue.areas().device + 2;
        self.hal.machine().set_ram(address, &index.to_le_bytes());
    }
}

#[test]
fn the_parts_of_a_queue_are_aligned_and_do_not_overlap() {
    for size in [2, 4, 8, 16] {
        let device = Device::new(size);
        let areas = device.queue.areas();
        assert_eq!(areas.desc % 16, 0);
        assert_eq!(areas.driver, areas.desc + 16 * u64::from(size));
        assert!(areas.device.is_multiple_of(4));
        assert!(areas.device >= areas.driver + 6 + 2 * u64::from(size));
        assert!(areas.device + 6 + 8 * u64::from(size) <= areas.desc + 4096);
    }
}

#[test]
fn the_size_is_the_largest_power_of_two_that_the_offer_and_the_driver_allow() {
    let sizes = [(0, 0), (1, 1), (2, 2), (3, 2), (5, 4), (24, 16), (256, 16), (65535, 16)];
    for (offered, size) in sizes {
        assert_eq!(SplitQueue::<FakeHal>::size_for(offered), size);
    }
}

#[test]
fn a_chain_is_written_as_the_specification_says() {
    let mut device = Device::new(4);
    assert_eq!(device.queue.submit(&[READ, WRITE, WRITE]), Ok(0));
    assert_eq!(device.descriptor(0), (READ.address, 16, 1, 1));
    assert_eq!(device.descriptor(1), (WRITE.address, 1, 3, 2));
    assert_eq!(device.descriptor(2), (WRITE.address, 1, 2, 0));
    assert_eq!((device.avail_index(), device.avail_slot(0)), (1, 0));
    assert_eq!(device.u16_at(device.queue.areas().driver), 0, "avail.flags");
    assert!(device.queue.wants_notification());
    let used = device.queue.areas().device;
    device.hal.machine().set_ram(used, &[1, 0]);
    assert!(!device.queue.wants_notification());
}

#[test]
fn a_chain_that_virtio_forbids_or_that_does_not_fit_changes_nothing() {
    let mut device = Device::new(4);
    assert_eq!(device.queue.submit(&[]), Err(Error::Chain));
    assert_eq!(device.queue.submit(&[WRITE, READ]), Err(Error::Chain));
    assert_eq!(device.queue.submit(&[READ, WRITE, WRITE]), Ok(0));
    assert_eq!(device.queue.submit(&[READ, WRITE]), Err(Error::Full));
    assert_eq!((device.avail_index(), device.queue.free()), (1, 1));
    assert_eq!(device.queue.submit(&[READ]), Ok(3));
    assert_eq!(device.queue.next_head(), None);
    assert_eq!(device.queue.submit(&[READ]), Err(Error::Full));
}

#[test]
fn chains_come_back_in_any_order_and_their_descriptors_when_they_are_released() {
    let mut device = Device::new(8);
    let heads: Vec<_> = (0..4).map(|_| device.queue.submit(&[READ, WRITE]).unwrap()).collect();
    assert_eq!(heads, [0, 2, 4, 6]);
    for head in [4, 0, 6, 2] {
        device.use_element(head, head);
    }
    for head in [4, 0, 6, 2] {
        let used = Used { head, len: head.into() };
        assert_eq!(device.queue.pop_used(), Ok(Some(used)));
    }
    assert_eq!(device.queue.pop_used(), Ok(None));
    assert_eq!(device.queue.free(), 0);
    heads.into_iter().for_each(|head| device.queue.release(head));
    assert_eq!(device.queue.free(), 8);
    // No descriptor was lost or came back twice.
    let mut all: Vec<_> = (0..8).map(|_| device.queue.submit(&[READ]).unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn the_indices_run_past_65535_whatever_the_size() {
    let mut device = Device::new(4);
    for round in 0..66_000_u32 {
        let head = device.queue.submit(&[READ, WRITE]).unwrap();
        assert_eq!(head, 0, "the same descriptors serve again");
        assert_eq!(u32::from(device.avail_index()), (round + 1) % 65_536);
        assert_eq!(device.avail_slot(u64::from(round % 4)), head);
        assert_eq!(device.queue.pop_used(), Ok(None));
        device.use_element(head.into(), round);
        assert_eq!(device.queue.pop_used(), Ok(Some(Used { head, len: round })));
        device.queue.release(head);
    }
}

#[test]
fn a_used_id_that_is_no_outstanding_head_is_refused() {
    // Never submitted, in the middle of a chain, behind the table, and 0 only in its low half.
    for id in [3, 1, 4, 0xffff, 0x1_0000, 0xffff_ffff] {
        let mut device = Device::new(4);
        device.queue.submit(&[READ, WRITE]).unwrap();
        device.use_element(id, 1);
        assert_eq!(device.queue.pop_used(), Err(Error::UsedId(id)));
        assert_eq!(device.queue.free(), 2);
    }
}

#[test]
fn a_chain_comes_back_once() {
    let mut device = Device::new(8);
    device.queue.submit(&[READ, WRITE]).unwrap();
    device.queue.submit(&[READ, WRITE]).unwrap();
    device.use_element(0, 1);
    device.use_element(0, 1);
    assert_eq!(device.queue.pop_used(), Ok(Some(Used { head: 0, len: 1 })));
    assert_eq!(device.queue.pop_used(), Err(Error::UsedId(0)));
}

#[test]
fn a_used_index_that_jumps_is_refused_before_any_element_is_believed() {
    for to in [2, 5, 0x8000, 0xffff] {
        let mut device = Device::new(4);
        device.queue.submit(&[READ, WRITE]).unwrap();
        device.set_used_index(to);
        let error = Error::UsedIndex { from: 0, to, outstanding: 1 };
        assert_eq!(device.queue.pop_used(), Err(error));
    }
}

#[test]
fn descriptors_that_the_device_rewrites_are_never_read_back() {
    let mut device = Device::new(4);
    device.queue.submit(&[READ, WRITE]).unwrap();
    let table = device.queue.areas().desc;
    device.hal.machine().set_ram(table, &[0xa5; 64]);
    device.use_element(0, 1);
    device.queue.pop_used().unwrap();
    device.queue.release(0);
    assert_eq!(device.queue.free(), 4);
    assert_eq!(device.queue.submit(&[READ, WRITE]), Ok(0));
    assert_eq!(device.descriptor(0), (READ.address, 16, 1, 1));
}
