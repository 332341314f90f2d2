//! Registers of the device side: what they answer, and what they refuse.

use std::io;

use eclipse_devices::Space;
use eclipse_devices::disk::{Disk, MemoryDisk};
use eclipse_tests::Bare;
use expect_test::expect;

fn bare() -> Bare {
    Bare::new(MemoryDisk::counting(64))
}

#[test]
fn the_status_goes_up_step_by_step_and_down_only_by_a_reset() {
    let bare = bare();
    expect![[r#"
        guest   00:04.0 common device_status <- 02
        00:04.0 violation of VIRTIO 1.4, 3.1.1: status 0x02 skips a step of the initialisation
        guest   00:04.0 common device_status -> 00
        guest   00:04.0 common device_status <- 01
        guest   00:04.0 common device_status <- 02
        00:04.0 violation of VIRTIO 1.4, 2.1.1: status bits 0x01 cleared without a reset
        guest   00:04.0 common device_status -> 01
        guest   00:04.0 common device_status <- 03
        guest   00:04.0 common device_status <- 07
        00:04.0 violation of VIRTIO 1.4, 3.1.1: status 0x07 skips a step of the initialisation
        guest   00:04.0 common device_status <- 43
        00:04.0 violation of VIRTIO 1.4, 3.1.1: status 0x43 skips a step of the initialisation
        guest   00:04.0 common device_status <- 83
        guest   00:04.0 common device_status -> 83
        guest   00:04.0 common device_status <- 00
        guest   00:04.0 common device_status -> 00
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.common(0x14, 1, 0x02);
        bare.load_common(0x14, 1);
        bare.common(0x14, 1, 0x01);
        bare.common(0x14, 1, 0x02);
        bare.load_common(0x14, 1);
        bare.common(0x14, 1, 0x03);
        bare.common(0x14, 1, 0x07);
        bare.common(0x14, 1, 0x43);
        bare.common(0x14, 1, 0x83);
        bare.load_common(0x14, 1);
        bare.common(0x14, 1, 0x00);
        bare.load_common(0x14, 1);
    }));
}

#[test]
fn features_ok_is_not_kept_without_version_1_or_with_what_was_not_offered() {
    let bare = bare();
    bare.common(0x14, 1, 0x01);
    bare.common(0x14, 1, 0x03);
    expect![[r#"
        guest   00:04.0 common driver_feature <- 00000245
        00:04.0 violation of VIRTIO 1.4, 2.2.1: feature bits 0x00000001 of window 0 were not offered
        guest   00:04.0 common driver_feature -> 00000244
        guest   00:04.0 common device_status <- 0b
        00:04.0 violation of VIRTIO 1.4, 6.1: VERSION_1 was offered and not accepted
        guest   00:04.0 common device_status -> 03
        guest   00:04.0 common driver_feature_select <- 00000001
        guest   00:04.0 common driver_feature <- 00000001
        guest   00:04.0 common device_status <- 0b
        guest   00:04.0 common device_status -> 0b
        guest   00:04.0 common driver_feature <- 00000000
        00:04.0 violation of VIRTIO 1.4, 3.1.1: features accepted after FEATURES_OK
        guest   00:04.0 common driver_feature -> 00000001
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.common(0x0c, 4, 0x245);
        bare.load_common(0x0c, 4);
        bare.common(0x14, 1, 0x0b);
        bare.load_common(0x14, 1);
        bare.common(0x08, 4, 1);
        bare.common(0x0c, 4, 1);
        bare.common(0x14, 1, 0x0b);
        bare.load_common(0x14, 1);
        bare.common(0x0c, 4, 0);
        bare.load_common(0x0c, 4);
    }));
}

#[test]
fn driver_ok_does_not_come_without_features_ok() {
    let bare = bare();
    bare.common(0x14, 1, 0x01);
    bare.common(0x14, 1, 0x03);
    bare.common(0x14, 1, 0x0f);
    assert_eq!(bare.load_common(0x14, 1), 0x03, "VERSION_1 was not accepted");
    bare.accept_features();
    for undefined in [0x10, 0x20] {
        let transcript = bare.transcript_of(|| bare.common(0x14, 1, 0x0b | undefined));
        assert!(transcript.contains("violation of VIRTIO 1.4, 3.1.1"), "{transcript}");
    }
}

#[test]
fn a_feature_window_beyond_the_bits_that_exist_is_zero() {
    let bare = bare();
    for window in [2, 3, u64::from(u32::MAX)] {
        bare.common(0x00, 4, window);
        assert_eq!(bare.load_common(0x04, 4), 0);
    }
}

#[test]
fn a_queue_is_programmed_between_features_ok_and_its_enabling() {
    let bare = bare();
    let early = bare.transcript_of(|| bare.common(0x20, 4, 0x1000));
    assert!(early.contains("VIRTIO 1.4, 3.1.1: queue 0 programmed before FEATURES_OK"), "{early}");
    bare.accept_features();
    bare.set_up_queue();
    expect![[r#"
        guest   00:04.0 common queue_size <- 0018
        00:04.0 violation of VIRTIO 1.4, 4.1.4.3.2: queue size 24 is no power of two, or more than was offered
        guest   00:04.0 common queue_size <- 0200
        00:04.0 violation of VIRTIO 1.4, 4.1.4.3.2: queue size 512 is no power of two, or more than was offered
        guest   00:04.0 common queue_size -> 0008
        guest   00:04.0 common queue_desc_low <- 00001008
        guest   00:04.0 common queue_enable <- 0001
        00:04.0 violation of VIRTIO 1.4, 2.7.1: queue 0 enabled with a misaligned area
        guest   00:04.0 common queue_enable -> 0000
        guest   00:04.0 common queue_desc_low <- 00001000
        guest   00:04.0 common queue_enable <- 0000
        00:04.0 violation of VIRTIO 1.4, 4.1.4.3.2: 0 written to queue_enable
        guest   00:04.0 common queue_enable <- 0001
        guest   00:04.0 common queue_enable <- 0001
        guest   00:04.0 common queue_enable -> 0001
        guest   00:04.0 common queue_desc_low <- 00002000
        00:04.0 violation of VIRTIO 1.4, 4.1.4.3.2: queue 0 changed while enabled
        guest   00:04.0 common queue_desc_low -> 00001000
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.common(0x18, 2, 24);
        bare.common(0x18, 2, 512);
        bare.load_common(0x18, 2);
        bare.common(0x20, 4, 0x1008);
        bare.common(0x1c, 2, 1);
        bare.load_common(0x1c, 2);
        bare.common(0x20, 4, 0x1000);
        bare.common(0x1c, 2, 0);
        bare.common(0x1c, 2, 1);
        bare.common(0x1c, 2, 1);
        bare.load_common(0x1c, 2);
        bare.common(0x20, 4, 0x2000);
        bare.load_common(0x20, 4);
    }));
}

#[test]
fn each_address_register_holds_its_own_half() {
    let bare = bare();
    bare.accept_features();
    for (index, offset) in (0x20..0x38).step_by(4).enumerate() {
        bare.common(offset, 4, 0x1111_1110 * (index as u64 + 1));
    }
    for (index, offset) in (0x20..0x38).step_by(4).enumerate() {
        assert_eq!(bare.load_common(offset, 4), 0x1111_1110 * (index as u64 + 1), "{offset:#x}");
    }
}

#[test]
fn a_queue_is_not_enabled_with_any_area_misaligned_or_beyond_the_address_space() {
    for (offset, area) in [(0x20, 8), (0x28, 1), (0x30, 2)] {
        let bare = bare();
        bare.accept_features();
        bare.set_up_queue();
        bare.common(offset, 4, 0x1_0000 + area);
        bare.common(0x1c, 2, 1);
        assert_eq!(bare.load_common(0x1c, 2), 0, "area at {offset:#x}");
    }
    for offset in [0x20, 0x28, 0x30] {
        let bare = bare();
        bare.accept_features();
        bare.set_up_queue();
        bare.common(offset, 4, 0xffff_fff0);
        bare.common(offset + 4, 4, 0xffff_ffff);
        let transcript = bare.transcript_of(|| bare.common(0x1c, 2, 1));
        assert!(transcript.contains("are not all in guest RAM"), "{transcript}");
        assert_eq!(bare.load_common(0x1c, 2), 0);
    }
    let bare = bare();
    bare.accept_features();
    let transcript = bare.transcript_of(|| bare.common(0x18, 2, 0));
    assert!(transcript.contains("queue size 0 is no power of two"), "{transcript}");
}

#[test]
fn a_reset_forgets_everything_that_the_driver_set() {
    let bare = Bare::ready(MemoryDisk::counting(64));
    // Without MSI-X, so that the ISR status has something to forget.
    bare.config_store(0x42, 2, 0);
    bare.header(4, 0);
    bare.submit(&[(Bare::HEADER, 16, 1, 1), (Bare::STATUS, 1, 2, 0)]);
    bare.common(0x00, 4, 1);
    bare.common(0x08, 4, 1);
    bare.common(0x14, 1, 0);
    let registers = [(0x00, 4), (0x08, 4), (0x0c, 4), (0x14, 1), (0x16, 2), (0x1c, 2), (0x20, 4)];
    for (offset, width) in registers {
        assert_eq!(bare.load_common(offset, width), 0, "{offset:#x}");
    }
    assert_eq!(bare.load_common(0x10, 2), 0xffff, "config_msix_vector");
    assert_eq!(bare.load_common(0x18, 2), 256, "queue_size is what is offered");
    assert_eq!(bare.load_common(0x1a, 2), 0xffff, "queue_msix_vector");
    assert_eq!(bare.load_common(0x28, 4) | bare.load_common(0x30, 4), 0);
    assert_eq!(bare.load(Bare::ISR, 1), 0);
}

#[test]
fn a_queue_that_does_not_exist_has_size_0_and_takes_nothing() {
    let bare = bare();
    bare.accept_features();
    expect![[r#"
        guest   00:04.0 common queue_select <- 0001
        guest   00:04.0 common queue_size -> 0000
        guest   00:04.0 common queue_size <- 0008
        00:04.0 violation of VIRTIO 1.4, 4.1.4.3: queue 1 does not exist
        guest   00:04.0 common queue_enable <- 0001
        00:04.0 violation of VIRTIO 1.4, 4.1.4.3: queue 1 does not exist
        guest   00:04.0 common queue_msix_vector -> ffff
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.common(0x16, 2, 1);
        bare.load_common(0x18, 2);
        bare.common(0x18, 2, 8);
        bare.common(0x1c, 2, 1);
        bare.load_common(0x1a, 2);
    }));
}

#[test]
fn a_vector_beyond_the_table_reads_back_as_no_vector() {
    let bare = bare();
    expect![[r#"
        guest   00:04.0 common config_msix_vector <- 0001
        guest   00:04.0 common config_msix_vector -> 0001
        guest   00:04.0 common queue_msix_vector <- 0002
        00:04.0 violation of VIRTIO 1.4, 4.1.5.1.2.2: vector 2 is beyond the MSI-X table
        guest   00:04.0 common queue_msix_vector -> ffff
        guest   00:04.0 common config_msix_vector <- 0002
        00:04.0 violation of VIRTIO 1.4, 4.1.5.1.2.2: vector 2 is beyond the MSI-X table
        guest   00:04.0 common config_msix_vector -> ffff
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.common(0x10, 2, 1);
        bare.load_common(0x10, 2);
        bare.common(0x1a, 2, 2);
        bare.load_common(0x1a, 2);
        bare.common(0x10, 2, 2);
        bare.load_common(0x10, 2);
    }));
}

#[test]
fn an_access_that_is_not_exactly_a_register_is_refused_with_all_ones() {
    let bare = bare();
    expect![[r#"
        guest   00:04.0 common +14 -> ffffffff refused: the register has another width
        guest   00:04.0 common +16 -> ff refused: the register has another width
        guest   00:04.0 common +2 -> ffff refused: not aligned to a register
        guest   00:04.0 common +38 -> ffff refused: no register here
        guest   00:04.0 common +4 <- 00000007 refused: the register is read-only
        guest   00:04.0 isr +0 -> ffffffff refused: the register has another width
        guest   00:04.0 isr +0 <- 00 refused: the register is read-only
        guest   00:04.0 block +0 -> ffffffffffffffff refused: the register has another width
        guest   00:04.0 block +8 -> ffffffff refused: no register here
        guest   00:04.0 block +0 <- 00000000 refused: the register is read-only
        guest   00:04.0 msix table +0 -> ffff refused: the register has another width
        guest   00:04.0 msix table +20 -> ffffffff refused: no register here
        guest   00:04.0 msix pba +0 <- 00000000 refused: the register is read-only
        guest   memory d0000000 -> ffffffff refused: no device answers
        guest   port 0080 <- 00 refused: no device answers
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        assert_eq!(bare.load_common(0x14, 4), 0xffff_ffff);
        bare.load_common(0x16, 1);
        bare.load_common(0x02, 2);
        bare.load_common(0x38, 2);
        bare.common(0x04, 4, 7);
        bare.load(Bare::ISR, 4);
        bare.store(Bare::ISR, 1, 0);
        bare.load(Bare::BLOCK, 8);
        bare.load(Bare::BLOCK + 8, 4);
        bare.store(Bare::BLOCK, 4, 0);
        bare.load(Bare::MSIX_TABLE, 2);
        bare.load(Bare::MSIX_TABLE + 0x20, 4);
        bare.store(Bare::MSIX_PBA, 4, 0);
        bare.load(0xd000_0000, 4);
        bare.machine.store(Space::Port, 0x80, 1, 0);
    }));
}

#[test]
fn a_64_bit_access_to_a_64_bit_field_is_two_halves_and_recorded_as_one() {
    let bare = bare();
    bare.accept_features();
    expect![[r#"
        guest   00:04.0 common queue_desc_low <- 0000000123456780
        guest   00:04.0 common queue_desc_low -> 23456780
        guest   00:04.0 common queue_desc_high -> 00000001
        guest   00:04.0 common queue_desc_low -> 0000000123456780
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.common(0x20, 8, 0x1_2345_6780);
        bare.load_common(0x20, 4);
        bare.load_common(0x24, 4);
        bare.load_common(0x20, 8);
    }));
}

#[test]
fn config_data_reaches_each_byte_of_the_doubleword_and_no_other() {
    let bare = bare();
    let load = |port, width| bare.machine.load(Space::Port, port, width);
    bare.config_load(0x00, 4);
    assert_eq!(load(0xcfc, 4), 0x1042_1af4);
    assert_eq!(load(0xcfe, 2), 0x1042);
    assert_eq!(load(0xcfd, 1), 0x1a);
    expect![[r#"
        guest   00:04.0 config vendor_id+1 -> 421a
        guest   00:04.0 config device_id+1 -> ffff refused: not aligned to a register
        guest   config_address <- 00002000
        guest   port 0cfc -> ffff refused: no device answers
        guest   port 0cf8 <- 8000 refused: no device answers
        guest   config_address -> 00002000
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        load(0xcfd, 2);
        load(0xcff, 2);
        bare.machine.store(Space::Port, 0xcf8, 4, 0x2000);
        load(0xcfc, 2);
        bare.machine.store(Space::Port, 0xcf8, 2, 0x8000);
        load(0xcf8, 4);
    }));
}

#[test]
fn config_address_keeps_its_reserved_bits_zero_and_interrupt_line_is_scratch() {
    let bare = bare();
    bare.machine.store(Space::Port, 0xcf8, 4, 0xffff_ffff);
    assert_eq!(bare.machine.load(Space::Port, 0xcf8, 4), 0x80ff_fffc);
    bare.config_store(0x3c, 1, 0x5a);
    assert_eq!(bare.config_load(0x3c, 1), 0x5a);
}

#[test]
fn the_capacity_is_64_bits_wide() {
    let bare = Bare::new(Sparse((5 << 32) + 7));
    assert_eq!((bare.load(Bare::BLOCK, 4), bare.load(Bare::BLOCK + 4, 4)), (7, 5));
}

/// A disk of any size that holds nothing.
struct Sparse(u64);

impl Disk for Sparse {
    fn sectors(&self) -> u64 {
        self.0
    }

    fn read_only(&self) -> bool {
        true
    }

    fn read(&mut self, _sector: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.fill(0);
        Ok(())
    }

    fn write(&mut self, _sector: u64, _data: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_bar_follows_where_it_is_put_and_is_silent_without_memory_decode() {
    let bare = bare();
    bare.config_store(0x20, 4, 0);
    bare.config_store(0x24, 4, 0x40);
    assert_eq!(bare.load(0x40_0000_0012, 2), 1, "num_queues, above 4 GiB");
    assert_eq!(bare.load_common(0x12, 2), 0xffff, "no longer here");
    bare.config_store(0x04, 2, 0);
    assert_eq!(bare.load(0x40_0000_0012, 2), 0xffff, "decode is off");
}
