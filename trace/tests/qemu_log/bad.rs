//! Logs that are no record.

use eclipse_trace::import::qemu::{Error, Lacking, read};
use expect_test::expect;

use crate::log::{BAR, COMMON, Log, request};

#[test]
fn a_cut_is_found_wherever_it_is() {
    let mut whole = Log::modern();
    request(&mut whole);
    let last = whole.0[..whole.0.len() - 1].rfind('\n').map_or(0, |end| end + 1);
    for end in last + "virtio_notify".len()..whole.0.len() - 1 {
        let error = Log(whole.0[..end].to_string()).error();
        let expected = whole.last();
        assert!(matches!(error, Error::Truncated { line, .. } if line == expected), "{error}");
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
    assert!(matches!(log.error(), Error::Interleaved { line: 28, event: "pci_cfg_read" }));

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
    let error = log.error();
    assert!(matches!(error, Error::Lacking { line: 28, lacking: Lacking::Notifications }));

    let mut log = Log::default();
    log.line("virtio_set_status vdev 0x55d0 val 0");
    log.line("virtqueue_pop vq 0x55e0 elem 0x7f00 in_num 2 out_num 1");
    log.fails(&expect!["line 2: the device acts and no access of the driver is shown; `-trace memory_region_ops_*` is missing"]);

    let mut log = Log::default();
    log.line("virtio_set_status vdev 0x55d0 val 0");
    assert!(matches!(log.error(), Error::Lacking { lacking: Lacking::Accesses, .. }));

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
