//! The split queue against rust-vmm's `virtio-queue`: its mock driver makes the
//! rings, and its own device side walks the same chains and must see the same.

use eclipse_devices::virtio::Features;
use eclipse_tests::Bare;
use eclipse_tests::bare::{INDIRECT, NEXT, WRITE};
use eclipse_tests::rings::offering;
use eclipse_trace::{DescriptorFlags, Event};
use proptest::prelude::{Strategy, any, prop};
use proptest::{prop_assert, prop_assert_eq, proptest};
use virtio_queue::desc::RawDescriptor;
use virtio_queue::desc::split::Descriptor;
use virtio_queue::mock::{AvailRing, DescriptorTable, MockSplitQueue, UsedRing};
use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

const SIZE: u16 = 16;
const RINGS: u64 = 0x1_0000;
const TABLE: u64 = 0x2_0000;
const BUFFERS: u64 = 0x10_0000;

/// A device that is ready, with its queue's three areas there.
fn bring_up(features: Features, areas: [u64; 3]) -> Bare {
    let bare = offering(features);
    bare.config_store(0x04, 2, 0x0406);
    bare.accept_features();
    bare.enable_msix();
    bare.set_up_queue();
    bare.common(0x18, 2, SIZE.into());
    for (offset, area) in [0x20, 0x28, 0x30].into_iter().zip(areas) {
        bare.common(offset, 4, area);
    }
    bare.common(0x1a, 2, 1);
    bare.common(0x1c, 2, 1);
    bare.common(0x14, 1, 0x0f);
    bare
}

fn raw(addr: u64, len: u32, flags: u16, next: u16) -> RawDescriptor {
    RawDescriptor::from(Descriptor::new(addr, len, flags, next))
}

/// A descriptor's address, length and flags.
type Walked = (u64, u32, u16);

/// What the device read of descriptors since entry `from`, without those that name a table.
fn descriptors(bare: &Bare, from: usize) -> Vec<Walked> {
    let entries = bare.machine.entries();
    let read = entries[from..].iter().filter_map(|entry| match entry.event {
        Event::Descriptor { addr, len, flags, .. } => Some((addr, len, flags)),
        _ => None,
    });
    read.filter(|(_, _, flags)| !flags.contains(DescriptorFlags::INDIRECT))
        .map(|(addr, len, flags)| (addr, len, flags.0))
        .collect()
}

/// The same by the device side of `virtio-queue`.
fn by_virtio_queue(queue: &mut Queue, memory: &GuestMemoryMmap<()>) -> Vec<(u16, Vec<Walked>)> {
    let chains = queue.iter(memory).expect("the index is in range");
    chains
        .map(|chain| {
            (chain.head_index(), chain.map(|d| (d.addr().0, d.len(), d.flags())).collect())
        })
        .collect()
}

#[test]
fn requests_that_the_mock_driver_makes_are_carried_out() {
    // As the mock lays them out, one behind the other.
    let [desc, avail, used] = [RINGS, RINGS + 0x100, RINGS + 0x114];
    let bare = bring_up(Features::INDIRECT_DESC, [desc, avail, used]);
    let memory = bare.machine.memory();
    let mock = MockSplitQueue::create(&memory, GuestAddress(RINGS), SIZE);
    assert_eq!((mock.avail_addr().0, mock.used_addr().0), (avail, used));

    bare.header(0, 3);
    let request = [
        raw(Bare::HEADER, 16, NEXT, 1),
        raw(Bare::DATA, 512, NEXT | WRITE, 2),
        raw(Bare::STATUS, 1, WRITE, 0),
    ];
    mock.add_desc_chains(&request, 0).expect("there is room");
    bare.store(Bare::NOTIFY, 2, 0);
    assert_eq!(mock.used().idx().load(), 1);
    let used = mock.used().ring().ref_at(0).unwrap().load();
    assert_eq!((used.id(), used.len()), (0, 513));
    assert_eq!(bare.read::<u64>(Bare::DATA), 3 * 64);
    assert!(bare.machine.take_interrupt(0x41));

    // The same request in an indirect table, from entry 3 on.
    let table = DescriptorTable::new(&memory, GuestAddress(TABLE), 3);
    for (index, entry) in (0..).zip(request) {
        table.store(index, entry).expect("it is in the table");
    }
    bare.header(0, 4);
    mock.add_desc_chains(&[raw(TABLE, 48, INDIRECT, 0)], 3).expect("there is room");
    bare.store(Bare::NOTIFY, 2, 0);
    assert_eq!(mock.used().idx().load(), 2);
    let used = mock.used().ring().ref_at(1).unwrap().load();
    assert_eq!((used.id(), used.len()), (3, 513));
    assert_eq!(bare.read::<u64>(Bare::DATA), 4 * 64);
}

/// Chains of one to four buffers that fit the queue; whether each is a table, and
/// how many of its first buffers stand before the table.
fn chains() -> impl Strategy<Value = Vec<(Vec<u32>, Option<usize>)>> {
    let chain = (prop::collection::vec(0u32..600, 1..5), prop::option::of(0usize..4));
    prop::collection::vec(chain, 1..4)
}

proptest! {
    #[test]
    fn both_walk_the_same_chains(chains in chains(), event_idx in any::<bool>(), used_event in 0u16..6) {
        let features = Features::INDIRECT_DESC
            | if event_idx { Features::EVENT_IDX } else { Features::empty() };
        // The mock of a whole queue counts the available ring in entries where it
        // means bytes, so that its used ring lies over `used_event`: each by itself.
        let [desc, avail, used] = [RINGS, RINGS + 0x1000, RINGS + 0x2000];
        let bare = bring_up(features, [desc, avail, used]);
        let memory = bare.machine.memory();
        let descriptor_table = DescriptorTable::new(&memory, GuestAddress(desc), SIZE);
        let avail_ring = AvailRing::new(&memory, GuestAddress(avail), SIZE);
        let used_ring = UsedRing::new(&memory, GuestAddress(used), SIZE);
        let mut queue = Queue::new(SIZE).expect("it is a size");
        queue.set_size(SIZE);
        queue.set_desc_table_address(Some(desc as u32), Some(0));
        queue.set_avail_ring_address(Some(avail as u32), Some(0));
        queue.set_used_ring_address(Some(used as u32), Some(0));
        queue.set_event_idx(event_idx);
        queue.set_ready(true);

        // Flush requests: header bytes first, then writable ones, whatever their cut.
        let (mut at, mut slot, mut table_at) = (BUFFERS, 0u16, TABLE);
        let mut ring = Vec::new();
        for (lengths, table) in &chains {
            memory.write_obj(4u32, GuestAddress(at)).unwrap();
            let mut buffers = vec![(at, 16, 0)];
            at += 16;
            for &len in lengths {
                buffers.push((at, len + 1, WRITE));
                at += u64::from(len) + 1;
            }
            let direct = table.map_or(buffers.len(), |before| before.min(buffers.len() - 1));
            let head = slot;
            for (index, &(addr, len, flags)) in buffers[..direct].iter().enumerate() {
                let more = index + 1 < buffers.len();
                let flags = flags | if more { NEXT } else { 0 };
                let next = if more { slot + 1 } else { 0 };
                descriptor_table.store(slot, raw(addr, len, flags, next)).unwrap();
                slot += 1;
            }
            if direct < buffers.len() {
                let entries = &buffers[direct..];
                let bytes = 16 * entries.len() as u32;
                descriptor_table.store(slot, raw(table_at, bytes, INDIRECT, 0)).unwrap();
                slot += 1;
                let table = DescriptorTable::new(&memory, GuestAddress(table_at), SIZE);
                for (index, &(addr, len, flags)) in (0u16..).zip(entries) {
                    let more = usize::from(index) + 1 < entries.len();
                    let (flag, next) = if more { (NEXT, index + 1) } else { (0, 0) };
                    table.store(index, raw(addr, len, flags | flag, next)).unwrap();
                }
                table_at += u64::from(bytes);
            }
            avail_ring.ring().ref_at(ring.len()).unwrap().store(head);
            ring.push(head);
        }
        avail_ring.idx().store(ring.len() as u16);
        let used_event_at = avail + 4 + 2 * u64::from(SIZE);
        memory.write_obj(used_event, GuestAddress(used_event_at)).unwrap();

        let theirs = by_virtio_queue(&mut queue, &memory);
        let heads: Vec<_> = theirs.iter().map(|(head, _)| *head).collect();
        prop_assert_eq!(&heads, &ring);

        let from = bare.machine.entries().len();
        bare.store(Bare::NOTIFY, 2, 0);
        let walked: Vec<_> = theirs.into_iter().flat_map(|(_, chain)| chain).collect();
        prop_assert_eq!(descriptors(&bare, from), walked);
        prop_assert_eq!(used_ring.idx().load(), ring.len() as u16);

        // They use the chains as well, into the same ring, and say whether to notify.
        let interrupted = bare.machine.take_interrupt(0x41);
        for head in &ring {
            queue.add_used(&memory, *head, 0).expect("the used ring is in RAM");
        }
        prop_assert_eq!(used_ring.idx().load(), ring.len() as u16);
        prop_assert!(!event_idx || interrupted == (used_event < ring.len() as u16));
        prop_assert_eq!(interrupted, queue.needs_notification(&memory).unwrap());
    }
}
