//! What no device asks of its queues yet: to tell the driver that it need not ring.

use eclipse_trace::{Bdf, Recorder};
use vm_memory::{Address, Bytes, GuestAddress, GuestMemoryMmap};

use super::Queue;
use crate::virtio::Features;
use crate::{Host, Wires};

struct Nowhere;

impl Wires for Nowhere {
    fn msi(&mut self, _address: u64, _data: u32) {}

    fn line(&mut self, _gsi: u32, _level: bool) {}

    fn console(&mut self, _bytes: &[u8]) {}
}

const DESC: u64 = 0x1000;
const DRIVER: u64 = 0x2000;
const DEVICE: u64 = 0x3000;

fn queue(features: Features) -> (Queue, GuestMemoryMmap<()>) {
    let mut queue = Queue::new(0, 4);
    queue.negotiate(features);
    (queue.desc, queue.driver, queue.device) = (DESC, DRIVER, DEVICE);
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x4000)]).unwrap();
    (queue, memory)
}

/// The transcript of what `act` does with a host.
fn transcript(memory: &GuestMemoryMmap<()>, act: impl FnOnce(&mut Host<'_>)) -> Vec<String> {
    let (mut wires, mut recorder) = (Nowhere, Recorder::new());
    let mut host = Host::new(memory, &mut wires, &mut recorder);
    act(&mut host.lend(Bdf::new(0, 4, 0), true));
    recorder.entries().iter().map(|entry| entry.to_string()).collect()
}

/// Suppressed, suppressed again, wanted, wanted again.
fn back_and_forth(queue: &mut Queue, memory: &GuestMemoryMmap<()>) -> Vec<String> {
    transcript(memory, |host| {
        for on in [true, true, false, false] {
            queue.suppress(host, on).unwrap();
        }
    })
}

#[test]
fn a_split_queue_says_by_its_flags_that_the_driver_need_not_ring() {
    let (mut queue, memory) = queue(Features::empty());
    let expected = ["00:04.0 q0 used.flags <- 0001", "00:04.0 q0 used.flags <- 0000"];
    assert_eq!(back_and_forth(&mut queue, &memory), expected);
}

#[test]
fn with_event_idx_a_split_queue_asks_for_the_index_that_comes_last() {
    let (mut queue, memory) = queue(Features::EVENT_IDX);
    let expected = ["00:04.0 q0 used.avail_event <- ffff", "00:04.0 q0 used.avail_event <- 0000"];
    assert_eq!(back_and_forth(&mut queue, &memory), expected);
    assert_eq!(memory.read_obj::<u16>(GuestAddress(DEVICE + 4 + 8 * 4)).unwrap(), 0);
}

#[test]
fn a_packed_queue_says_it_in_its_event_structure() {
    let (mut queue, memory) = queue(Features::RING_PACKED);
    let expected =
        ["00:04.0 q0 device_event.flags <- 0001", "00:04.0 q0 device_event.flags <- 0000"];
    assert_eq!(back_and_forth(&mut queue, &memory), expected);

    let (mut queue, memory) = self::queue(Features::RING_PACKED | Features::EVENT_IDX);
    let expected = [
        "00:04.0 q0 device_event.flags <- 0001",
        "00:04.0 q0 device_event.desc <- 8000",
        "00:04.0 q0 device_event.flags <- 0002",
    ];
    assert_eq!(back_and_forth(&mut queue, &memory), expected);
}

#[test]
fn the_next_chain_is_named_as_notification_data_names_it() {
    let (mut split, memory) = queue(Features::empty());
    let (mut packed, _) = queue(Features::RING_PACKED);
    assert_eq!((split.next_avail(), packed.next_avail()), (0, 0x8000));
    // A chain of one descriptor that is at head 0 of either.
    memory.write_obj(1u16, GuestAddress(DRIVER + 2)).unwrap();
    transcript(&memory, |host| {
        split.available(host).unwrap();
        assert!(split.take(host).unwrap().is_some());
        assert!(split.take(host).unwrap().is_none(), "no more than was there at the look");
    });
    memory.write_obj(0x80u16, GuestAddress(DESC + 14)).unwrap();
    transcript(&memory, |host| {
        assert!(packed.take(host).unwrap().is_none(), "nothing without a look");
        packed.available(host).unwrap();
        assert!(packed.take(host).unwrap().is_some());
        assert!(packed.take(host).unwrap().is_none());
    });
    assert_eq!((split.next_avail(), packed.next_avail()), (1, 0x8001));
}

/// Writes a chain through the descriptors `from..to` to the table.
fn chain(memory: &GuestMemoryMmap<()>, from: u16, to: u16) {
    for index in from..to {
        let at = GuestAddress(DESC + 16 * u64::from(index));
        memory.write_obj(u16::from(index + 1 < to), at.unchecked_add(12)).unwrap();
        memory.write_obj(index + 1, at.unchecked_add(14)).unwrap();
    }
}

/// Makes the chains at `heads` available from slot 0 on, and takes them all, each
/// given back at once. Says how many were, and what went wrong.
fn give_back_all(queue: &mut Queue, memory: &GuestMemoryMmap<()>, heads: &[u16]) -> (u16, String) {
    for (slot, head) in (0..).zip(heads) {
        memory.write_obj(*head, GuestAddress(DRIVER + 4 + 2 * slot)).unwrap();
    }
    memory.write_obj(heads.len() as u16, GuestAddress(DRIVER + 2)).unwrap();
    let (mut given, mut wrong) = (0, String::new());
    transcript(memory, |host| {
        queue.available(host).unwrap();
        while let Some(chain) = queue.take(host).unwrap_or_else(|violation| {
            wrong = violation.to_string();
            None
        }) {
            queue.give_back(host, &chain, 0).unwrap();
            queue.reuse(chain);
            given += 1;
        }
    });
    (given, wrong)
}

// What was available at one look was outstanding at one time.
#[test]
fn chains_that_are_available_together_have_room_in_the_table_together() {
    // Chains in the table, heads in the ring; how many are given back, and what is wrong.
    type Case = (&'static [(u16, u16)], &'static [u16], u16, &'static str);
    let more = "queue 0 has more descriptors outstanding than it has";
    let cases: [Case; 5] = [
        (&[(0, 4)], &[0], 1, ""),
        (&[(0, 3), (3, 4)], &[0, 3], 2, ""),
        (&[(0, 2), (2, 4)], &[2, 0], 2, ""),
        (&[(0, 4)], &[0, 0, 0, 0], 1, more),
        (&[(0, 3), (2, 4)], &[0, 2], 1, more),
    ];
    for (chains, heads, given, wrong) in cases {
        let (mut queue, memory) = queue(Features::empty());
        chains.iter().for_each(|&(from, to)| chain(&memory, from, to));
        let expected = (given, wrong.to_string());
        assert_eq!(give_back_all(&mut queue, &memory, heads), expected, "{chains:?}, {heads:?}");
    }
}

#[test]
fn a_chain_that_was_used_may_be_available_again() {
    let (mut queue, memory) = queue(Features::empty());
    chain(&memory, 0, 4);
    for idx in 1..=9u16 {
        memory.write_obj(idx, GuestAddress(DRIVER + 2)).unwrap();
        transcript(&memory, |host| {
            assert_eq!(queue.available(host), Ok(1));
            let chain = queue.take(host).unwrap().expect("it is available");
            queue.give_back(host, &chain, 0).unwrap();
        });
    }
}

#[test]
fn a_driver_has_no_more_chains_outstanding_than_descriptors() {
    let (mut queue, memory) = queue(Features::empty());
    transcript(&memory, |host| {
        for idx in 1..=4u16 {
            memory.write_obj(idx, GuestAddress(DRIVER + 2)).unwrap();
            assert_eq!(queue.available(host), Ok(1));
            assert!(queue.take(host).unwrap().is_some());
        }
        memory.write_obj(5u16, GuestAddress(DRIVER + 2)).unwrap();
        assert_eq!(queue.available(host), Ok(1));
        let refused = queue.take(host).expect_err("four are outstanding");
        assert_eq!(refused.clause(), "VIRTIO 1.4, 2.7.13.1");
    });
}

#[test]
fn a_packed_ring_that_never_runs_dry_ends_after_as_many_chains_as_it_has_slots() {
    let (mut queue, memory) = queue(Features::RING_PACKED);
    transcript(&memory, |host| {
        queue.available(host).unwrap();
        for taken in 0..8u16 {
            // Available again at once, as a request could make it that writes to the ring.
            let (slot, flags) = (u64::from(taken % 4), if taken < 4 { 0x80u16 } else { 0x8000 });
            memory.write_obj(flags, GuestAddress(DESC + 16 * slot + 14)).unwrap();
            let chain = queue.take(host).unwrap();
            assert_eq!(chain.is_some(), taken < 4, "chain {taken}");
            if let Some(chain) = chain {
                queue.give_back(host, &chain, 0).unwrap();
            }
        }
    });
}
