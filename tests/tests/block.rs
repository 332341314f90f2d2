//! Every type of block request, right and wrong: what it ends with and what becomes of the disk.

use std::io;

use eclipse_devices::disk::{Abilities, Disk, Lifetime, MemoryDisk};
use eclipse_devices::virtio::{BlkConfig, Features, SegmentLimits};
use eclipse_tests::Bare;
use eclipse_tests::bare::WRITE;
use eclipse_tests::request::{ROOM, answer, ask, linked, segment, submit};
use expect_test::expect;

const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;
const GET_ID: u32 = 8;
const GET_LIFETIME: u32 = 10;
const DISCARD: u32 = 11;
const WRITE_ZEROES: u32 = 13;
const SECURE_ERASE: u32 = 14;

const OK: u8 = 0;
const IOERR: u8 = 1;
const UNSUPP: u8 = 2;

const SECTORS: u32 = 64;

/// All that can be offered; segments of up to 16 sectors, two in a request.
fn everything() -> BlkConfig {
    let limits = SegmentLimits { sectors: 16, segments: 2, alignment: 4 };
    BlkConfig {
        features: Features::from_bits_retain(1 << 32 | 0xff_ffff),
        size_max: 4096,
        seg_max: 3,
        discard: limits,
        write_zeroes: limits,
        secure_erase: limits,
        ..BlkConfig::default()
    }
}

fn worn() -> MemoryDisk {
    MemoryDisk::counting(SECTORS).worn(Lifetime::new(1, 2, 11).expect("no value is reserved"))
}

fn machine(disk: impl Disk + 'static) -> Bare {
    let bare = Bare::with_block(disk, everything());
    bare.start(u64::MAX);
    bare
}

/// `count` bytes of the disk from `sector` on, read by the device without a complaint.
fn read(bare: &Bare, sector: u64, count: usize) -> Vec<u8> {
    let expected = answer(OK, count as u32 + 1, []);
    assert_eq!(ask(bare, IN, sector, &[], count as u32), expected);
    (ROOM..).take(count).map(|address| bare.read(address)).collect()
}

/// All of the disk, in pieces that its `size_max` allows.
fn contents(bare: &Bare) -> Vec<u8> {
    (0..u64::from(SECTORS)).step_by(8).flat_map(|sector| read(bare, sector, 4096)).collect()
}

fn untouched() -> Vec<u8> {
    MemoryDisk::counting(SECTORS).bytes().to_vec()
}

#[test]
fn a_read_is_of_whole_sectors_inside_the_capacity() {
    let bare = machine(worn());
    assert_eq!(read(&bare, 3, 1024), untouched()[3 * 512..5 * 512]);
    let beyond = |sector: u64, len| {
        answer(
            IOERR,
            0,
            [&format!("5.2.6.1: {len} bytes at sector {sector} are beyond the capacity")],
        )
    };
    assert_eq!(ask(&bare, IN, 63, &[], 512), answer(OK, 513, []));
    assert_eq!(ask(&bare, IN, 64, &[], 512), beyond(64, 512));
    assert_eq!(ask(&bare, IN, 63, &[], 1024), beyond(63, 1024));
    assert_eq!(ask(&bare, IN, u64::MAX, &[], 512), beyond(u64::MAX, 512));
    assert_eq!(ask(&bare, IN, 1 << 55, &[], 512), beyond(1 << 55, 512));
    assert_eq!(ask(&bare, IN, 64, &[], 0), answer(OK, 1, []), "nothing, from the end on");
    for len in [1, 511, 513] {
        let wrong = format!("5.2.6.1: {len} bytes of data are no request of type 0");
        assert_eq!(ask(&bare, IN, 0, &[], len), answer(IOERR, 0, [&wrong]));
    }
    let wrong = "5.2.6: 7 bytes of data that a request of type 0 has no use for";
    assert_eq!(ask(&bare, IN, 0, &[0; 7], 512), answer(OK, 513, [wrong]));
}

#[test]
fn a_write_is_of_whole_sectors_inside_the_capacity_or_changes_nothing() {
    let bare = machine(worn());
    for (sector, len) in [(64, 512), (63, 1024), (u64::MAX, 512), (1 << 55, 1024)] {
        let wrong = format!("5.2.6.1: {len} bytes at sector {sector} are beyond the capacity");
        assert_eq!(ask(&bare, OUT, sector, &vec![7; len], 0), answer(IOERR, 1, [&wrong]));
    }
    for len in [1, 511, 513] {
        let wrong = format!("5.2.6.1: {len} bytes of data are no request of type 1");
        assert_eq!(ask(&bare, OUT, 0, &vec![7; len], 0), answer(IOERR, 1, [&wrong]));
    }
    assert_eq!(ask(&bare, OUT, 0, &[], 0), answer(OK, 1, []));
    assert_eq!(contents(&bare), untouched());

    let wrong = "5.2.6: 7 bytes of data that a request of type 1 has no use for";
    assert_eq!(ask(&bare, OUT, 62, &[7; 1024], 7), answer(OK, 0, [wrong]));
    assert_eq!(contents(&bare), [&untouched()[..62 * 512], &[7; 1024]].concat());
}

#[test]
fn a_flush_has_sector_0_and_no_data() {
    let bare = machine(worn());
    assert_eq!(ask(&bare, FLUSH, 0, &[], 0), answer(OK, 1, []));
    let sector = "5.2.6.1: flush with sector 9";
    assert_eq!(ask(&bare, FLUSH, 9, &[], 0), answer(OK, 1, [sector]));
    let data = "5.2.6.1: flush with 512 bytes of data";
    assert_eq!(ask(&bare, FLUSH, 0, &[1; 512], 0), answer(OK, 1, [data]));
    assert_eq!(ask(&bare, FLUSH, 0, &[], 512), answer(OK, 0, [data]));
    assert_eq!(contents(&bare), untouched());
}

#[test]
fn the_device_id_is_20_bytes_padded_with_nul() {
    let config = BlkConfig { id: "disk 7".parse().expect("it is short"), ..everything() };
    let bare = Bare::with_block(worn(), config);
    bare.start(u64::MAX);
    assert_eq!(ask(&bare, GET_ID, 0, &[], 20), answer(OK, 21, []));
    assert_eq!(bare.read::<[u8; 20]>(ROOM), *b"disk 7\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    let wrong = |len| format!("5.2.6.1: {len} bytes of data are no request of type 8");
    assert_eq!(ask(&bare, GET_ID, 0, &[], 4), answer(OK, 5, [&wrong(4)]));
    assert_eq!(ask(&bare, GET_ID, 0, &[], 21), answer(OK, 20, [&wrong(21)]));
    assert_eq!(ask(&bare, GET_ID, 0, &[], 0), answer(OK, 1, [&wrong(0)]));
}

#[test]
fn the_lifetime_is_three_numbers_or_none() {
    let bare = machine(worn());
    assert_eq!(ask(&bare, GET_LIFETIME, 0, &[], 6), answer(OK, 7, []));
    assert_eq!(bare.read::<[u8; 6]>(ROOM), [1, 0, 2, 0, 11, 0]);
    let wrong = |len| format!("5.2.6.1: {len} bytes of data are no request of type 10");
    assert_eq!(ask(&bare, GET_LIFETIME, 0, &[], 5), answer(IOERR, 0, [&wrong(5)]));
    assert_eq!(ask(&bare, GET_LIFETIME, 0, &[], 0), answer(IOERR, 1, [&wrong(0)]));
    assert_eq!(ask(&bare, GET_LIFETIME, 0, &[], 8), answer(OK, 6, [&wrong(8)]));
    let bare = machine(MemoryDisk::counting(SECTORS));
    let wrong = "5.2.3: request of type 10, whose feature was not negotiated";
    assert_eq!(ask(&bare, GET_LIFETIME, 0, &[], 6), answer(UNSUPP, 0, [wrong]));
}

#[test]
fn segments_are_discarded_zeroed_or_erased_and_no_other_sector_is() {
    for (kind, byte) in [(DISCARD, MemoryDisk::DISCARDED), (WRITE_ZEROES, 0), (SECURE_ERASE, 0)] {
        let bare = machine(worn());
        let segments = [segment(3, 2, 0), segment(48, 16, 0)].concat();
        assert_eq!(ask(&bare, kind, 0, &segments, 0), answer(OK, 1, []), "{kind}");
        assert_eq!(ask(&bare, kind, 0, &segment(64, 0, 0), 0), answer(OK, 1, []), "{kind}: none");
        let mut expected = untouched();
        expected[3 * 512..5 * 512].fill(byte);
        expected[48 * 512..].fill(byte);
        assert_eq!(contents(&bare), expected, "{kind}");
    }
}

#[test]
fn a_request_with_a_wrong_segment_changes_nothing() {
    for kind in [DISCARD, WRITE_ZEROES, SECURE_ERASE] {
        let bare = machine(worn());
        let good = segment(1, 1, 0);
        let check = |segments: &[Vec<u8>], status, wrong: String| {
            let asked = ask(&bare, kind, 0, &segments.concat(), 0);
            assert_eq!(asked, answer(status, 1, [&wrong]));
        };
        for (sector, sectors) in [(64, 1), (60, 5), (u64::MAX, 1), (u64::MAX - 1, 2), (1 << 55, 1)]
        {
            let len = 512 * sectors;
            let wrong = format!("5.2.6.1: {len} bytes at sector {sector} are beyond the capacity");
            check(&[good.clone(), segment(sector, sectors, 0)], IOERR, wrong);
        }
        for sectors in [17, u32::MAX] {
            let wrong = format!(
                "5.2.3: a segment of {sectors} sectors in a request of type {kind}, where the most is 16"
            );
            check(&[good.clone(), segment(0, sectors, 0)], IOERR, wrong);
        }
        for flags in [2, 3, 1 << 31, u32::MAX] {
            let wrong = format!("5.2.6.1: segment flags {flags:#010x} in a request of type {kind}");
            check(&[good.clone(), segment(1, 1, flags)], UNSUPP, wrong.clone());
            // 5.2.6.2 has no exception from UNSUPP for a segment that is wrong otherwise too.
            check(&[segment(64, 17, 0), segment(64, 17, flags)], UNSUPP, wrong);
        }
        let three = [good.clone(), good.clone(), good.clone()];
        let most = format!("5.2.6.1: 3 segments in a request of type {kind}, where the most is 2");
        check(&three, IOERR, most);
        for len in [0, 1, 15, 17, 31] {
            let wrong = format!("5.2.6.1: {len} bytes of data are no request of type {kind}");
            check(&[three.concat()[..len].to_vec()], IOERR, wrong);
        }
        assert_eq!(contents(&bare), untouched(), "{kind}");
    }
}

#[test]
fn unmap_is_for_write_zeroes_alone() {
    let bare = machine(worn());
    for kind in [DISCARD, SECURE_ERASE] {
        let wrong = format!("5.2.6.1: segment flags 0x00000001 in a request of type {kind}");
        assert_eq!(ask(&bare, kind, 0, &segment(1, 1, 1), 0), answer(UNSUPP, 1, [&wrong]));
    }
    assert_eq!(contents(&bare), untouched());
    assert_eq!(ask(&bare, WRITE_ZEROES, 0, &segment(1, 1, 1), 0), answer(OK, 1, []));
    assert_eq!(read(&bare, 1, 512), [0; 512]);
}

#[test]
fn segments_beyond_the_limit_are_not_even_read() {
    let bare = machine(worn());
    let chain = linked(&[(Bare::HEADER, 16, 0), (0, 16 << 20, 0), (Bare::STATUS, 1, WRITE)]);
    let (asked, transcript) = submit(&bare, DISCARD, 0, &chain);
    let wrong = "5.2.6.1: 1048576 segments in a request of type 11, where the most is 2";
    let long = "5.2.3: a data buffer of 16777216 bytes, where size_max is 4096";
    assert_eq!(asked, answer(IOERR, 1, [long, wrong]));
    assert_eq!(transcript.matches(" read ").count(), 1, "the header: {transcript}");
}

#[test]
fn a_segment_is_on_record_with_what_the_driver_asked_for() {
    let bare = machine(worn());
    for (address, byte) in (Bare::DATA..).zip([segment(8, 4, 1), segment(20, 1, 0)].concat()) {
        bare.write(address, byte);
    }
    let data = (Bare::DATA, 32, 0);
    let chain = linked(&[(Bare::HEADER, 16, 0), data, (Bare::STATUS, 1, WRITE)]);
    let transcript = submit(&bare, WRITE_ZEROES, 0, &chain).1;
    let lines = transcript.lines().skip(6).take(7).map(|line| format!("{line}\n"));
    expect![[r#"
        00:04.0 q0 desc[0] read 16 bytes at 0x4000
        00:04.0 q0 desc[1] read 16 bytes at 0x5000
        00:04.0 q0 segment 0: 4 sectors at 8, unmap
        00:04.0 q0 desc[1] read 16 bytes at 0x5010
        00:04.0 q0 segment 1: 1 sectors at 20
        00:04.0 q0 request 0: write_zeroes sector 0, 2560 bytes: ok
        00:04.0 q0 desc[2] write 1 bytes at 0x4010
    "#]]
    .assert_eq(&lines.collect::<String>());
}

#[test]
fn what_the_driver_did_not_negotiate_is_unsupported() {
    let segment = segment(1, 1, 0);
    let bits = [(FLUSH, 9, 0, 0), (GET_LIFETIME, 15, 0, 6)];
    let ranges = [(DISCARD, 13, 16, 0), (WRITE_ZEROES, 14, 16, 0), (SECURE_ERASE, 16, 16, 0)];
    for (kind, bit, data, room) in bits.into_iter().chain(ranges) {
        let wrong = format!("5.2.3: request of type {kind}, whose feature was not negotiated");
        let used = if room == 0 { 1 } else { 0 };
        let bare = Bare::with_block(worn(), everything());
        bare.start(!(1 << bit));
        let asked = ask(&bare, kind, 0, &segment[..data], room);
        assert_eq!(asked, answer(UNSUPP, used, [&wrong]));
        assert_eq!(contents(&bare), untouched());

        // QEMU carries out what it offers. It is on record all the same.
        let bare = Bare::with_block(worn(), BlkConfig { lenient: true, ..everything() });
        bare.start(!(1 << bit));
        let asked = ask(&bare, kind, 0, &segment[..data], room);
        assert_eq!(asked, answer(OK, room + 1, [&wrong]));

        let withheld = everything().features - Features::from_bits_retain(1 << bit);
        let config = BlkConfig { features: withheld, lenient: true, ..everything() };
        let bare = Bare::with_block(worn(), config);
        bare.start(u64::MAX);
        let asked = ask(&bare, kind, 0, &segment[..data], room);
        assert_eq!(asked, answer(UNSUPP, used, [&wrong]));
        assert_eq!(contents(&bare), untouched());
    }
}

#[test]
fn an_unknown_type_is_unsupported_and_no_violation() {
    let bare = machine(worn());
    // 5 is FLUSH_OUT over the legacy interface only; 15 to 26 are of zoned devices.
    let zoned = [15, 16, 18, 20, 22, 24, 26];
    for kind in [2, 3, 5, 6, 7, 9, 12, 17, 0x77, 0x8000_0000, 0x8000_0001, u32::MAX]
        .into_iter()
        .chain(zoned)
    {
        assert_eq!(ask(&bare, kind, 0, &[0; 512], 0), answer(UNSUPP, 1, []), "{kind:#x}");
        assert_eq!(ask(&bare, kind, 0, &[], 512), answer(UNSUPP, 0, []), "{kind:#x}");
    }
    assert_eq!(contents(&bare), untouched());
}

#[test]
fn a_read_only_device_fails_writes_and_offers_nothing_that_changes_it() {
    let bare = machine(worn().write_protected());
    bare.common(0x00, 4, 0);
    // SIZE_MAX SEG_MAX GEOMETRY RO BLK_SIZE FLUSH TOPOLOGY CONFIG_WCE MQ LIFETIME.
    assert_eq!(bare.load_common(0x04, 4), 0x9e76);
    let wrong = "5.2.6.1: write to a read-only device";
    assert_eq!(ask(&bare, OUT, 0, &[7; 512], 0), answer(IOERR, 1, [wrong]));
    for kind in [DISCARD, WRITE_ZEROES, SECURE_ERASE] {
        let wrong = format!("5.2.3: request of type {kind}, whose feature was not negotiated");
        let asked = ask(&bare, kind, 0, &segment(1, 1, 0), 0);
        assert_eq!(asked, answer(UNSUPP, 1, [&wrong]));
    }
    assert_eq!(ask(&bare, FLUSH, 0, &[], 0), answer(OK, 1, []));
    assert_eq!(contents(&bare), untouched());
}

/// A disk of which nothing works.
struct Broken;

impl Disk for Broken {
    fn sectors(&self) -> u64 {
        SECTORS.into()
    }

    fn read_only(&self) -> bool {
        false
    }

    fn read(&mut self, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::Error::other("broken"))
    }

    fn write(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::Error::other("broken"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::Error::other("broken"))
    }

    fn abilities(&self) -> Abilities {
        Abilities::all()
    }
}

#[test]
fn buffers_beyond_size_max_and_seg_max_are_violations_and_carried_out() {
    let bare = machine(worn());
    let header = (Bare::HEADER, 16, 0);
    let status = (Bare::STATUS, 1, WRITE);
    let part = |at: u64| (ROOM + at, 128, WRITE);
    let three = linked(&[header, part(0), part(128), (ROOM + 256, 256, WRITE), status]);
    assert_eq!(submit(&bare, IN, 0, &three).0, answer(OK, 513, []));
    // A buffer without a byte of data is none, neither empty nor with the status alone.
    let empty = linked(&[header, (0, 0, WRITE), (ROOM, 256, WRITE), (ROOM, 256, WRITE), status]);
    assert_eq!(submit(&bare, IN, 0, &empty).0, answer(OK, 513, []));
    let four = linked(&[header, part(0), part(128), part(256), (ROOM + 384, 129, WRITE)]);
    let many = "5.2.3: 4 data buffers, where seg_max is 3";
    // The status is in the last of the four, and not where it was looked for.
    assert_eq!(submit(&bare, IN, 0, &four).0, answer(0xff, 513, [many]));

    let long = "5.2.3: a data buffer of 4608 bytes, where size_max is 4096";
    assert_eq!(ask(&bare, IN, 0, &[], 4608), answer(OK, 4609, [long]));
    assert_eq!(ask(&bare, OUT, 8, &[7; 4608], 0), answer(OK, 1, [long]));
    let whole = linked(&[(Bare::HEADER, 16 + 4096, 0), status]);
    assert_eq!(submit(&bare, OUT, 0, &whole).0, answer(OK, 1, []), "the header is no data");

    // Limits that were not negotiated are none.
    let bare = Bare::with_block(worn(), everything());
    bare.start(!(1 << 1 | 1 << 2));
    assert_eq!(ask(&bare, IN, 0, &[], 4608), answer(OK, 4609, []));
    assert_eq!(submit(&bare, IN, 0, &four).0, answer(0xff, 513, []));
}

#[test]
fn an_error_of_the_disk_is_ioerr_and_no_violation() {
    let bare = machine(Broken);
    assert_eq!(ask(&bare, IN, 0, &[], 512), answer(IOERR, 0, []));
    assert_eq!(ask(&bare, OUT, 0, &[1; 512], 0), answer(IOERR, 1, []));
    assert_eq!(ask(&bare, FLUSH, 0, &[], 0), answer(IOERR, 1, []));
    for kind in [DISCARD, WRITE_ZEROES, SECURE_ERASE] {
        assert_eq!(ask(&bare, kind, 0, &segment(1, 1, 0), 0), answer(IOERR, 1, []));
    }
}
