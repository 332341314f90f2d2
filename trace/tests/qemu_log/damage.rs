//! Logs with any damage: none of them makes the reader panic.

use eclipse_trace::import::qemu::read;
use proptest::prelude::*;

use crate::log::{BAR, COMMON, Log, NOTIFY, request};

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
