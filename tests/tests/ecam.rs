//! Configuration space through the window of memory that MCFG names.

use eclipse_devices::Space;
use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::pci::ECAM;
use eclipse_tests::Bare;
use expect_test::expect;

/// 00:04.0, by PCI Express Base 3.0, 7.2.2: bits 27:20 bus, 19:15 device, 14:12 function.
const BLOCK: u64 = 0xe002_0000;

#[test]
fn both_mechanisms_reach_the_same_registers_and_are_recorded_as_what_they_are() {
    let bare = Bare::new(MemoryDisk::counting(64));
    expect![[r#"
        guest   00:04.0 ecam vendor_id -> 10421af4
        guest   00:04.0 ecam device_id -> 1042
        guest   00:04.0 ecam vendor_id+1 -> 1a
        guest   00:04.0 ecam command <- 0006
        guest   config_address <- 80002004
        guest   00:04.0 config command -> 0006
        guest   00:04.0 ecam msix.message_control -> 0001
        guest   00:05.0 ecam vendor_id -> ffff
        guest   01:00.0 ecam vendor_id -> ffff
        guest   00:04.0 ecam +100 -> ffffffff refused: no register here
        guest   00:04.0 ecam device_id+1 -> ffff refused: not aligned to a register
        guest   00:04.0 ecam vendor_id -> ffffffffffffffff refused: the register has another width
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.load(BLOCK, 4);
        bare.load(BLOCK + 2, 2);
        bare.load(BLOCK + 1, 1);
        bare.store(BLOCK + 4, 2, 0x0006);
        bare.config_load(0x04, 2);
        bare.load(BLOCK + 0x42, 2);
        bare.load(BLOCK + 0x8000, 2);
        bare.load(ECAM.start + 0x10_0000, 2);
        bare.load(BLOCK + 0x100, 4);
        bare.load(BLOCK + 3, 2);
        bare.load(BLOCK, 8);
    }));
}

#[test]
fn every_byte_reads_the_same_by_both_mechanisms() {
    let bare = Bare::new(MemoryDisk::counting(64));
    for offset in 0..=255_u8 {
        let expected = bare.config_load(offset, 1);
        assert_eq!(bare.load(BLOCK + u64::from(offset), 1), expected, "at {offset:#x}");
    }
}

#[test]
fn the_window_goes_before_a_bar_that_is_put_there() {
    let bare = Bare::new(MemoryDisk::counting(64));
    bare.config_store(0x20, 4, BLOCK);
    assert_eq!(bare.load(BLOCK, 4), 0x1042_1af4);
}

#[test]
fn the_reset_control_register_lies_among_the_bytes_of_config_address() {
    let bare = Bare::new(MemoryDisk::counting(64));
    expect![[r#"
        guest   config_address <- 80002000
        guest   reset_control <- 02
        guest   reset_control -> 02
        guest   port 0cf9 -> ffff refused: no device answers
        guest   config_address -> 80002000
        guest   reset_control <- 06
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        let port = |address, width| bare.machine.load(Space::Port, address, width);
        bare.machine.store(Space::Port, 0xcf8, 4, 0x8000_2000);
        bare.machine.store(Space::Port, 0xcf9, 1, 0x02);
        port(0xcf9, 1);
        port(0xcf9, 2);
        port(0xcf8, 4);
        bare.machine.store(Space::Port, 0xcf9, 1, 0x06);
    }));
}
