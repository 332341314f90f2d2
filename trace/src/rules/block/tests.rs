use crate::register::{BlockCfg, CommonCfg, LegacyCfg};
use crate::rules::testing::{BLOCK, Transcript};
use crate::{DescriptorFlags, Event, Register, RequestKind, RequestStatus, Ring, Snapshot, Table};

const NEXT: u16 = 1;
const WRITE: u16 = 2;

/// A disk of 128 sectors whose driver has negotiated these features.
fn disk(features: u32) -> Transcript {
    let mut device = Transcript::driven(features);
    device.block_load(BlockCfg::CapacityLow, 128);
    device.block_load(BlockCfg::CapacityHigh, 0);
    device
}

/// The device takes a chain of these buffers: their lengths, and whether it may write to them.
fn chain(device: &mut Transcript, buffers: &[(u32, bool)]) {
    device.notify(0);
    device.ring(Ring::AvailIdx, 1);
    device.ring(Ring::AvailRing(0), 0);
    let last = buffers.len() - 1;
    for (index, &(len, writable)) in (0..).zip(buffers) {
        let next = if usize::from(index) < last { NEXT } else { 0 };
        let write = if writable { WRITE } else { 0 };
        device.desc(index, 0x2000 + 0x1000 * u64::from(index), len, next | write, index + 1);
    }
}

fn request(device: &mut Transcript, request: RequestKind, sector: u64) {
    let (head, len, status) = (0, 0, RequestStatus::Ok);
    device.device(Event::Request { queue: 0, head, request, sector, len, status });
}

/// The device carries out a request in a chain of these buffers.
fn asked(kind: RequestKind, sector: u64, buffers: &[(u32, bool)]) -> Transcript {
    let mut device = disk(0);
    chain(&mut device, buffers);
    request(&mut device, kind, sector);
    device
}

#[test]
fn a_read_of_one_sector_keeps_every_rule_that_applies_to_it() {
    let device = asked(RequestKind::In, 127, &[(16, false), (512, true), (1, true)]);
    for rule in ["I5.2.6-a", "D5.2.6.1-f", "D5.2.6.1-b", "I5.2.4-a"] {
        device.keeps(rule, 1);
    }
    for rule in ["D5.2.6.1-c", "D5.2.6.1-d", "D5.2.6.1-e", "D5.2.6.1-g", "D5.2.6.1-h"] {
        device.keeps(rule, 0);
    }
}

#[test]
fn a_request_may_be_cut_anywhere() {
    let cut = [(7, false), (9 + 100, false), (412, false), (1, true)];
    asked(RequestKind::Out, 0, &cut).keeps("I5.2.6-a", 1);
    let cut = [(16, false), (1, true), (511 + 1, true)];
    asked(RequestKind::In, 0, &cut).keeps("I5.2.6-a", 1);
    asked(RequestKind::In, 0, &cut).keeps("D5.2.6.1-f", 1);
}

#[test]
fn a_request_has_a_whole_header_and_a_status() {
    let mut device = disk(0);
    chain(&mut device, &[(8, false), (512, true), (1, true)]);
    device.breaks("I5.2.6-a", &["8"]);
    let mut device = disk(0);
    chain(&mut device, &[(16, false)]);
    device.breaks("I5.2.6-a", &["buffer 0, the last, is readable"]);
    let device = asked(RequestKind::In, 0, &[(24, false), (512, true), (1, true)]);
    device.breaks("I5.2.6-a", &["24 readable and 513 writable"]);
    let device = asked(RequestKind::In, 0, &[(16, false), (512, true), (2, true)]);
    device.breaks("I5.2.6-a", &["513 bytes"]);
    let device = asked(RequestKind::Out, 0, &[(16, false), (512, false), (2, true)]);
    device.breaks("I5.2.6-a", &["528 readable and 2 writable"]);
}

#[test]
fn data_lies_in_the_direction_of_the_type() {
    let device = asked(RequestKind::In, 0, &[(16, false), (512, false), (1, true)]);
    device.breaks("I5.2.6-a", &["528 readable and 1 writable"]);
    let device = asked(RequestKind::Out, 0, &[(16, false), (512, true), (1, true)]);
    device.breaks("I5.2.6-a", &["16 readable and 513 writable"]);
}

#[test]
fn a_status_before_the_data_shows_by_what_is_behind_it() {
    let mut device = disk(0);
    chain(&mut device, &[(16, false), (1, true), (512, true)]);
    for value in [0xff, 0] {
        let found = Snapshot::Status { head: 0, value };
        device.device(Event::Snapshot { queue: 0, found });
    }
    device.breaks("I5.2.6-a", &["desc[1] of 1 byte before the data, and 0 there"]);
    device.breaks("I5.2.6-b", &["0"]);
    assert_eq!(device.judged("I5.2.6-b").0, 1);
}

#[test]
fn a_sector_is_no_address_in_bytes() {
    let device = asked(RequestKind::In, 64 * 512, &[(16, false), (512, true), (1, true)]);
    device.breaks("I5.2.6-a", &["32768, its first byte"]);
}

#[test]
fn data_comes_in_sectors() {
    let device = asked(RequestKind::Out, 0, &[(16, false), (511, false), (1, true)]);
    device.breaks("D5.2.6.1-f", &["511 bytes"]);
    let device = asked(RequestKind::In, 0, &[(16, false), (513, true), (1, true)]);
    device.breaks("D5.2.6.1-f", &["513 bytes"]);
}

#[test]
fn what_was_moved_was_the_length_of_a_chain_that_nobody_saw() {
    for request in [RequestKind::In, RequestKind::Out] {
        let mut device = disk(0);
        let (head, status) = (0, RequestStatus::Ok);
        device.device(Event::Request { queue: 0, head, request, sector: 0, len: 512, status });
        device.keeps("D5.2.6.1-f", 1);
        device.device(Event::Request { queue: 0, head, request, sector: 0, len: 511, status });
        device.breaks("D5.2.6.1-f", &["511 bytes"]);
    }
}

#[test]
fn a_flush_names_no_sector_and_has_no_data() {
    let device = asked(RequestKind::Flush, 0, &[(16, false), (1, true)]);
    device.keeps("D5.2.6.1-d", 1);
    device.keeps("D5.2.6.1-e", 1);
    let device = asked(RequestKind::Flush, 8, &[(16, false), (512, false), (1, true)]);
    device.breaks("D5.2.6.1-d", &["sector 8"]);
    device.breaks("D5.2.6.1-e", &["512 bytes of data too"]);
}

#[test]
fn an_id_has_20_bytes() {
    let device = asked(RequestKind::GetId, 0, &[(16, false), (20, true), (1, true)]);
    device.keeps("D5.2.6.1-h", 1);
    let device = asked(RequestKind::GetId, 0, &[(16, false), (32, true), (1, true)]);
    device.breaks("D5.2.6.1-h", &["32 bytes"]);
}

#[test]
fn nothing_lies_beyond_the_capacity() {
    let device = asked(RequestKind::In, 127, &[(16, false), (1024, true), (1, true)]);
    device.breaks("D5.2.6.1-b", &["129"]);
    let device = asked(RequestKind::In, u64::MAX, &[(16, false), (1024, true), (1, true)]);
    device.breaks("D5.2.6.1-b", &["18446744073709551615"]);
    // The driver has not asked.
    let mut device = Transcript::driven(0);
    chain(&mut device, &[(16, false), (1024, true), (1, true)]);
    request(&mut device, RequestKind::In, 127);
    device.keeps("D5.2.6.1-b", 0);
}

/// A discard of segments: first sector, sectors, flags.
fn discard(segments: &[(u64, u32, u32)], bytes: u32) -> Transcript {
    let mut device = disk(1 << 13);
    device.block_load(BlockCfg::MaxDiscardSeg, 2);
    chain(&mut device, &[(16, false), (bytes, false), (1, true)]);
    for (index, &(sector, sectors, flags)) in (0..).zip(segments) {
        device.device(Event::Segment { queue: 0, index, sector, sectors, flags });
    }
    request(&mut device, RequestKind::Discard, 0);
    device
}

#[test]
fn a_discard_keeps_to_its_limits() {
    let device = discard(&[(0, 8, 0), (120, 8, 0)], 32);
    for rule in ["D5.2.6.1-b", "D5.2.6.1-g", "D5.2.6.1-i", "D5.2.6.1-k"] {
        device.keeps(rule, 1);
    }
    discard(&[(120, 9, 0), (0, 1, 0)], 32).breaks("D5.2.6.1-b", &["129"]);
    discard(&[(0, 8, 1), (8, 8, 0)], 32).breaks("D5.2.6.1-k", &["flags 0x1"]);
    discard(&[], 24).breaks("D5.2.6.1-g", &["24 bytes"]);
    discard(&[], 48).breaks("D5.2.6.1-i", &["3 segments"]);
}

#[test]
fn what_one_request_had_is_not_the_next_ones() {
    let mut device = discard(&[(120, 9, 1)], 16);
    request(&mut device, RequestKind::Discard, 0);
    assert_eq!(device.judged("D5.2.6.1-k"), (1, vec!["flags 0x1".into()]));
}

#[test]
fn all_of_the_capacity_is_read() {
    let mut device = Transcript::driven(0);
    device.block_load(BlockCfg::CapacityLow, 128);
    chain(&mut device, &[(16, false), (512, true), (1, true)]);
    request(&mut device, RequestKind::In, 0);
    device.breaks("I5.2.4-a", &["one of the lower half"]);
}

#[test]
fn seg_max_and_size_max_are_respected_where_negotiated() {
    let buffers = [(16, false), (512, true), (1024, true), (1, true)];
    for (features, segments, bytes, seen) in [
        (1 << 2, 1, 0, "2 buffers of data"),
        (1 << 1, 0, 512, "a buffer of 1024 bytes"),
        (3 << 1, 2, 1000, "a buffer of 1024 bytes"),
    ] {
        let mut device = disk(features);
        device.block_load(BlockCfg::SegMax, segments);
        device.block_load(BlockCfg::SizeMax, bytes);
        chain(&mut device, &buffers);
        request(&mut device, RequestKind::In, 0);
        device.breaks("I5.2.4-a", &[seen]);
    }
    let mut device = disk(0);
    device.block_load(BlockCfg::SegMax, 1);
    chain(&mut device, &buffers);
    request(&mut device, RequestKind::In, 0);
    device.keeps("I5.2.4-a", 1);
}

#[test]
fn a_read_only_disk_is_not_written_to() {
    let mut device = Transcript::driven(1 << 5);
    device.keeps("D5.2.6.1-c", 1);
    chain(&mut device, &[(16, false), (512, false), (1, true)]);
    request(&mut device, RequestKind::Out, 0);
    device.breaks("D5.2.6.1-c", &["a request out"]);
    let mut driver = Transcript::new();
    driver.negotiate([1 << 5, 1], [0, 1]);
    driver.status(&[0x0f]);
    driver.breaks("D5.2.6.1-c", &["a driver that goes on without"]);
}

/// A zoned disk with zones of 64 sectors, and what is appended in units of 4096 bytes.
fn zoned(kind: u32, sector: u64, bytes: u32) -> Transcript {
    let mut device = disk(1 << 17);
    for (offset, value) in [(0x48, 64), (0x54, 32), (0x58, 4096)] {
        let register = Register::LegacyConfig { function: BLOCK, offset };
        device.load(register, 4, value);
    }
    chain(&mut device, &[(16, false), (bytes, false), (1, true)]);
    request(&mut device, RequestKind::Other(kind), sector);
    device
}

#[test]
fn zone_requests_name_the_first_sector_of_a_zone() {
    zoned(18, 64, 1).keeps("D5.2.6.1-z", 1);
    zoned(18, 65, 1).breaks("D5.2.6.1-z", &["sector 65"]);
    zoned(26, 0, 1).keeps("D5.2.6.1-z", 1);
    zoned(26, 64, 1).breaks("D5.2.6.1-z", &["sector 64"]);
    zoned(15, 64, 8192).keeps("D5.2.6.1-z", 1);
    zoned(15, 64, 512).breaks("D5.2.6.1-z", &["512 bytes"]);
    zoned(15, 64, 20480).breaks("D5.2.6.1-z", &["20480 bytes"]);
}

/// A request over the legacy interface.
fn legacy(features: u64, buffers: &[(u32, bool)]) -> Transcript {
    let mut device = Transcript::new();
    device.legacy_load(LegacyCfg::DeviceFeatures, features);
    device.legacy(LegacyCfg::DriverFeatures, features);
    device.legacy(LegacyCfg::DeviceStatus, 7);
    device.ring(Ring::AvailIdx, 1);
    device.ring(Ring::AvailRing(0), 0);
    let last = buffers.len() - 1;
    for (index, &(len, writable)) in (0..).zip(buffers) {
        let next = if usize::from(index) < last { NEXT } else { 0 };
        let write = if writable { WRITE } else { 0 };
        device.desc(index, 0x2000, len, next | write, index + 1);
    }
    device
}

#[test]
fn a_legacy_request_has_a_descriptor_for_its_header_and_one_for_its_status() {
    legacy(0, &[(16, false), (512, true), (1, true)]).keeps("L5.2.6.4", 1);
    legacy(0, &[(16, false), (513, true)]).breaks("L5.2.6.4", &["16 and 513 bytes"]);
    legacy(1 << 27, &[(16, false), (513, true)]).keeps("L5.2.6.4", 0);
}

#[test]
fn packed_requests_are_found_by_their_slot() {
    let mut device = Transcript::new();
    device.negotiate([0, 5], [0, 5]);
    device.common(CommonCfg::QueueSelect, 0);
    for (index, len, flags) in [(3, 16, 0x81), (4, 100, 0x83), (5, 1, 0x82)] {
        let (addr, flags, table) = (0x2000, DescriptorFlags(flags), Table::Queue);
        device.device(Event::PackedDescriptor { queue: 0, table, index, addr, len, id: 7, flags });
    }
    let (head, request, status) = (3, RequestKind::In, RequestStatus::IoErr);
    device.device(Event::Request { queue: 0, head, request, sector: 0, len: 0, status });
    device.breaks("D5.2.6.1-f", &["100 bytes"]);
}
