//! What a doorbell costs is bounded by what was made available: counted, not timed.

use std::collections::BTreeMap;

use eclipse_devices::virtio::Features;
use eclipse_tests::Bare;
use eclipse_tests::bare::{INDIRECT, NEXT, WRITE};
use eclipse_tests::rings::{PackedDriver, ready, write_entry};
use eclipse_trace::{Entry, Event, Table};

const READ: u32 = 0;
const SIZE: u16 = 256;
/// Where indirect tables begin, 64 bytes each.
const TABLES: u64 = 0x10_0000;
const DATA: u64 = 0x8000;
const STATUS: u64 = 0x9000;

/// What the device did to guest memory and to the driver, by kind.
type Work = BTreeMap<&'static str, usize>;

fn work(entries: &[Entry]) -> Work {
    let mut work = Work::new();
    for entry in entries {
        let kind = match entry.event {
            Event::Ring { .. } => "ring fields",
            Event::Descriptor { table: Table::Queue, .. } => "descriptors",
            Event::PackedDescriptor { table: Table::Queue, .. } => "descriptors",
            Event::Descriptor { .. } | Event::PackedDescriptor { .. } => "table entries",
            Event::Buffer { .. } => "buffers",
            Event::Request { .. } => "requests",
            Event::Used { .. } | Event::PackedUsed { .. } => "used elements",
            Event::Violation { .. } => "violations",
            _ => "others",
        };
        *work.entry(kind).or_default() += 1;
    }
    work
}

/// How the chains of a read are made.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Direct,
    Indirect,
    Packed,
}

impl Form {
    fn ready(self) -> Bare {
        let features = match self {
            Form::Direct => Features::empty(),
            Form::Indirect => Features::INDIRECT_DESC,
            Form::Packed => Features::RING_PACKED,
        };
        let bare = ready(features, SIZE);
        bare.header(READ, 1);
        bare
    }

    /// Makes `chains` reads of a sector available, and rings once.
    fn submit(self, bare: &Bare, chains: u16) {
        let buffers = [(Bare::HEADER, 16, 0), (DATA, 512, WRITE), (STATUS, 1, WRITE)];
        let mut packed = PackedDriver::new(SIZE);
        for chain in 0..chains {
            let table = TABLES + 64 * u64::from(chain);
            let (at, head) = match self {
                Form::Packed => {
                    packed.push(bare, &buffers, chain);
                    continue;
                }
                Form::Direct => (Bare::DESC + 48 * u64::from(chain), 3 * chain),
                Form::Indirect => {
                    let at = Bare::DESC + 16 * u64::from(chain);
                    write_entry(bare, at, table, 48, INDIRECT, 0);
                    (table, chain)
                }
            };
            let first = if self == Form::Direct { head } else { 0 };
            for (index, (addr, len, flags)) in (0..).zip(buffers) {
                let more = if index < 2 { NEXT } else { 0 };
                let next = first + index + 1;
                write_entry(bare, at + 16 * u64::from(index), addr, len, flags | more, next);
            }
            bare.write(Bare::AVAIL + 4 + 2 * u64::from(chain), head);
        }
        if self != Form::Packed {
            bare.write(Bare::AVAIL + 2, chains);
        }
        bare.store(Bare::NOTIFY, 2, 0);
    }
}

/// The work of one doorbell with so many chains behind it.
fn doorbell(form: Form, chains: u16) -> Work {
    let bare = form.ready();
    let from = bare.machine.entries().len();
    form.submit(&bare, chains);
    work(&bare.machine.entries()[from..])
}

#[test]
fn a_request_is_broken_off_when_the_run_is_to_end() {
    let bare = Form::Direct.ready();
    bare.machine.end_run();
    let from = bare.machine.entries().len();
    Form::Direct.submit(&bare, 85);
    let entries = bare.machine.entries();
    let lines = entries[from..].iter().map(ToString::to_string);
    let requests: Vec<_> = lines.filter(|line| line.contains(" request ")).collect();
    assert_eq!(requests.len(), 85);
    assert!(requests.iter().all(|line| line.ends_with("ioerr")), "{requests:?}");
    assert_eq!(bare.read::<[u8; 8]>(DATA), [0; 8], "no data was moved");
}

#[test]
fn the_work_of_a_doorbell_grows_by_the_same_with_each_chain() {
    for form in [Form::Direct, Form::Indirect, Form::Packed] {
        let (none, one) = (doorbell(form, 0), doorbell(form, 1));
        assert_eq!(one.get("requests"), Some(&1), "{form:?}: {one:?}");
        let of = |work: &Work, kind: &str| work.get(kind).copied().unwrap_or(0);
        // What is read of a packed ring behind the last chain, and of the driver's wish for an
        // interrupt, is the same for one chain as for many.
        let two = doorbell(form, 2);
        for chains in [10, 85] {
            let many = doorbell(form, chains);
            let kinds = many.keys().chain(two.keys()).chain(none.keys());
            for kind in kinds {
                let each = of(&two, kind) - of(&one, kind);
                let expected = of(&one, kind) + each * usize::from(chains - 1);
                assert_eq!(of(&many, kind), expected, "{form:?}, {chains} chains: {kind}");
            }
            assert_eq!(of(&many, "requests"), usize::from(chains), "{form:?}");
            assert_eq!(of(&many, "violations"), 0, "{form:?}");
        }
    }
}

// Else 256 slots of the available ring and 256 descriptors would be 65536 of work.
#[test]
fn the_longest_chain_in_every_slot_is_not_walked_for_every_slot() {
    let bare = Form::Direct.ready();
    for index in 0..SIZE {
        let (addr, len, flags) = match index {
            0 => (Bare::HEADER, 16, NEXT),
            255 => (STATUS, 1, WRITE),
            _ => (DATA, 512, NEXT | WRITE),
        };
        write_entry(&bare, Bare::DESC + 16 * u64::from(index), addr, len, flags, index + 1);
        bare.write(Bare::AVAIL + 4 + 2 * u64::from(index), 0u16);
    }
    bare.write(Bare::AVAIL + 2, SIZE);
    let from = bare.machine.entries().len();
    let transcript = bare.transcript_of(|| bare.store(Bare::NOTIFY, 2, 0));
    let work = work(&bare.machine.entries()[from..]);
    assert_eq!(work.get("used elements"), Some(&1), "the first is a request like any other");
    assert!(work["descriptors"] <= 2 * usize::from(SIZE), "{work:?}");
    let broken = "violation of VIRTIO 1.4, 2.7.13.1: queue 0 has more descriptors outstanding";
    assert!(transcript.contains(broken), "{work:?}");
    assert_eq!(bare.load_common(0x14, 1), 0x4f, "NEEDS_RESET");
}
