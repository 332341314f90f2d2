//! The split queue and the block requests on it, from well-formed to hostile.

use eclipse_devices::disk::MemoryDisk;
use eclipse_tests::Bare;
use eclipse_tests::bare::{Descriptor, INDIRECT, NEXT, WRITE};
use expect_test::{Expect, expect};

const READ: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;
const GET_ID: u32 = 8;

/// Header, `len` bytes of data with these flags, status.
fn request(len: u32, data_flags: u16) -> [Descriptor; 3] {
    [
        (Bare::HEADER, 16, NEXT, 1),
        (Bare::DATA, len, NEXT | data_flags, 2),
        (Bare::STATUS, 1, WRITE, 0),
    ]
}

fn check(kind: u32, sector: u64, descriptors: &[Descriptor], expected: Expect) -> Bare {
    let bare = Bare::ready(MemoryDisk::counting(64));
    bare.header(kind, sector);
    expected.assert_eq(&bare.submit(descriptors));
    bare
}

/// The chain at head 0 is so broken that the device gives up and says so, and a
/// reset makes it usable again.
fn check_needs_reset(descriptors: &[Descriptor], expected: Expect) {
    let bare = check(READ, 0, descriptors, expected);
    assert_eq!(bare.load_common(0x14, 1), 0x4f, "NEEDS_RESET");
    assert_eq!(bare.load(Bare::ISR, 1), 2, "a configuration change, even with MSI-X");
    let silent = bare.transcript_of(|| bare.store(Bare::NOTIFY, 2, 0));
    assert_eq!(silent, "guest   00:04.0 notify q0 <- 0000\n", "no work until it is reset");

    bare.accept_features();
    bare.set_up_queue();
    bare.common(0x1c, 2, 1);
    bare.common(0x14, 1, 0x0f);
    bare.write(Bare::AVAIL + 2, 0u16);
    bare.header(READ, 0);
    bare.submit(&request(512, WRITE));
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0, "a read after the reset succeeds");
}

#[test]
fn a_request_may_be_cut_into_descriptors_anywhere() {
    let bare = check(
        READ,
        1,
        &[
            (Bare::HEADER, 5, NEXT, 1),
            (Bare::HEADER + 5, 11, NEXT, 2),
            (Bare::DATA, 100, NEXT | WRITE, 3),
            (Bare::DATA + 100, 413, WRITE, 0),
        ],
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 q0 avail.idx -> 0001
            00:04.0 q0 avail.ring[0] -> 0000
            00:04.0 q0 desc[0] -> 0x4000 len 5 NEXT 1
            00:04.0 q0 desc[1] -> 0x4005 len 11 NEXT 2
            00:04.0 q0 desc[2] -> 0x5000 len 100 WRITE NEXT 3
            00:04.0 q0 desc[3] -> 0x5064 len 413 WRITE
            00:04.0 q0 desc[0] read 5 bytes at 0x4000
            00:04.0 q0 desc[1] read 11 bytes at 0x4005
            00:04.0 q0 desc[2] write 100 bytes at 0x5000
            00:04.0 q0 desc[3] write 412 bytes at 0x5064
            00:04.0 q0 request 0: in sector 1, 512 bytes: ok
            00:04.0 q0 desc[3] write 1 bytes at 0x5200
            00:04.0 q0 used.ring[0] <- id 0 len 513
            00:04.0 q0 used.idx <- 0001
            00:04.0 q0 avail.flags -> 0000
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
    assert_eq!(bare.read::<u64>(Bare::DATA), 64, "the second sector begins with word 64");
    assert_eq!(bare.read::<u8>(Bare::DATA + 512), 0, "status OK");
}

#[test]
fn a_chain_that_loops_needs_a_reset() {
    check_needs_reset(
        &[(Bare::HEADER, 16, NEXT, 1), (Bare::DATA, 512, NEXT | WRITE, 1)],
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 q0 avail.idx -> 0001
            00:04.0 q0 avail.ring[0] -> 0000
            00:04.0 q0 desc[0] -> 0x4000 len 16 NEXT 1
            00:04.0 q0 desc[1] -> 0x5000 len 512 WRITE NEXT 1
            00:04.0 q0 desc[1] -> 0x5000 len 512 WRITE NEXT 1
            00:04.0 q0 desc[1] -> 0x5000 len 512 WRITE NEXT 1
            00:04.0 q0 desc[1] -> 0x5000 len 512 WRITE NEXT 1
            00:04.0 q0 desc[1] -> 0x5000 len 512 WRITE NEXT 1
            00:04.0 q0 desc[1] -> 0x5000 len 512 WRITE NEXT 1
            00:04.0 q0 desc[1] -> 0x5000 len 512 WRITE NEXT 1
            00:04.0 violation of VIRTIO 1.4, 2.7.5.2: the chain at head 0 loops, or is longer than the queue
            00:04.0 needs reset
            00:04.0 msix 0: 00000040 to fee00000
        "#]],
    );
}

#[test]
fn a_descriptor_index_beyond_the_table_needs_a_reset() {
    check_needs_reset(
        &[(Bare::HEADER, 16, NEXT, 8)],
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 q0 avail.idx -> 0001
            00:04.0 q0 avail.ring[0] -> 0000
            00:04.0 q0 desc[0] -> 0x4000 len 16 NEXT 8
            00:04.0 violation of VIRTIO 1.4, 2.7.5: descriptor 8 is outside the table
            00:04.0 needs reset
            00:04.0 msix 0: 00000040 to fee00000
        "#]],
    );
}

#[test]
fn a_readable_descriptor_behind_a_writable_one_needs_a_reset() {
    check_needs_reset(
        &[(Bare::STATUS, 1, NEXT | WRITE, 1), (Bare::HEADER, 16, 0, 0)],
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 q0 avail.idx -> 0001
            00:04.0 q0 avail.ring[0] -> 0000
            00:04.0 q0 desc[0] -> 0x4010 len 1 WRITE NEXT 1
            00:04.0 q0 desc[1] -> 0x4000 len 16
            00:04.0 violation of VIRTIO 1.4, 2.7.4.2: descriptor 1 is device-readable and follows a device-writable one
            00:04.0 needs reset
            00:04.0 msix 0: 00000040 to fee00000
        "#]],
    );
}

#[test]
fn an_indirect_descriptor_that_was_not_negotiated_needs_a_reset() {
    check_needs_reset(
        &[(Bare::DATA, 48, INDIRECT, 0)],
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 q0 avail.idx -> 0001
            00:04.0 q0 avail.ring[0] -> 0000
            00:04.0 q0 desc[0] -> 0x5000 len 48 INDIRECT
            00:04.0 violation of VIRTIO 1.4, 2.7.5.3.1: descriptor 0 is indirect, which was not negotiated
            00:04.0 needs reset
            00:04.0 msix 0: 00000040 to fee00000
        "#]],
    );
}

#[test]
fn a_buffer_outside_ram_needs_a_reset_and_nothing_of_it_is_written() {
    let top = 16 << 20;
    check_needs_reset(
        &[
            (Bare::HEADER, 16, NEXT, 1),
            (top - 256, 512, NEXT | WRITE, 2),
            (Bare::STATUS, 1, WRITE, 0),
        ],
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 q0 avail.idx -> 0001
            00:04.0 q0 avail.ring[0] -> 0000
            00:04.0 q0 desc[0] -> 0x4000 len 16 NEXT 1
            00:04.0 q0 desc[1] -> 0xffff00 len 512 WRITE NEXT 2
            00:04.0 q0 desc[2] -> 0x4010 len 1 WRITE
            00:04.0 q0 desc[0] read 16 bytes at 0x4000
            00:04.0 violation of VIRTIO 1.4, 6.1: 512 bytes at 0xffff00 are not all in guest RAM
            00:04.0 needs reset
            00:04.0 msix 0: 00000040 to fee00000
        "#]],
    );
}

#[test]
fn a_chain_without_a_whole_header_or_without_a_status_needs_a_reset() {
    check_needs_reset(
        &[(Bare::HEADER, 15, NEXT, 1), (Bare::STATUS, 1, WRITE, 0)],
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 q0 avail.idx -> 0001
            00:04.0 q0 avail.ring[0] -> 0000
            00:04.0 q0 desc[0] -> 0x4000 len 15 NEXT 1
            00:04.0 q0 desc[1] -> 0x4010 len 1 WRITE
            00:04.0 violation of VIRTIO 1.4, 5.2.6: the request at head 0 has no whole header
            00:04.0 needs reset
            00:04.0 msix 0: 00000040 to fee00000
        "#]],
    );
    check_needs_reset(
        &[(Bare::HEADER, 16, 0, 0)],
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 q0 avail.idx -> 0001
            00:04.0 q0 avail.ring[0] -> 0000
            00:04.0 q0 desc[0] -> 0x4000 len 16
            00:04.0 violation of VIRTIO 1.4, 5.2.6: the request at head 0 has no room for the status
            00:04.0 needs reset
            00:04.0 msix 0: 00000040 to fee00000
        "#]],
    );
}

#[test]
fn an_available_index_that_jumps_needs_a_reset() {
    let bare = Bare::ready(MemoryDisk::counting(64));
    bare.write(Bare::AVAIL + 2, Bare::SIZE + 1);
    expect![[r#"
        guest   00:04.0 notify q0 <- 0000
        00:04.0 q0 avail.idx -> 0009
        00:04.0 violation of VIRTIO 1.4, 2.7.6.1: avail.idx goes from 0x0000 to 0x0009, more than the queue holds
        00:04.0 needs reset
        00:04.0 msix 0: 00000040 to fee00000
    "#]]
    .assert_eq(&bare.transcript_of(|| bare.store(Bare::NOTIFY, 2, 0)));
}

#[test]
fn a_read_beyond_the_capacity_fails_and_claims_no_byte_but_its_status() {
    let bare = check(
        READ,
        64,
        &request(512, WRITE),
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 q0 avail.idx -> 0001
            00:04.0 q0 avail.ring[0] -> 0000
            00:04.0 q0 desc[0] -> 0x4000 len 16 NEXT 1
            00:04.0 q0 desc[1] -> 0x5000 len 512 WRITE NEXT 2
            00:04.0 q0 desc[2] -> 0x4010 len 1 WRITE
            00:04.0 q0 desc[0] read 16 bytes at 0x4000
            00:04.0 violation of VIRTIO 1.4, 5.2.6.1: 512 bytes at sector 64 are beyond the capacity
            00:04.0 q0 request 0: in sector 64, 0 bytes: ioerr
            00:04.0 q0 desc[2] write 1 bytes at 0x4010
            00:04.0 q0 used.ring[0] <- id 0 len 0
            00:04.0 q0 used.idx <- 0001
            00:04.0 q0 avail.flags -> 0000
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
    assert_eq!(bare.read::<u8>(Bare::STATUS), 1, "IOERR");
}

/// The status byte that a request ends with, and how many violations it draws.
fn status(disk: MemoryDisk, kind: u32, sector: u64, descriptors: &[Descriptor]) -> (u8, usize) {
    let bare = Bare::ready(disk);
    bare.header(kind, sector);
    let transcript = bare.submit(descriptors);
    (bare.read(Bare::STATUS), transcript.matches("violation").count())
}

#[test]
fn each_request_ends_with_the_status_that_the_specification_gives_it() {
    let disk = || MemoryDisk::counting(64);
    let flush = [(Bare::HEADER, 16, NEXT, 1), (Bare::STATUS, 1, WRITE, 0)];
    assert_eq!(status(disk(), READ, 63, &request(512, WRITE)), (0, 0));
    assert_eq!(status(disk(), READ, 63, &request(1024, WRITE)), (1, 1), "runs past the end");
    assert_eq!(status(disk(), READ, u64::MAX, &request(512, WRITE)), (1, 1), "wraps");
    assert_eq!(status(disk(), READ, 0, &request(511, WRITE)), (1, 1), "no whole sectors");
    assert_eq!(status(disk(), OUT, 63, &request(512, 0)), (0, 0));
    assert_eq!(status(disk().write_protected(), OUT, 0, &request(512, 0)), (1, 1));
    assert_eq!(status(disk(), FLUSH, 0, &flush), (0, 0));
    assert_eq!(status(disk(), FLUSH, 1, &flush), (0, 1), "a sector in a flush is ignored");
    assert_eq!(status(disk(), GET_ID, 0, &request(20, WRITE)), (0, 0));
    assert_eq!(status(disk(), GET_ID, 0, &request(512, WRITE)), (0, 1));
    assert_eq!(status(disk(), 0x77, 0, &request(512, WRITE)), (2, 0), "UNSUPP");
}

#[test]
fn a_whole_queue_of_requests_is_one_interrupt() {
    let bare = Bare::ready(MemoryDisk::counting(64));
    bare.header(FLUSH, 0);
    let chain = |head| [(Bare::HEADER, 16, NEXT, head + 1), (Bare::STATUS, 1, WRITE, 0)];
    let chains = Bare::SIZE / 2;
    let descriptors: Vec<_> = (0..chains).flat_map(|index| chain(2 * index)).collect();
    bare.descriptors(&descriptors);
    for index in 0..chains {
        bare.write(Bare::AVAIL + 4 + 2 * u64::from(index), 2 * index);
    }
    bare.write(Bare::AVAIL + 2, chains);
    let transcript = bare.transcript_of(|| bare.store(Bare::NOTIFY, 2, 0));
    assert_eq!(transcript.matches(": flush sector 0").count(), usize::from(chains));
    assert_eq!(transcript.matches("violation").count(), 0);
    assert_eq!(transcript.matches("msix 1").count(), 1);
    assert_eq!(bare.read::<u16>(Bare::USED + 2), chains);
}

#[test]
fn no_interrupt_is_sent_to_a_driver_that_wants_none() {
    let bare = Bare::ready(MemoryDisk::counting(64));
    bare.write(Bare::AVAIL, 1u16);
    bare.header(READ, 0);
    let transcript = bare.submit(&request(512, WRITE));
    assert!(transcript.ends_with("00:04.0 q0 avail.flags -> 0001\n"), "{transcript}");
}

#[test]
fn without_bus_mastering_the_device_touches_no_ram() {
    let bare = Bare::ready(MemoryDisk::counting(64));
    bare.config_store(0x04, 2, 0x0402);
    bare.header(READ, 0);
    expect![[r#"
        guest   00:04.0 notify q0 <- 0000
        00:04.0 violation of PCI 3.0, 6.2.2: DMA was asked for while bus mastering is off
        00:04.0 needs reset
        00:04.0 msix 0: pending
    "#]]
    .assert_eq(&bare.submit(&request(512, WRITE)));
    assert_eq!(bare.read::<u16>(Bare::USED + 2), 0);
    let sent = bare.transcript_of(|| bare.config_store(0x04, 2, 0x0406));
    assert!(sent.ends_with("00:04.0 msix 0: 00000040 to fee00000\n"), "{sent}");
}

#[test]
fn a_doorbell_rung_too_early_or_wrongly_moves_nothing() {
    let bare = Bare::new(MemoryDisk::counting(64));
    bare.config_store(0x04, 2, 0x0406);
    bare.accept_features();
    bare.set_up_queue();
    expect![[r#"
        guest   00:04.0 notify q0 <- 0000
        00:04.0 violation of VIRTIO 1.4, 3.1.1: queue 0 notified before DRIVER_OK
        guest   00:04.0 common device_status <- 0f
        guest   00:04.0 notify q0 <- 0000
        00:04.0 violation of VIRTIO 1.4, 3.1.1: queue 0 notified while not enabled
        guest   00:04.0 notify +0 <- 00000000 refused: the register has another width
        guest   00:04.0 notify +1 <- 00 refused: not aligned to a register
        guest   00:04.0 notify +4 <- 0001 refused: no register here
        guest   00:04.0 notify +0 -> ffff refused: no register here
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.store(Bare::NOTIFY, 2, 0);
        bare.common(0x14, 1, 0x0f);
        bare.store(Bare::NOTIFY, 2, 0);
        bare.store(Bare::NOTIFY, 4, 0);
        bare.store(Bare::NOTIFY + 1, 1, 0);
        bare.store(Bare::NOTIFY + 4, 2, 1);
        bare.load(Bare::NOTIFY, 2);
    }));
}
