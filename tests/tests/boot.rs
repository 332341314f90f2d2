//! The image under the VMM, on KVM: the same transcripts, and the same every time.

use eclipse_devices::Preset;
use eclipse_devices::disk::{MemoryDisk, default_image};
use eclipse_kernel::scenario;
use eclipse_tests::expected::{self, Expected};
use eclipse_tests::{Loopback, kvm, slice};
use eclipse_trace::{Entry, text};
use eclipse_vmm::{Death, Outcome, Run};
use expect_test::expect;

fn check(expected: Expected) {
    expected.assert(&kvm::entries(expected.cmdline));
}

#[test]
fn discovery_is_as_in_loopback() {
    check(expected::pci_discovery());
}

#[test]
fn initialisation_is_as_in_loopback() {
    check(expected::virtio_initialisation());
}

#[test]
fn a_read_of_one_sector_is_as_in_loopback() {
    check(expected::read_one_sector());
}

#[test]
fn a_write_and_its_flush_are_as_in_loopback() {
    check(expected::write_and_flush());
}

#[test]
fn the_default_boot_is_event_for_event_the_same_in_loopback_and_on_kvm() {
    let machine = Loopback::new(Preset::Modern, MemoryDisk::new(default_image()));
    assert_eq!(scenario::run(&machine, ""), Ok(()));
    let entries = kvm::entries("");
    // Before it lies what a process has no part in: memory, paging, interrupts.
    let start = slice::position(&entries, "[PCI] Initializing PCI subsystem...");
    let (last, driver) = entries[start..].split_last().expect("a boot has events");
    assert_eq!(last.to_string(), "guest   debug_exit <- 10");
    assert_eq!(slice::transcript(driver, &entries), machine.transcript_from(0));
}

#[test]
fn the_boot_log_is_as_eclipse_prints_it() {
    let log = String::from_utf8(kvm::boot("").console).expect("the log is UTF-8");
    expect![[r#"
        [BOOT] Eclipse kernel 0.1.0
        [MEM] 64 MiB of RAM, paging on, kernel in the higher half
        [INT] Exceptions and interrupts on their own stacks, local APIC on
        [INT] I/O APIC with 24 inputs
        [IPC] Cooperative tasks, message queues of 16
        [SYS] System calls from ring 3: read, write, open, close, exit
        [SRV] Servers registered: block, file
        [PCI] Initializing PCI subsystem...
        [PCI] Found 5 PCI device(s)
        [PCI]   Bus 0 Device 0 Func 0: Vendor=0x8086 Device=0x1237 Class=0x06 Type=Host Bridge
        [PCI]   Bus 0 Device 1 Func 0: Vendor=0x8086 Device=0x7000 Class=0x06 Type=ISA Bridge
        [PCI]   Bus 0 Device 1 Func 1: Vendor=0x8086 Device=0x7010 Class=0x01 Type=IDE Controller
        [PCI]   Bus 0 Device 1 Func 3: Vendor=0x8086 Device=0x7113 Class=0x06 Type=Bridge Device
        [PCI]   Bus 0 Device 4 Func 0: Vendor=0x1AF4 Device=0x1042 Class=0x01 Type=SCSI Controller [VirtIO]
        [VirtIO] Initializing VirtIO devices...
        [VirtIO] Found VirtIO block device on PCI
        [VirtIO]   Bus=0 Device=4 Function=0
        [VirtIO]   BAR0=0xFEBC1000
        [VirtIO] Real PCI device initialized successfully
        [FS] Attempting to mount eclipsefs...
        [FS] EclipseFS signature found
        [FS] Version: 2.0
        [FS] Filesystem mounted successfully
        [FS] /etc/motd: 256 bytes
        Welcome to Eclipse.

        A driver found this disk on the bus, set up a queue in its own memory and asked for
        these lines. Every store on the way is on record, and so is what the device made of it.

            May your barriers be in order and your bounds be checked.
        [VirtIO] Scratch block 63: written, flushed, read back, restored
    "#]]
    .assert_eq(&log);
}

#[test]
fn twenty_boots_give_one_transcript() {
    let transcript = || text::numbered(&kvm::entries(""));
    let first = transcript();
    for round in 2..=20 {
        assert_eq!(transcript(), first, "boot {round} differs from the first");
    }
}

/// How a guest ended that was not to succeed, and the last line that it printed.
/// One read of 4 KiB and 64 of them are one notification and one interrupt, so what they differ by
/// is the console: a digit more in two lines, and the status that is asked once for 16 bytes.
#[test]
fn a_batch_of_64_reads_costs_at_most_three_exits_more_than_one_read() {
    let exits = |count: u64| {
        let run = kvm::boot(&format!("scenario=batch count={count}"));
        assert_eq!(run.outcome, Outcome::Success, "{}", String::from_utf8_lossy(&run.console));
        let summary = run.recorder.summary();
        assert_eq!(summary.requests.values().sum::<u64>(), count + 1, "the first is the driver's");
        (run.timing.exits, summary.accesses())
    };
    let ((one, accesses), (all, accesses_of_all)) = (exits(1), exits(64));
    assert_eq!(accesses, accesses_of_all);
    assert!(all <= one + 3, "one read: {one} exits, 64 reads: {all}");
}

fn end(run: &Run) -> (Outcome, String) {
    let console = String::from_utf8_lossy(&run.console);
    (run.outcome.clone(), console.lines().last().unwrap_or_default().to_string())
}

#[test]
fn an_unknown_scenario_or_key_is_a_failure_that_lists_the_known_ones() {
    let (outcome, line) = end(&kvm::boot("scenario=dance"));
    assert_eq!(outcome, Outcome::Failure(0x11));
    expect!["[ERROR] unknown scenario `dance`: known are boot, pci, init, read, write, info, batch, bytes, discard, tasks, soak, devices, ata, ls, fsck, servers, panic, hang, fault, triple, interrupts, memory, user"].assert_eq(&line);
    let (outcome, line) = end(&kvm::boot("scenario=read sektor=3"));
    assert_eq!(outcome, Outcome::Failure(0x11));
    expect!["[ERROR] unknown key `sektor` for scenario `read`: known are scenario, sector, config, transport, interrupts, features, marks"]
        .assert_eq(&line);
}

#[test]
fn a_panic_of_the_guest_has_its_file_line_and_message_on_the_console() {
    let run = kvm::boot("scenario=panic");
    assert_eq!(run.outcome, Outcome::Failure(0x11));
    let console = String::from_utf8_lossy(&run.console);
    let line = console.lines().find(|line| line.starts_with("[PANIC]")).unwrap_or(&console);
    let (place, message) = line.split_once(": ").unwrap_or((line, ""));
    assert!(place.contains("/mishap.rs:"), "{line}");
    assert_eq!(message, "deliberate panic (scenario=panic)");
}

#[test]
fn a_triple_fault_has_a_post_mortem_that_names_the_function() {
    let run = kvm::boot("scenario=triple");
    assert_eq!(run.outcome, Outcome::Died(Death::TripleFault));
    let post_mortem = run.post_mortem.expect("a guest that died has one").to_string();
    assert!(post_mortem.contains("eclipse_kernel::"), "{post_mortem}");
}

#[test]
fn an_exception_of_the_guest_is_reported_by_the_guest() {
    let run = kvm::boot("scenario=fault");
    assert_eq!(run.outcome, Outcome::Failure(0x11));
    let console = String::from_utf8_lossy(&run.console);
    assert!(console.contains("[FAULT] exception 14, page fault, at rip 0xffff"), "{console}");
    assert!(console.contains("[FAULT] load from 0xffff"), "{console}");
}

#[test]
fn a_disk_that_is_none_of_eclipsefs_is_a_failure_that_says_so() {
    let (outcome, line) = end(&kvm::boot_with_disk("", MemoryDisk::counting(64)));
    assert_eq!(outcome, Outcome::Failure(0x11));
    expect!["[ERROR] EclipseFS: the device does not begin with the EclipseFS signature"]
        .assert_eq(&line);
}

#[test]
fn a_read_only_disk_is_mounted_and_not_written() {
    let disk = MemoryDisk::new(default_image()).write_protected();
    let run = kvm::boot_with_disk("", disk);
    assert_eq!(run.outcome, Outcome::Success);
    let entries: &[Entry] = run.recorder.entries();
    let last = slice::console_lines(entries).pop();
    assert_eq!(last, Some("[VirtIO] Scratch block skipped: the disk is read-only"));
    assert_eq!((run.recorder.summary().bytes_out, run.recorder.summary().violations), (0, 0));
}
