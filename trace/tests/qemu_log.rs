//! Logs of QEMU's trace, read line by line.

use eclipse_trace::import::qemu::{Error, Lacking, Note, Recording, read};
use expect_test::{Expect, expect};

/// A log as QEMU writes it.
#[derive(Default)]
struct Log(String);

const COMMON: &str = "virtio-pci-common-virtio-blk";
const NOTIFY: &str = "virtio-pci-notify-virtio-blk";

impl Log {
    fn line(&mut self, text: &str) -> &mut Self {
        self.0.push_str(text);
        self.0.push('\n');
        self
    }

    fn access(&mut self, way: &str, name: &str, address: u64, width: u8, value: u64) -> &mut Self {
        // Each region has an address of its own inside of QEMU.
        let region = 0x5500_0000 + name.bytes().map(u64::from).sum::<u64>() * 0x100;
        self.line(&format!(
            "memory_region_ops_{way} cpu 0 mr {region:#x} addr {address:#x} value {value:#x} \
             size {width} name '{name}'"
        ))
    }

    fn store(&mut self, name: &str, address: u64, width: u8, value: u64) -> &mut Self {
        self.access("write", name, address, width, value)
    }

    fn load(&mut self, name: &str, address: u64, width: u8, value: u64) -> &mut Self {
        self.access("read", name, address, width, value)
    }

    fn config_address(&mut self, offset: u64) -> &mut Self {
        self.store("pci-conf-idx", 0xcf8, 4, 0x8000_2000 | offset & !3)
    }

    fn config_load(&mut self, offset: u64, width: u8, value: u64) -> &mut Self {
        self.config_address(offset);
        self.line(&format!("pci_cfg_read virtio-blk-pci 00:04.0 @{offset:#x} -> {value:#x}"));
        self.load("pci-conf-data", 0xcfc + offset % 4, width, value)
    }

    fn config_store(&mut self, offset: u64, width: u8, value: u64) -> &mut Self {
        self.config_address(offset);
        self.store("pci-conf-data", 0xcfc + offset % 4, width, value);
        self.line(&format!("pci_cfg_write virtio-blk-pci 00:04.0 @{offset:#x} <- {value:#x}"))
    }

    /// The modern device with its 64-bit BAR 4 at 0x1_f000_0000 and BAR 1 at 0xfeb0_0000.
    fn modern() -> Self {
        let mut log = Self::default();
        log.config_load(0, 4, 0x1042_1af4);
        log.config_load(0x20, 4, 0xc).config_store(0x20, 4, 0xffff_ffff);
        log.config_load(0x20, 4, 0xffff_c00c).config_store(0x20, 4, 0xf000_0000);
        log.config_load(0x24, 4, 0).config_store(0x24, 4, 1);
        log.config_store(0x14, 4, 0xfeb0_0000).config_store(4, 2, 6);
        log
    }

    /// What the log shows, without accesses to configuration space.
    fn shows(&self, expected: &Expect) -> Recording {
        let recording = read(self.0.as_bytes()).expect("the log is whole");
        let entries = recording.entries.iter().map(|entry| format!("{entry}\n"));
        let of_bus = |line: &String| line.contains(".0 config ") || line.contains("config_address");
        let shown = entries.filter(|line| !of_bus(line)).collect::<String>();
        expected.assert_eq(&shown);
        recording
    }

    fn fails(&self, expected: &Expect) -> Error {
        let error = read(self.0.as_bytes()).expect_err("the log is no record");
        expected.assert_eq(&error.to_string());
        error
    }

    /// The number of the last line.
    fn last(&self) -> u64 {
        self.0.lines().count() as u64
    }
}

/// BAR 4 of [`Log::modern`].
const BAR: u64 = 0x1_f000_0000;

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

/// A notification of queue 0, and QEMU's words for what the device does.
fn request(log: &mut Log) {
    log.store(NOTIFY, BAR + 0x3000, 2, 0).line("virtio_pci_notify_write 0x0 = 0x0 (2)");
    log.line("virtio_queue_notify vdev 0x55d0 n 0 vq 0x55e0");
    log.line("virtqueue_pop vq 0x55e0 elem 0x7f00 in_num 2 out_num 1");
    log.line("virtio_notify vdev 0x55d0 vq 0x55e0");
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
fn a_cut_is_found_wherever_it_is() {
    let mut whole = Log::modern();
    request(&mut whole);
    let last = whole.0[..whole.0.len() - 1].rfind('\n').map_or(0, |end| end + 1);
    for end in last + "virtio_notify".len()..whole.0.len() - 1 {
        let error = Log(whole.0[..end].to_string()).fails_with_any();
        let expected = whole.last();
        assert!(matches!(error, Error::Truncated { line, .. } if line == expected), "{error}");
    }
}

impl Log {
    fn fails_with_any(&self) -> Error {
        read(self.0.as_bytes()).expect_err("the log is no record")
    }
}

#[test]
fn two_writers_are_found() {
    let mut log = Log::modern();
    log.0.push_str("[BOOT] Ecl");
    log.store(COMMON, BAR + 0x14, 1, 0);
    log.fails(&expect!["line 28: memory_region_ops_write begins inside of another line, so two wrote into this log at once; give QEMU a file of its own with `-D`"]);

    let mut log = Log::modern();
    log.0.push_str("memory_region_ops_read cpu 0 mr 0x55c7");
    log.line("pci_cfg_read i440FX 00:00.0 @0x0 -> 0x8086");
    assert!(matches!(log.fails_with_any(), Error::Interleaved { line: 28, event: "pci_cfg_read" }));

    let mut log = Log::modern();
    log.line("memory_region_ops_write cpu 0 mr 0x77 addr 0xcf8 value 0x80000000 size 4 name 'pci-conf-idx'");
    log.fails(&expect![
        "line 28: CONFIG_ADDRESS is another one than before, so two machines wrote into this log"
    ]);
}

#[test]
fn another_version_is_named_by_what_it_lacks() {
    let mut log = Log::default();
    log.line("memory_region_ops_write cpu 0 mr 0x77 addr 0xcf8 value 0x80000000 size 4");
    log.fails(&expect![
        "line 1: memory_region_ops_write without the region's name, as QEMU 5 and older print it"
    ]);
    let mut log = Log::default();
    log.line("pci_cfg_read virtio-blk-pci 04:0 @0x0 -> 0x1af4");
    log.fails(&expect!["line 1: pci_cfg_read without the bus, as QEMU 5 and older print it"]);
    let mut log = Log::default();
    log.line("memory_region_ops_write cpu 0 addr 0xcf8");
    log.fails(&expect![
        "line 1: memory_region_ops_write is not in the form of QEMU 7 to 10, or the line is damaged"
    ]);
}

#[test]
fn what_was_not_asked_for_is_named() {
    Log::default().line("").fails(&expect!["no line is of QEMU's trace; run QEMU with `-trace memory_region_ops_*` and the others, and its `log` trace backend"]);

    let mut log = Log::modern();
    log.line("virtio_queue_notify vdev 0x55d0 n 0 vq 0x55e0");
    log.fails(&expect!["line 28: a queue is notified and the store that did it is not shown; `ioeventfd=off` is missing from the device's properties"]);

    let mut log = Log::modern();
    log.line("virtqueue_pop vq 0x55e0 elem 0x7f00 in_num 2 out_num 1");
    let error = log.fails_with_any();
    assert!(matches!(error, Error::Lacking { line: 28, lacking: Lacking::Notifications }));

    let mut log = Log::default();
    log.line("virtio_set_status vdev 0x55d0 val 0");
    log.line("virtqueue_pop vq 0x55e0 elem 0x7f00 in_num 2 out_num 1");
    log.fails(&expect!["line 2: the device acts and no access of the driver is shown; `-trace memory_region_ops_*` is missing"]);

    let mut log = Log::default();
    log.line("virtio_set_status vdev 0x55d0 val 0");
    assert!(matches!(log.fails_with_any(), Error::Lacking { lacking: Lacking::Accesses, .. }));

    let mut log = Log::default();
    log.store(COMMON, BAR + 0x14, 1, 0);
    log.fails(&expect!["line 1: an access to a virtio device, and no BAR is known to be there: the log begins too late, or `-trace memory_region_ops_*` was not on while the bus was set up"]);
}

#[test]
fn what_is_no_text_is_refused() {
    for bytes in [&b"\0\0\0\0simple"[..], &vec![b'x'; 1 << 17]] {
        assert!(matches!(read(bytes), Err(Error::NoText { line: 1 })));
    }
}

/// SeaBIOS says so on its debug port.
fn firmware(log: &mut Log) {
    for byte in b"SSeaBIOS (version" {
        log.store("io", 0x402, 1, u64::from(*byte));
    }
}

/// The lines of a log that are not the firmware's, by the entries that they show.
fn guests(log: &Log) -> (Vec<String>, Option<u64>) {
    let recording = read(log.0.as_bytes()).expect("the log is whole");
    let entries = recording.entries.iter().zip(&recording.by_firmware);
    let guests = entries.filter(|(_, firmware)| !**firmware);
    let firmware = recording.notes.iter().find_map(|note| match note {
        Note::Firmware { line } => Some(*line),
        _ => None,
    });
    (guests.map(|(entry, _)| entry.to_string()).collect(), firmware)
}

#[test]
fn what_seabios_did_before_the_guest_is_told_apart() {
    let mut log = Log::default();
    firmware(&mut log);
    log.0.push_str(&Log::modern().0);
    for status in [0, 3, 0xb, 0xf] {
        log.store(COMMON, BAR + 0x14, 1, status);
    }
    request(&mut log);
    let last =
        log.0.lines().position(|line| line.contains("notify-virtio-blk")).unwrap() as u64 + 1;
    log.config_load(0, 4, 0x1042_1af4);
    log.store(COMMON, BAR + 0x14, 1, 0).store(COMMON, BAR + 0x14, 1, 3);
    let expected = [
        "guest   config_address <- 80002000",
        "guest   00:04.0 config vendor_id -> 10421af4",
        "guest   00:04.0 common device_status <- 00",
        "guest   00:04.0 common device_status <- 03",
    ];
    assert_eq!(guests(&log), (expected.map(Into::into).to_vec(), Some(last)));
}

#[test]
fn a_device_that_seabios_left_alone_is_the_guests_from_the_start() {
    let mut log = Log::default();
    firmware(&mut log);
    log.0.push_str(&Log::modern().0);
    for status in [0, 1, 3, 0xb, 0xf, 0, 3] {
        log.store(COMMON, BAR + 0x14, 1, status);
    }
    let (entries, firmware) = guests(&log);
    assert_eq!(entries.iter().filter(|entry| entry.contains("device_status")).count(), 7);
    assert_eq!(firmware, None);
}

#[test]
fn without_the_name_nothing_is_firmware() {
    let mut log = Log::modern();
    for status in [0, 3, 0xb, 0xf, 0] {
        log.store(COMMON, BAR + 0x14, 1, status);
    }
    assert_eq!(guests(&log).1, None);
}

mod damage {
    use proptest::prelude::*;

    use super::*;

    fn log() -> String {
        let mut log = Log::modern();
        log.config_load(0x34, 1, 0x40).config_load(0x40, 4, 0x0214_0009);
        log.config_load(0x44, 4, 4).config_load(0x48, 4, 0x3000).config_load(0x50, 4, 0);
        log.store(COMMON, BAR + 0x1a, 2, 1).store("msix-table", 0xfeb0_0010, 8, 0xfee0_1000);
        log.load("virtio-pci-device-virtio-blk", BAR + 0x2004, 4, 7);
        request(&mut log);
        log.0
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = read(&bytes[..]);
        }

        #[test]
        fn a_damaged_log_is_read_or_refused(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = log().into_bytes();
            for (place, byte) in edits {
                let place = place.index(bytes.len());
                // Mostly characters that a log has.
                bytes[place] = b"0123456789abcdefx \n'@:.<->"[usize::from(byte) % 26];
            }
            bytes.truncate(bytes.len() - cut.index(bytes.len() / 4));
            let _ = read(&bytes[..]);
        }

        #[test]
        fn accesses_anywhere_are_read_or_refused(
            accesses in prop::collection::vec(
                (0..9usize, any::<u64>(), 0..4u32, any::<u64>(), any::<bool>()), 0..60),
        ) {
            const NAMES: [&str; 9] = [
                "pci-conf-idx", "pci-conf-data", "pcie-mmcfg-mmio", "virtio-pci", "msix-table",
                "msix-pba", COMMON, NOTIFY, "virtio-pci-device-virtio-blk",
            ];
            let mut log = Log::modern();
            for (name, address, width, value, store) in accesses {
                let address = match name {
                    0 | 1 => 0xcf8 + address % 8,
                    2 => address,
                    4 | 5 => 0xfeb0_0000 + address % 0x1000,
                    _ => BAR + address % 0x1_0000,
                };
                let way = if store { "write" } else { "read" };
                log.access(way, NAMES[name], address, 1 << width, value);
            }
            let _ = read(log.0.as_bytes());
        }
    }
}
