//! Logs of QEMU's trace, read line by line.

mod bad;
mod damage;
mod firmware;
mod log;

use eclipse_trace::import::qemu::{Note, end_line, read};
use expect_test::expect;

use log::{BAR, COMMON, Log, NOTIFY, request};

#[test]
fn registers_are_named_by_the_region_and_the_bar() {
    let mut log = Log::modern();
    log.store(COMMON, BAR + 0x14, 1, 0).load(COMMON, BAR + 0x14, 1, 0);
    log.load("virtio-pci-isr-virtio-blk", BAR + 0x1000, 1, 1);
    log.load("virtio-pci-device-virtio-blk", BAR + 0x2004, 4, 7);
    log.store(NOTIFY, BAR + 0x3000, 2, 0).store(NOTIFY, BAR + 0x300c, 2, 3);
    log.store("msix-table", 0xfeb0_0018, 4, 0x31).load("msix-pba", 0xfeb0_0800, 4, 0);
    let recording = log.shows(&expect![[r#"
        guest   00:04.0 common device_status <- 00
        guest   00:04.0 common device_status -> 00
        guest   00:04.0 isr -> 01
        guest   00:04.0 block capacity_high -> 00000007
        guest   00:04.0 notify q0 <- 0000
        guest   00:04.0 notify q3 <- 0003
        guest   00:04.0 msix table[1].message_data <- 00000031
        guest   00:04.0 msix pba+0 -> 00000000
    "#]]);
    let function = "00:04.0".parse().unwrap();
    assert!(recording.notes.contains(&Note::PlaceAssumed { line: 28, function }));
    assert!(recording.notes.contains(&Note::RegistersOnly));
}

#[test]
fn a_capability_says_where_its_structure_is() {
    let mut log = Log::modern();
    // Notifications at 0x2000 of the BAR, a multiplier of 0x10.
    log.config_load(0x34, 1, 0x40).config_load(0x40, 4, 0x0214_0009);
    log.config_load(0x44, 1, 4).config_load(0x48, 4, 0x2000).config_load(0x50, 4, 0x10);
    log.store(NOTIFY, BAR + 0x2020, 2, 2);
    let recording = log.shows(&expect![[r#"
        guest   00:04.0 notify q2 <- 0002
    "#]]);
    assert!(!recording.notes.iter().any(|note| matches!(note, Note::PlaceAssumed { .. })));
    let named: Vec<_> = recording.entries.iter().map(ToString::to_string).collect();
    assert!(named.contains(&"guest   00:04.0 config virtio_notify.bar -> 04".into()), "{named:#?}");
}

#[test]
fn a_bar_that_moves_is_followed() {
    let mut log = Log::modern();
    log.store(COMMON, BAR + 0x16, 2, 0);
    log.config_store(0x24, 4, 2).config_store(0x20, 4, 0x1000_0000);
    log.store(COMMON, 0x2_1000_0016, 2, 0).store(NOTIFY, 0x2_1000_3000, 2, 0);
    log.shows(&expect![[r#"
        guest   00:04.0 common queue_select <- 0000
        guest   00:04.0 common queue_select <- 0000
        guest   00:04.0 notify q0 <- 0000
    "#]]);
}

#[test]
fn what_is_no_whole_register_is_refused_as_the_specification_has_it() {
    let mut log = Log::modern();
    log.load(COMMON, BAR + 0x14, 4, 0).store(COMMON, BAR + 0x15, 1, 1).load(COMMON, BAR + 2, 2, 0);
    log.store("virtio-pci-isr-virtio-blk", BAR + 0x1000, 1, 0);
    log.store(NOTIFY, BAR + 0x3000, 1, 0).store(NOTIFY, BAR + 0x3002, 2, 0);
    log.shows(&expect![[r#"
        guest   00:04.0 common +14 -> 00000000 refused: the register has another width
        guest   00:04.0 common +15 <- 01 refused: the register is read-only
        guest   00:04.0 common +2 -> 0000 refused: not aligned to a register
        guest   00:04.0 isr +0 <- 00 refused: the register is read-only
        guest   00:04.0 notify +0 <- 00 refused: the register has another width
        guest   00:04.0 notify +2 <- 0000 refused: not aligned to a register
    "#]]);
}

#[test]
fn the_legacy_interface_is_in_ports_and_its_configuration_moves_with_msix() {
    let mut log = Log::default();
    log.config_load(0, 4, 0x1001_1af4).config_load(0x10, 4, 1).config_store(0x10, 4, 0xc000);
    log.config_load(0x34, 1, 0x40).config_load(0x40, 2, 0x0011);
    log.load("virtio-pci", 0xc014, 4, 0x200).config_store(0x42, 2, 0x8001);
    log.load("virtio-pci", 0xc014, 2, 0xffff).load("virtio-pci", 0xc018, 4, 0x200);
    log.store("virtio-pci", 0xc010, 2, 1);
    log.shows(&expect![[r#"
        guest   00:04.0 legacy config+00 -> 00000200
        guest   00:04.0 legacy config_msix_vector -> ffff
        guest   00:04.0 legacy config+00 -> 00000200
        guest   00:04.0 legacy queue_notify <- 0001
    "#]]);
}

#[test]
fn an_interrupt_is_the_message_of_the_queues_vector_or_waits_for_the_mask() {
    let mut log = Log::modern();
    log.config_load(0x34, 1, 0x40).config_load(0x40, 4, 0x0001_0011).config_load(0x44, 4, 1);
    log.store("msix-table", 0xfeb0_0010, 4, 0xfee0_1000).store("msix-table", 0xfeb0_0018, 4, 0x31);
    log.config_store(0x42, 2, 0x8001);
    log.store(COMMON, BAR + 0x16, 2, 0).store(COMMON, BAR + 0x1a, 2, 1);
    request(&mut log);
    log.store("msix-table", 0xfeb0_001c, 4, 0);
    request(&mut log);
    log.shows(&expect![[r#"
        guest   00:04.0 msix table[1].message_address_low <- fee01000
        guest   00:04.0 msix table[1].message_data <- 00000031
        guest   00:04.0 common queue_select <- 0000
        guest   00:04.0 common queue_msix_vector <- 0001
        guest   00:04.0 notify q0 <- 0000
        00:04.0 msix 1: pending
        guest   00:04.0 msix table[1].vector_control <- 00000000
        00:04.0 msix 1: 00000031 to fee01000
        guest   00:04.0 notify q0 <- 0000
        00:04.0 msix 1: 00000031 to fee01000
    "#]]);
}

#[test]
fn without_msix_the_pin_is_asserted_until_the_isr_is_loaded() {
    let mut log = Log::modern();
    log.config_load(0x3d, 1, 1).config_store(0x3c, 1, 0xb);
    request(&mut log);
    request(&mut log);
    log.load("virtio-pci-isr-virtio-blk", BAR + 0x1000, 1, 1);
    let recording = log.shows(&expect![[r#"
        guest   00:04.0 notify q0 <- 0000
        00:04.0 inta asserted, gsi 11
        guest   00:04.0 notify q0 <- 0000
        guest   00:04.0 isr -> 01
        00:04.0 inta deasserted, gsi 11
    "#]]);
    assert!(!recording.notes.contains(&Note::InterruptsUnseen));
}

#[test]
fn the_enhanced_mechanism_reaches_configuration_space_too() {
    let mut log = Log::default();
    log.load("pcie-mmcfg-mmio", 0xb002_0000, 2, 0x1af4);
    log.load("pcie-mmcfg-mmio", 0xb010_1104, 4, 0xffff_ffff);
    let recording = read(log.0.as_bytes()).expect("the log is whole");
    let shown: Vec<_> = recording.entries.iter().map(ToString::to_string).collect();
    assert_eq!(shown[0], "guest   00:04.0 ecam vendor_id -> 1af4");
    assert!(shown[1].starts_with("guest   01:00.1 ecam +104"), "{shown:?}");
}

#[test]
fn times_processors_and_other_lines_are_no_obstacle() {
    let mut log = Log::default();
    log.line("qemu-system-x86_64: warning: this is QEMU's own");
    log.line("4711@1763856000.000042:memory_region_ops_write cpu 1 mr 0x1 addr 0xcf8 value 0x80000000 size 4 name 'pci-conf-idx'");
    log.line("vga_std_write_io addr 0x3c0, val 0x20");
    let recording = read(log.0.replace('\n', "\r\n").as_bytes()).expect("the log is whole");
    assert_eq!(recording.entries[0].to_string(), "guest   config_address <- 80000000");
    assert_eq!(recording.lines, [2]);
    assert!(recording.notes.contains(&Note::Processors { line: 2 }));
}

#[test]
fn the_console_is_recorded_by_the_line() {
    let mut log = Log::default();
    log.store("serial", 0x3fb, 1, 0x83).store("serial", 0x3f8, 1, 0x41);
    log.store("serial", 0x3fb, 1, 3);
    for byte in b"hello\r\nworld" {
        log.store("serial", 0x3f8, 1, u64::from(*byte));
    }
    log.shows(&expect![[r#"
        guest   console hello
        guest   console world
    "#]]);
}

#[test]
fn devices_that_are_not_block_devices_are_left_out_and_named() {
    let mut log = Log::default();
    log.config_load(0, 4, 0x1041_1af4).config_store(0x10, 4, 0xfea0_0000);
    log.0 = log.0.replace("virtio-blk-pci", "virtio-net-pci");
    let first = log.last() + 1;
    log.store("virtio-pci-common-virtio-net", 0xfea0_0014, 1, 0);
    log.line("virtio_set_status vdev 0x66d0 val 0");
    // Its notifications may come by an eventfd: they are not of interest.
    log.line("virtio_queue_notify vdev 0x66d0 n 0 vq 0x66e0");
    let recording = log.shows(&expect![""]);
    let (function, name) = ("00:04.0".parse().unwrap(), "virtio-net-pci".into());
    assert!(recording.notes.contains(&Note::NoBlockDevice { line: first, function, name }));
}

#[test]
fn a_log_that_says_where_it_ends_is_whole() {
    let mut log = Log::default();
    log.config_load(0, 4, 0x1042_1af4);
    let lines = log.last();
    let recording = read(log.0.as_bytes()).expect("the log is whole");
    assert_eq!(recording.outcome, None);
    assert!(recording.notes.contains(&Note::EndUnseen { line: lines }));
    log.0 += &end_line(lines, "failure (exit value 0x11)");
    let recording = read(log.0.as_bytes()).expect("the log is whole");
    assert_eq!(recording.outcome.as_deref(), Some("failure (exit value 0x11)"));
    assert!(!recording.notes.contains(&Note::EndUnseen { line: lines }));
}

#[test]
fn a_log_whose_end_does_not_fit_is_refused() {
    let mut log = Log::default();
    log.config_load(0, 4, 0x1042_1af4);
    let (lines, whole) = (log.last(), log.0.clone());
    log.0 += &end_line(lines + 7, "success");
    let error = read(log.0.as_bytes()).expect_err("seven lines are missing").to_string();
    let line = lines + 1;
    assert_eq!(
        error,
        format!("line {line}: the log ends here and says that it had {} lines before", lines + 7)
    );
    log.0 = whole.clone() + &end_line(lines, "success") + &whole;
    let error = read(log.0.as_bytes()).expect_err("another log follows").to_string();
    assert!(error.starts_with(&format!("line {}: the log ended before", lines + 2)), "{error}");
}
