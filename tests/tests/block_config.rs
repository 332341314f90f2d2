//! The block device's configuration: every register at every width and alignment, with its
//! feature offered and withheld.

use std::ptr::NonNull;

use eclipse_devices::disk::{CopyOnWriteDisk, MemoryDisk};
use eclipse_devices::virtio::{BlkConfig, Features, Geometry, SegmentLimits, Topology};
use eclipse_tests::Bare;
use eclipse_trace::{Entry, Event};
use expect_test::expect;
use virtio_spec::blk::{
    Config, ConfigVolatileFieldAccess, F, GeometryVolatileFieldAccess, TopologyVolatileFieldAccess,
};
use volatile::VolatileRef;

/// `struct virtio_blk_config` (VIRTIO 1.4, 5.2.4): offset, width, the bit of the feature that
/// the field needs, and the value that [`odd`] has there.
const FIELDS: [(u64, u8, Option<u32>, u64); 27] = [
    (0x00, 4, None, 0x47),
    (0x04, 4, None, 0),
    (0x08, 4, Some(1), 0x0102_0304),
    (0x0c, 4, Some(2), 0x0506_0708),
    (0x10, 2, Some(4), 0x0910),
    (0x12, 1, Some(4), 0x11),
    (0x13, 1, Some(4), 0x12),
    (0x14, 4, Some(6), 0x1000),
    (0x18, 1, Some(10), 0x13),
    (0x19, 1, Some(10), 0x14),
    (0x1a, 2, Some(10), 0x1516),
    (0x1c, 4, Some(10), 0x1718_1920),
    (0x20, 1, Some(11), 1),
    (0x21, 1, Some(11), 0),
    (0x22, 2, Some(12), 1),
    (0x24, 4, Some(13), 0x2122_2324),
    (0x28, 4, Some(13), 0x2526_2728),
    (0x2c, 4, Some(13), 0x2930_3132),
    (0x30, 4, Some(14), 0x3334_3536),
    (0x34, 4, Some(14), 0x3738_3940),
    (0x38, 1, Some(14), 0),
    (0x39, 1, Some(14), 0),
    (0x3a, 1, Some(14), 0),
    (0x3b, 1, Some(14), 0),
    (0x3c, 4, Some(16), 0x4344_4546),
    (0x40, 4, Some(16), 0x4748_4950),
    (0x44, 4, Some(16), 0x5152_5354),
];

/// A device of which no two fields are equal.
fn odd(features: u64) -> BlkConfig {
    BlkConfig {
        features: Features::from_bits_retain(features),
        size_max: 0x0102_0304,
        seg_max: 0x0506_0708,
        geometry: Some(Geometry { cylinders: 0x0910, heads: 0x11, sectors: 0x12 }),
        blk_size: 0x1000,
        topology: Topology {
            physical_block_exp: 0x13,
            alignment_offset: 0x14,
            min_io_size: 0x1516,
            opt_io_size: 0x1718_1920,
        },
        discard: SegmentLimits {
            sectors: 0x2122_2324,
            segments: 0x2526_2728,
            alignment: 0x2930_3132,
        },
        write_zeroes: SegmentLimits { sectors: 0x3334_3536, segments: 0x3738_3940, alignment: 0 },
        secure_erase: SegmentLimits {
            sectors: 0x4344_4546,
            segments: 0x4748_4950,
            alignment: 0x5152_5354,
        },
        ..BlkConfig::default()
    }
}

const ALL: u64 = 1 << 32 | 0x01_ffff;
/// The bits that guard a field of the configuration.
const GUARDS: [u32; 10] = [1, 2, 4, 6, 10, 11, 12, 13, 14, 16];

/// Features negotiated, so that all fields may be read.
fn machine(features: u64) -> Bare {
    let bare = Bare::with_block(MemoryDisk::counting(0x47), odd(features));
    bare.accept_features();
    bare
}

/// Compares every access with the table, for a device that offers `features`.
fn check(features: u64) {
    let bare = machine(features);
    let from = bare.machine.entries().len();
    for width in [1, 2, 4, 8] {
        for offset in 0..0x80 {
            let field = FIELDS.iter().find(|field| (field.0, field.1) == (offset, width));
            let there = field.filter(|field| field.2.is_none_or(|bit| features & 1 << bit != 0));
            let all_ones = u64::MAX >> (64 - 8 * u32::from(width));
            let expected = there.map_or(all_ones, |field| field.3);
            let value = bare.load(Bare::BLOCK + offset, width);
            assert_eq!(value, expected, "{width} bytes at {offset:#x}, features {features:#x}");
        }
    }
    let refused = |entry: &&Entry| matches!(entry.event, Event::Refused { .. });
    let refused = bare.machine.entries()[from..].iter().filter(refused).count();
    let there = FIELDS.iter().filter(|f| f.2.is_none_or(|bit| features & 1 << bit != 0)).count();
    assert_eq!(refused, 4 * 0x80 - there, "each other access is refused");
}

#[test]
fn every_access_is_to_exactly_a_field_whose_feature_is_offered() {
    check(ALL);
    check(1 << 32);
    for bit in GUARDS {
        // CONFIG_WCE is not offered without FLUSH.
        check(1 << 32 | 1 << 9 | 1 << bit);
        check(ALL & !(1 << bit));
    }
    check(ALL & !(1 << 9) & !(1 << 11));
}

#[test]
fn without_flush_config_wce_is_not_offered() {
    let bare = Bare::with_block(MemoryDisk::counting(8), odd(ALL & !(1 << 9)));
    bare.common(0x00, 4, 0);
    assert_eq!(bare.load_common(0x04, 4) & (1 << 9 | 1 << 11), 0);
    assert_eq!(bare.load(Bare::BLOCK + 0x20, 1), 0xff);
}

#[test]
fn no_store_to_a_read_only_field_has_an_effect() {
    let bare = machine(ALL);
    for width in [1, 2, 4, 8] {
        for offset in (0..0x80).filter(|&offset| (offset, width) != (0x20, 1)) {
            let line = bare.transcript_of(|| bare.store(Bare::BLOCK + offset, width, 0x77));
            assert!(line.contains("refused"), "{width} bytes at {offset:#x}: {line}");
        }
    }
    check(ALL);
}

// The crate is another reading of the same text. It has `num_queues` as one byte, which the text
// has as two (5.2.4: `le16 num_queues`); the byte that it leaves out is padding to it.
#[test]
fn offsets_and_widths_are_those_of_the_public_crate() {
    // SAFETY: a `Config` is integers only, for which all bits zero is a value.
    let config: Config = unsafe { std::mem::zeroed() };
    let config = VolatileRef::from_ref(&config);
    let all = config.as_ptr();
    let base = all.as_raw_ptr().addr().get();
    let mut theirs = Vec::new();
    fn place<T>(at: NonNull<T>) -> (usize, usize) {
        (at.addr().get(), size_of::<T>())
    }
    macro_rules! fields {
        ($structure:expr, $($field:ident)+) => {
            $(theirs.push(place($structure.$field().as_raw_ptr()));)+
        };
    }
    fields!(all, capacity size_max seg_max);
    fields!(all.geometry(), cylinders heads sectors);
    fields!(all, blk_size);
    fields!(all.topology(), physical_block_exp alignment_offset min_io_size opt_io_size);
    fields!(all, writeback unused0 num_queues max_discard_sectors max_discard_seg);
    fields!(all, discard_sector_alignment max_write_zeroes_sectors max_write_zeroes_seg);
    fields!(all, write_zeroes_may_unmap unused1 max_secure_erase_sectors max_secure_erase_seg);
    fields!(all, secure_erase_sector_alignment);

    // 64-bit fields are two registers here (4.1.3.1), and an array is one for each element.
    let joined = [(0x00, 8), (0x39, 3)];
    let split = [0x00, 0x04, 0x39, 0x3a, 0x3b];
    let mut ours: Vec<_> = FIELDS
        .iter()
        .map(|field| (field.0 as usize, usize::from(field.1)))
        .filter(|(offset, _)| !split.contains(offset))
        .map(|place| if place == (0x22, 2) { (0x22, 1) } else { place })
        .chain(joined)
        .collect();
    ours.sort();
    let theirs: Vec<_> = theirs.iter().map(|&(at, size)| (at - base, size)).collect();
    assert_eq!(ours, theirs);
    assert_eq!(place(all.zoned().as_raw_ptr()).0 - base, 0x48, "not offered, and behind the rest");
}

#[test]
fn feature_bits_are_those_of_the_public_crate() {
    let theirs = [
        (F::SIZE_MAX, Features::SIZE_MAX),
        (F::SEG_MAX, Features::SEG_MAX),
        (F::GEOMETRY, Features::GEOMETRY),
        (F::RO, Features::RO),
        (F::BLK_SIZE, Features::BLK_SIZE),
        (F::FLUSH, Features::FLUSH),
        (F::TOPOLOGY, Features::TOPOLOGY),
        (F::CONFIG_WCE, Features::CONFIG_WCE),
        (F::MQ, Features::MQ),
        (F::DISCARD, Features::DISCARD),
        (F::WRITE_ZEROES, Features::WRITE_ZEROES),
        (F::LIFETIME, Features::LIFETIME),
        (F::SECURE_ERASE, Features::SECURE_ERASE),
    ];
    for (theirs, ours) in theirs {
        assert_eq!(theirs.bits().to_ne(), u128::from(ours.bits()), "{ours}");
    }
}

#[test]
fn writeback_is_read_and_written_once_it_was_negotiated() {
    let bare = Bare::with_block(MemoryDisk::counting(8), odd(ALL));
    let register = Bare::BLOCK + 0x20;
    expect![[r#"
        guest   00:04.0 block writeback -> 01
        00:04.0 violation of VIRTIO 1.4, 5.2.5.1: writeback read before FEATURES_OK
        guest   00:04.0 block writeback <- 00
        00:04.0 violation of VIRTIO 1.4, 3.1.1: device configuration written before FEATURES_OK
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.load(register, 1);
        bare.store(register, 1, 0);
    }));
    bare.accept_features();
    expect![[r#"
        guest   00:04.0 block writeback -> 01
        guest   00:04.0 block writeback <- 00
        guest   00:04.0 block writeback -> 00
        guest   00:04.0 block writeback <- 02
        00:04.0 violation of VIRTIO 1.4, 5.2.6.1: 2 written to writeback
        guest   00:04.0 block writeback -> 00
        guest   00:04.0 block writeback <- 01
        guest   00:04.0 block writeback -> 01
        guest   00:04.0 block +20 <- 0000 refused: the register has another width
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.load(register, 1);
        bare.store(register, 1, 0);
        bare.load(register, 1);
        bare.store(register, 1, 2);
        bare.load(register, 1);
        bare.store(register, 1, 1);
        bare.load(register, 1);
        bare.store(register, 2, 0);
    }));
    bare.store(register, 1, 0);
    bare.accept(!(1 << 11));
    expect![[r#"
        guest   00:04.0 block writeback -> 01
        guest   00:04.0 block writeback <- 00
        00:04.0 violation of VIRTIO 1.4, 5.2.6.1: writeback written without CONFIG_WCE
        guest   00:04.0 block writeback -> 01
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.load(register, 1);
        bare.store(register, 1, 0);
        bare.load(register, 1);
    }));
    // 5.2.5.2: with CONFIG_WCE and without FLUSH it begins as 0.
    bare.accept(!(1 << 9));
    assert_eq!(bare.load(register, 1), 0);
    bare.accept_features();
    assert_eq!(bare.load(register, 1), 1, "a reset starts anew");
}

#[test]
fn a_device_may_begin_by_writing_through() {
    let config = BlkConfig { writeback: false, ..odd(ALL) };
    let bare = Bare::with_block(MemoryDisk::counting(8), config);
    bare.accept_features();
    assert_eq!(bare.load(Bare::BLOCK + 0x20, 1), 0);
}

#[test]
fn write_zeroes_may_unmap_is_what_the_disk_says() {
    let disk = CopyOnWriteDisk::new(MemoryDisk::counting(8));
    let bare = Bare::with_block(disk, odd(ALL));
    assert_eq!(bare.load(Bare::BLOCK + 0x38, 1), 1);
}

#[test]
fn several_queues_and_a_fitting_geometry_are_in_the_configuration() {
    let config = BlkConfig { queues: 0x0304, geometry: None, ..odd(ALL) };
    let bare = Bare::with_block(MemoryDisk::counting(5000), config);
    assert_eq!(bare.load(Bare::BLOCK + 0x22, 2), 0x0304);
    assert_eq!(bare.load(Bare::BLOCK + 0x10, 2), 4, "5000 / (16 * 63)");
    assert_eq!(bare.load(Bare::BLOCK + 0x12, 1), 16);
    assert_eq!(bare.load(Bare::BLOCK + 0x13, 1), 63);
}
