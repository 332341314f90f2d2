//! Requests at random against an array of bytes, and requests cut into descriptors at random.

use eclipse_devices::disk::{CopyOnWriteDisk, Disk, FileDisk, MemoryDisk};
use eclipse_devices::virtio::{BlkConfig, Features, SegmentLimits};
use eclipse_tests::Bare;
use eclipse_tests::bare::{Descriptor, NEXT, WRITE};
use proptest::collection::vec;
use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

const SECTORS: u32 = 300;
const ROOM: u64 = 0x10_0000;
const MOST: u32 = 40;

fn machine(disk: impl Disk + 'static) -> Bare {
    let limits = SegmentLimits { sectors: MOST, segments: 3, alignment: 1 };
    let bare = Bare::with_block(
        disk,
        BlkConfig {
            features: Features::from_bits_retain(1 << 32 | 0x00_6244),
            discard: limits,
            write_zeroes: limits,
            ..BlkConfig::default()
        },
    );
    bare.start(u64::MAX);
    bare
}

/// What a driver may ask for, rightly or not.
#[derive(Clone, Debug)]
enum Step {
    Read { sector: u64, bytes: u32 },
    Write { sector: u64, bytes: u32, seed: u8 },
    Flush,
    Zeroes(Vec<(u64, u32, u32)>),
}

fn sector() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..u64::from(SECTORS) + 2, 1 => any::<u64>()]
}

fn bytes() -> impl Strategy<Value = u32> {
    // Up to three of the pieces of 64 KiB in which a request is carried out.
    prop_oneof![6 => (0..300u32).prop_map(|n| 512 * n), 1 => 0..5000u32]
}

fn step() -> impl Strategy<Value = Step> {
    let segment = (sector(), 0..MOST + 2, prop_oneof![9 => 0..2u32, 1 => any::<u32>()]);
    prop_oneof![
        4 => (sector(), bytes()).prop_map(|(sector, bytes)| Step::Read { sector, bytes }),
        4 => (sector(), bytes(), any::<u8>())
            .prop_map(|(sector, bytes, seed)| Step::Write { sector, bytes, seed }),
        1 => Just(Step::Flush),
        2 => vec(segment, 0..5).prop_map(Step::Zeroes),
    ]
}

/// Bytes that say where they are.
fn pattern(seed: u8, len: u32) -> Vec<u8> {
    (0..len).map(|at| seed ^ (at as u8) ^ ((at >> 8) as u8)).collect()
}

fn segment(&(sector, sectors, flags): &(u64, u32, u32)) -> Vec<u8> {
    [&sector.to_le_bytes()[..], &sectors.to_le_bytes(), &flags.to_le_bytes()].concat()
}

/// The bytes of the model that an access concerns, if it is allowed.
fn range(sector: u64, bytes: u64) -> Option<std::ops::Range<usize>> {
    let end = u128::from(sector) * 512 + u128::from(bytes);
    let inside = bytes.is_multiple_of(512) && end <= u128::from(SECTORS) * 512;
    inside.then(|| sector as usize * 512..end as usize)
}

/// Carries out `kind` with `data` and `room`; the status.
fn ask(bare: &Bare, kind: u32, sector: u64, data: &[u8], room: u32) -> u8 {
    bare.machine.memory().write_slice(data, GuestAddress(ROOM)).expect("it is in RAM");
    bare.header(kind, sector);
    let middle = match room {
        0 => (ROOM, data.len() as u32, NEXT, 2),
        room => (ROOM, room, NEXT | WRITE, 2),
    };
    bare.submit(&[(Bare::HEADER, 16, NEXT, 1), middle, (Bare::STATUS, 1, WRITE, 0)]);
    bare.read(Bare::STATUS)
}

/// Carries out a step on the device and on the model, and compares.
fn carry_out(bare: &Bare, model: &mut [u8], step: &Step) {
    match step {
        Step::Read { sector, bytes } => {
            let status = ask(bare, 0, *sector, &[], *bytes);
            let mine = range(*sector, (*bytes).into());
            assert_eq!(status, u8::from(mine.is_none()));
            if let Some(mine) = mine {
                let mut read = vec![0; *bytes as usize];
                bare.machine.memory().read_slice(&mut read, GuestAddress(ROOM)).expect("RAM");
                assert!(read == model[mine], "{bytes} bytes at {sector}");
            }
        }
        Step::Write { sector, bytes, seed } => {
            let data = pattern(*seed, *bytes);
            let mine = range(*sector, (*bytes).into());
            assert_eq!(ask(bare, 1, *sector, &data, 0), u8::from(mine.is_none()));
            if let Some(mine) = mine {
                model[mine].copy_from_slice(&data);
            }
        }
        Step::Flush => assert_eq!(ask(bare, 4, 0, &[], 0), 0),
        Step::Zeroes(segments) => {
            let data: Vec<u8> = segments.iter().flat_map(segment).collect();
            let range =
                |s: &(u64, u32, u32)| range(s.0, u64::from(s.1) * 512).filter(|_| s.1 <= MOST);
            let expected = match segments {
                segments if segments.is_empty() || segments.len() > 3 => 1,
                segments if segments.iter().any(|segment| segment.2 > 1) => 2,
                segments => u8::from(segments.iter().any(|segment| range(segment).is_none())),
            };
            assert_eq!(ask(bare, 13, 0, &data, 0), expected);
            if expected == 0 {
                segments.iter().filter_map(range).for_each(|range| model[range].fill(0));
            }
        }
    }
}

fn check(bare: &Bare, steps: &[Step]) -> Vec<u8> {
    let mut model = MemoryDisk::counting(SECTORS).bytes().to_vec();
    for step in steps {
        carry_out(bare, &mut model, step);
    }
    carry_out(bare, &mut model, &Step::Read { sector: 0, bytes: SECTORS * 512 });
    model
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_disk_holds_what_was_written_to_it_last(steps in vec(step(), 0..20)) {
        check(&machine(MemoryDisk::counting(SECTORS)), &steps);
        check(&machine(CopyOnWriteDisk::new(MemoryDisk::counting(SECTORS))), &steps);
    }

    #[test]
    fn a_file_holds_what_was_written_and_the_base_of_an_overlay_what_it_held(
        steps in vec(step(), 0..20),
    ) {
        let directory = tempfile::tempdir().expect("the host has room");
        let path = directory.path().join("disk.img");
        let before = MemoryDisk::counting(SECTORS).bytes().to_vec();
        std::fs::write(&path, &before).expect("the host has room");
        let base = FileDisk::read_only(&path).expect("it was just written");
        check(&machine(CopyOnWriteDisk::new(base)), &steps);
        prop_assert!(std::fs::read(&path).expect("it is there") == before);

        let disk = FileDisk::read_write(&path).expect("it was just written");
        let model = check(&machine(disk), &steps);
        prop_assert!(std::fs::read(&path).expect("it is there") == model);
    }

    #[test]
    fn a_request_may_be_cut_anywhere(
        kind in prop_oneof![Just(0u32), Just(1), Just(8), Just(13)],
        cuts in vec(0..1100u32, 0..4),
        order in any::<u64>(),
    ) {
        let bare = machine(MemoryDisk::counting(SECTORS));
        let (data, room) = match kind {
            0 => (vec![], 1024),
            1 => (pattern(0x5a, 1024), 0),
            8 => (vec![], 20),
            _ => ([segment(&(7, 2, 0)), segment(&(3, 2, 1))].concat(), 0),
        };
        // Readable bytes lie at ROOM, writable ones behind, each piece at a place of its own.
        let mut request = [&kind.to_le_bytes()[..], &[0; 4], &5u64.to_le_bytes(), &data].concat();
        if kind > 1 {
            request[8..16].fill(0);
        }
        let mut descriptors: Vec<Descriptor> = Vec::new();
        let mut written = Vec::new();
        for (bytes, flags) in [(request.len() as u32, 0), (room + 1, WRITE)] {
            let mut ends: Vec<_> = cuts.iter().map(|cut| cut % bytes).chain([0, bytes]).collect();
            ends.sort();
            ends.dedup();
            for pair in ends.windows(2) {
                let place = descriptors.len() as u64 ^ (order & 7);
                let address = ROOM + 0x1000 * place;
                let len = pair[1] - pair[0];
                if flags == 0 {
                    let piece = &request[pair[0] as usize..pair[1] as usize];
                    bare.machine.memory().write_slice(piece, GuestAddress(address)).expect("RAM");
                } else {
                    written.push((address, len));
                }
                descriptors.push((address, len, flags | NEXT, descriptors.len() as u16 + 1));
            }
        }
        prop_assume!(descriptors.len() <= Bare::SIZE.into());
        if let Some(last) = descriptors.last_mut() {
            last.2 -= NEXT;
        }
        bare.submit(&descriptors);
        let mut answer = Vec::new();
        for (address, len) in written {
            let mut piece = vec![0; len as usize];
            bare.machine.memory().read_slice(&mut piece, GuestAddress(address)).expect("RAM");
            answer.extend(piece);
        }
        prop_assert_eq!(answer.pop(), Some(0), "OK is the last byte");
        let before = MemoryDisk::counting(SECTORS).bytes().to_vec();
        match kind {
            0 => prop_assert!(answer == before[5 * 512..7 * 512]),
            8 => prop_assert_eq!(&answer[..], b"eclipse-vmm disk\0\0\0\0"),
            _ => {}
        }
        let mut model = before;
        match kind {
            1 => model[5 * 512..7 * 512].copy_from_slice(&data),
            13 => {
                model[7 * 512..9 * 512].fill(0);
                model[3 * 512..5 * 512].fill(0);
            }
            _ => {}
        }
        carry_out(&bare, &mut model, &Step::Read { sector: 0, bytes: SECTORS * 512 });
    }
}
