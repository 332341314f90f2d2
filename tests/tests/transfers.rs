//! Data on its way between disk and guest: long transfers, wrapping ones, failing disks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use eclipse_devices::disk::{Disk, MemoryDisk};
use eclipse_tests::Bare;
use eclipse_tests::bare::{Descriptor, NEXT, WRITE};

const READ: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;
/// Where a long transfer begins, and its length: two chunks and a bit.
const LONG: (u64, u32) = (0x10_0000, 0x2_0400);

fn chain(addr: u64, len: u32, flags: u16) -> [Descriptor; 3] {
    [(Bare::HEADER, 16, NEXT, 1), (addr, len, NEXT | flags, 2), (Bare::STATUS, 1, WRITE, 0)]
}

#[test]
fn a_long_read_brings_every_sector_to_its_place() {
    let bare = Bare::ready(MemoryDisk::counting(1024));
    bare.header(READ, 5);
    bare.submit(&chain(LONG.0, LONG.1, WRITE));
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0);
    for word in (0..u64::from(LONG.1) / 8).step_by(61) {
        assert_eq!(bare.read::<u64>(LONG.0 + 8 * word), 5 * 64 + word);
    }
}

#[test]
fn a_long_write_takes_every_sector_to_its_place() {
    let bare = Bare::ready(MemoryDisk::counting(1024));
    for word in 0..u64::from(LONG.1) / 8 {
        bare.write(LONG.0 + 8 * word, !word);
    }
    bare.header(OUT, 5);
    bare.submit(&chain(LONG.0, LONG.1, 0));
    let back = 0x20_0000;
    bare.header(READ, 4);
    bare.submit(&chain(back, LONG.1 + 1024, WRITE));
    assert_eq!(bare.read::<u64>(back), 4 * 64, "the sector before is as it was");
    for word in (0..u64::from(LONG.1) / 8).step_by(61) {
        assert_eq!(bare.read::<u64>(back + 512 + 8 * word), !word);
    }
    let after = back + 512 + u64::from(LONG.1);
    assert_eq!(bare.read::<u64>(after), (5 * 512 + u64::from(LONG.1)) / 8, "and the one behind");
}

#[test]
fn a_queue_goes_round_its_ring_more_than_once() {
    let bare = Bare::ready(MemoryDisk::counting(64));
    bare.header(READ, 0);
    bare.descriptors(&chain(Bare::DATA, 512, WRITE));
    for round in 1..=3 * Bare::SIZE {
        bare.make_available(0);
        assert_eq!(bare.read::<u16>(Bare::USED + 2), round);
    }
}

#[test]
fn a_buffer_that_wraps_around_the_address_space_is_not_in_ram() {
    let bare = Bare::ready(MemoryDisk::counting(64));
    bare.header(FLUSH, 0);
    bare.write(0, 0xaau8);
    let transcript = bare.submit(&[(Bare::HEADER, 16, NEXT, 1), (u64::MAX, 2, WRITE, 0)]);
    let violation = "violation of VIRTIO 1.4, 6.1: 2 bytes at 0xffffffffffffffff are not all";
    assert!(transcript.contains(violation), "{transcript}");
    assert_eq!(bare.read::<u8>(0), 0xaa, "nothing was written at 0");
}

#[test]
fn a_chain_of_more_than_4_gib_is_refused() {
    let bare = Bare::ready(MemoryDisk::counting(64));
    bare.header(READ, 0);
    let long = u32::MAX;
    let transcript = bare.submit(&[
        (Bare::HEADER, 16, NEXT, 1),
        (Bare::DATA, long, NEXT | WRITE, 2),
        (Bare::DATA, long, WRITE, 0),
    ]);
    assert!(transcript.contains("violation of VIRTIO 1.4, 2.7.5.2"), "{transcript}");
}

#[test]
fn a_used_ring_outside_ram_is_not_recorded_as_written() {
    let bare = Bare::new(MemoryDisk::counting(64));
    bare.config_store(0x04, 2, 0x0406);
    bare.accept_features();
    bare.set_up_queue();
    bare.common(0x34, 4, 1);
    bare.common(0x1c, 2, 1);
    bare.common(0x14, 1, 0x0f);
    bare.header(READ, 0);
    let transcript = bare.submit(&chain(Bare::DATA, 512, WRITE));
    assert!(!transcript.contains("used.ring"), "{transcript}");
    assert!(transcript.contains("8 bytes at 0x100003004 are not all in guest RAM"), "{transcript}");
}

#[test]
fn what_was_given_back_before_a_broken_chain_is_notified() {
    let bare = Bare::ready(MemoryDisk::counting(64));
    bare.header(FLUSH, 0);
    bare.descriptors(&[(Bare::HEADER, 16, NEXT, 1), (Bare::STATUS, 1, WRITE, 0)]);
    bare.write(Bare::AVAIL + 4, 0u16);
    bare.write(Bare::AVAIL + 6, 99u16);
    bare.write(Bare::AVAIL + 2, 2u16);
    let transcript = bare.transcript_of(|| bare.store(Bare::NOTIFY, 2, 0));
    let (queue, config) = (transcript.find("msix 1:"), transcript.find("msix 0:"));
    assert!(queue.is_some() && queue < config, "{transcript}");
}

#[test]
fn a_doorbell_with_nothing_new_sends_nothing_and_its_value_is_checked() {
    let bare = Bare::ready(MemoryDisk::counting(64));
    bare.header(FLUSH, 0);
    bare.submit(&[(Bare::HEADER, 16, NEXT, 1), (Bare::STATUS, 1, WRITE, 0)]);
    let transcript = bare.transcript_of(|| bare.store(Bare::NOTIFY, 2, 1));
    let expected = "guest   00:04.0 notify q0 <- 0001\n\
         00:04.0 violation of VIRTIO 1.4, 4.1.5.2.1: queue 0 notified with value 0x1\n\
         00:04.0 q0 avail.idx -> 0001\n";
    assert_eq!(transcript, expected);
}

/// A disk on which everything fails, and which counts what reaches it.
struct Failing {
    read_only: bool,
    reached: Arc<AtomicU32>,
}

impl Failing {
    fn fail(&self) -> io::Result<()> {
        self.reached.fetch_add(1, Ordering::Relaxed);
        Err(io::Error::other("a disk that fails"))
    }
}

impl Disk for Failing {
    fn sectors(&self) -> u64 {
        64
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn read(&mut self, _sector: u64, _buffer: &mut [u8]) -> io::Result<()> {
        self.fail()
    }

    fn write(&mut self, _sector: u64, _data: &[u8]) -> io::Result<()> {
        self.fail()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.fail()
    }
}

/// The status of a request on a failing disk, and how often the disk was reached.
fn on_failing_disk(read_only: bool, kind: u32, descriptors: &[Descriptor]) -> (u8, u32) {
    let reached = Arc::new(AtomicU32::new(0));
    let bare = Bare::ready(Failing { read_only, reached: Arc::clone(&reached) });
    bare.header(kind, 0);
    bare.submit(descriptors);
    (bare.read(Bare::STATUS), reached.load(Ordering::Relaxed))
}

#[test]
fn what_fails_on_the_disk_fails_for_the_driver() {
    let flush = [(Bare::HEADER, 16, NEXT, 1), (Bare::STATUS, 1, WRITE, 0)];
    assert_eq!(on_failing_disk(false, READ, &chain(Bare::DATA, 512, WRITE)), (1, 1));
    assert_eq!(on_failing_disk(false, OUT, &chain(Bare::DATA, 512, 0)), (1, 1));
    assert_eq!(on_failing_disk(false, FLUSH, &flush), (1, 1));
    assert_eq!(on_failing_disk(true, OUT, &chain(Bare::DATA, 512, 0)), (1, 0), "never tried");
}
