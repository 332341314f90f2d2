//! MSI-X: table, masks, pending bits, and what is sent when (PCI 3.0, 6.8.2).

use eclipse_devices::disk::MemoryDisk;
use eclipse_tests::Bare;
use expect_test::expect;

fn bare() -> Bare {
    Bare::new(MemoryDisk::counting(64))
}

/// Submits a flush, the shortest request there is.
fn flush(bare: &Bare) -> String {
    bare.header(4, 0);
    bare.submit(&[(Bare::HEADER, 16, 1, 1), (Bare::STATUS, 1, 2, 0)])
}

#[test]
fn a_masked_vector_is_pending_and_sent_when_the_mask_is_lifted() {
    let bare = Bare::ready(MemoryDisk::counting(64));
    let entry = Bare::MSIX_TABLE + 16;
    bare.store(entry + 12, 4, 1);
    bare.header(4, 0);
    bare.submit(&[(Bare::HEADER, 16, 1, 1), (Bare::STATUS, 1, 2, 0)]);
    expect![[r#"
        guest   00:04.0 msix pba+0 -> 00000002
        guest   00:04.0 msix table[1].vector_control <- 00000000
        00:04.0 msix 1: 00000041 to fee00000
        guest   00:04.0 msix pba+0 -> 0000000000000000
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.load(Bare::MSIX_PBA, 4);
        bare.store(entry + 12, 4, 0);
        bare.load(Bare::MSIX_PBA, 8);
    }));

    bare.config_store(0x42, 2, 0xc000);
    let pending = bare.transcript_of(|| bare.make_available(0));
    assert!(pending.ends_with("00:04.0 msix 1: pending\n"), "{pending}");
    let sent = bare.transcript_of(|| bare.config_store(0x42, 2, 0x8000));
    assert!(sent.ends_with("00:04.0 msix 1: 00000041 to fee00000\n"), "{sent}");
}

#[test]
fn an_msix_entry_takes_64_bit_accesses() {
    let bare = bare();
    bare.store(Bare::MSIX_TABLE, 8, 0x1_fee0_1003);
    bare.store(Bare::MSIX_TABLE + 8, 8, 0xffff_ffff_0000_0055);
    assert_eq!(bare.load(Bare::MSIX_TABLE, 4), 0xfee0_1000, "the low two bits are zero");
    assert_eq!(bare.load(Bare::MSIX_TABLE + 4, 4), 1);
    assert_eq!(bare.load(Bare::MSIX_TABLE + 8, 8), 0x1_0000_0055, "only the mask bit of control");
}

#[test]
fn each_register_of_an_entry_is_32_bits_of_its_own() {
    let bare = bare();
    let entry = Bare::MSIX_TABLE + 16;
    for (offset, value) in [(0, 0x1111_1113), (4, 0x2222_2222), (8, 0x3333_3333)] {
        bare.store(entry + offset, 4, value);
    }
    bare.store(entry, 4, 0x4444_4447);
    let load = |offset| bare.load(entry + offset, 4);
    assert_eq!((load(0), load(4)), (0x4444_4444, 0x2222_2222), "a half leaves the other alone");
    assert_eq!((load(8), load(12)), (0x3333_3333, 1), "masked since reset");
    bare.store(entry + 12, 4, 0xffff_fffe);
    assert_eq!(load(12), 0, "only the mask bit is there");
}

#[test]
fn without_msix_nothing_is_sent_and_the_isr_status_tells_which() {
    let bare = Bare::ready(MemoryDisk::counting(64));
    bare.config_store(0x42, 2, 0);
    assert!(!flush(&bare).contains("msix"));
    assert_eq!((bare.load(Bare::ISR, 1), bare.load(Bare::ISR, 1)), (1, 0), "a load clears it");
}

#[test]
fn with_msix_the_isr_status_does_not_tell_of_used_buffers() {
    let bare = Bare::ready(MemoryDisk::counting(64));
    assert!(flush(&bare).ends_with("00:04.0 msix 1: 00000041 to fee00000\n"));
    assert_eq!(bare.load(Bare::ISR, 1), 0);
}

#[test]
fn a_notification_without_a_vector_is_not_sent() {
    let bare = Bare::ready(MemoryDisk::counting(64));
    bare.common(0x1a, 2, 0xffff);
    assert!(!flush(&bare).contains("msix"));
}

#[test]
fn a_device_that_was_reset_sends_nothing_of_before() {
    let bare = Bare::ready(MemoryDisk::counting(64));
    let control = Bare::MSIX_TABLE + 16 + 12;
    bare.store(control, 4, 1);
    assert!(flush(&bare).ends_with("00:04.0 msix 1: pending\n"));
    bare.common(0x14, 1, 0);
    assert_eq!(bare.load(Bare::MSIX_PBA, 4), 0);
    assert!(!bare.transcript_of(|| bare.store(control, 4, 0)).contains("msix 1:"));
}

#[test]
fn the_pending_bits_end_with_the_word_that_holds_the_last_vector() {
    let bare = bare();
    expect![[r#"
        guest   00:04.0 msix pba+4 -> 00000000
        guest   00:04.0 msix pba +8 -> ffffffff refused: no register here
        guest   00:04.0 msix pba +2 -> ffffffff refused: not aligned to a register
        guest   00:04.0 msix pba +0 -> ff refused: the register has another width
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.load(Bare::MSIX_PBA + 4, 4);
        bare.load(Bare::MSIX_PBA + 8, 4);
        bare.load(Bare::MSIX_PBA + 2, 4);
        bare.load(Bare::MSIX_PBA, 1);
    }));
}
