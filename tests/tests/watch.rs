//! A driver's accesses to memory, in loopback and on KVM.

use eclipse_devices::disk::{MemoryDisk, default_image};
use eclipse_devices::watch::Watching;
use eclipse_devices::{Completion, Preset};
use eclipse_kernel::pci::Pci;
use eclipse_kernel::scenario;
use eclipse_kernel::virtio::blk::{Options, VirtioBlk};
use eclipse_kernel::virtio::init;
use eclipse_tests::{Loopback, kvm, slice};
use eclipse_trace::{Entry, Event};
use expect_test::{Expect, expect};

fn words(watching: &str) -> Watching {
    let word = |word: &str| word.parse::<Watching>().unwrap_or_else(|error| panic!("{error}"));
    watching.split(',').map(word).fold(Watching::default(), |all, more| all | more)
}

fn is_evidence(entry: &&Entry) -> bool {
    matches!(entry.event, Event::Ram { .. } | Event::Barrier { .. })
}

/// A driver on a disk that counts, all watched from now on.
fn start(preset: Preset, watching: &str) -> (Loopback, VirtioBlk<Loopback>) {
    let machine = Loopback::new(preset, MemoryDisk::counting(64));
    let disk = init(&Pci::init(&machine), Options::default());
    let disk = disk.unwrap_or_else(|error| panic!("{preset}: {error}"));
    machine.watch(words(watching));
    (machine, disk)
}

/// What the driver does to memory to read a sector.
fn one_read(preset: Preset, watching: &str, expected: &Expect) {
    let (machine, mut disk) = start(preset, watching);
    let from = machine.recorded();
    disk.read_sectors(5, &mut [0; 512]).unwrap_or_else(|error| panic!("{error}"));
    let whole = machine.entries();
    let part: Vec<_> = whole[from..].iter().filter(is_evidence).cloned().collect();
    expected.assert_eq(&slice::transcript(&part, &whole));
}

#[test]
fn a_split_queue_is_filled_then_handed_over_then_looked_at_behind_a_barrier() {
    one_read(
        Preset::Modern,
        "rings=load,barriers",
        &expect![[r#"
            guest   00:04.0 q0 desc[0].addr <- b0
            guest   00:04.0 q0 desc[0].len <- 00000010
            guest   00:04.0 q0 desc[0].flags <- 0001
            guest   00:04.0 q0 desc[0].next <- 0001
            guest   00:04.0 q0 desc[1].addr <- b1
            guest   00:04.0 q0 desc[1].len <- 00000200
            guest   00:04.0 q0 desc[1].flags <- 0003
            guest   00:04.0 q0 desc[1].next <- 0002
            guest   00:04.0 q0 desc[2].addr <- b2
            guest   00:04.0 q0 desc[2].len <- 00000001
            guest   00:04.0 q0 desc[2].flags <- 0002
            guest   00:04.0 q0 desc[2].next <- 0000
            guest   00:04.0 q0 avail.ring[1] <- 0000
            guest   00:04.0 q0 avail.idx <- 0002
            guest   00:04.0 q0 a full barrier before the device's side is looked at
            guest   00:04.0 q0 used.flags -> 0000
            guest   00:04.0 q0 used.idx -> 0002
            guest   00:04.0 q0 used.ring[1].id -> 00000000
            guest   00:04.0 q0 used.ring[1].len -> 00000201
            guest   00:04.0 q0 used.idx -> 0002
        "#]],
    );
}

#[test]
fn a_packed_queue_has_the_flags_of_a_descriptor_stored_last() {
    one_read(
        Preset::Packed,
        "rings=load,barriers",
        &expect![[r#"
            guest   00:04.0 q0 desc[1].addr <- t0
            guest   00:04.0 q0 desc[1].len <- 00000030
            guest   00:04.0 q0 desc[1].id <- 0000
            guest   00:04.0 q0 desc[1].flags <- 0084
            guest   00:04.0 q0 a full barrier before the device's side is looked at
            guest   00:04.0 q0 device_event.desc -> 00028001
            guest   00:04.0 q0 desc[1].flags -> 8082
            guest   00:04.0 q0 desc[1].id -> 0000
            guest   00:04.0 q0 desc[1].len -> 00000201
            guest   00:04.0 q0 desc[2].flags -> 0000
            guest   00:04.0 q0 driver_event.desc <- 8002
            guest   00:04.0 q0 driver_event.flags <- 0002
            guest   00:04.0 q0 desc[2].flags -> 0000
        "#]],
    );
}

#[test]
fn with_stores_alone_there_are_no_loads() {
    for preset in [Preset::Modern, Preset::Legacy, Preset::Packed] {
        let (machine, mut disk) = start(preset, "rings");
        disk.read_sectors(5, &mut [0; 512]).unwrap_or_else(|error| panic!("{error}"));
        let entries = machine.entries();
        let evidence: Vec<_> = entries.iter().filter(is_evidence).collect();
        assert!(evidence.len() >= 6, "{preset}: {evidence:?}");
        assert!(evidence.iter().all(|entry| entry.to_string().contains("<-")), "{preset}");
    }
}

#[test]
fn a_boot_touches_memory_on_kvm_as_in_loopback_event_for_event() {
    let watching = words("rings=load,dma,barriers");
    for preset in Preset::ALL {
        let devices = || preset.config(Box::new(MemoryDisk::new(default_image())));
        let machine = Loopback::with(devices());
        machine.watch(watching);
        assert_eq!(scenario::run(&machine, ""), Ok(()), "{preset}");
        let entries = kvm::watched("", devices(), watching);
        let start = slice::position(&entries, "[PCI] Initializing PCI subsystem...");
        let (_, driver) = entries[start..].split_last().expect("a boot has events");
        assert!(driver.iter().filter(is_evidence).count() > 100, "{preset}");
        let (kvm, loopback) = (slice::transcript(driver, &entries), machine.transcript_from(0));
        for (number, (kvm, loopback)) in kvm.lines().zip(loopback.lines()).enumerate() {
            assert_eq!(kvm, loopback, "{preset}, line {number}");
        }
        assert_eq!(kvm.lines().count(), loopback.lines().count(), "{preset}");
    }
}

#[test]
fn the_guest_leaves_buffers_alone_while_a_device_has_them() {
    for preset in [Preset::Modern, Preset::Legacy, Preset::Packed] {
        let (machine, mut disk) = start(preset, "dma");
        machine.complete_by(Completion::Reverse(None));
        let data = [7; 1024];
        let first = disk.submit_write(3, &data).unwrap_or_else(|error| panic!("{error}"));
        let second = disk.submit_read(9, 512).unwrap_or_else(|error| panic!("{error}"));
        disk.notify();
        assert!(machine.watches().len() > 6, "{preset}: the buffers of both");
        disk.finish(second, &mut [0; 512]).unwrap_or_else(|error| panic!("{error}"));
        disk.finish(first, &mut []).unwrap_or_else(|error| panic!("{error}"));
        let touched = |entry: &Entry| entry.to_string().contains("buffer");
        assert!(!machine.entries().iter().filter(is_evidence).any(touched), "{preset}");
    }
}

#[test]
fn watching_changes_nothing_else() {
    let boot = |watching: &str| {
        let devices = Preset::Modern.config(Box::new(MemoryDisk::new(default_image())));
        let watching = if watching.is_empty() { Watching::default() } else { words(watching) };
        let entries = kvm::watched("", devices, watching);
        let rest = |entry: &&Entry| !is_evidence(entry);
        entries.iter().filter(rest).map(|entry| format!("{entry}\n")).collect::<String>()
    };
    let plain = boot("");
    for watching in ["rings", "rings=load", "dma", "barriers", "rings=load,dma,barriers"] {
        assert_eq!(boot(watching), plain, "{watching}");
    }
}

#[test]
fn twenty_watched_boots_give_one_transcript() {
    let boot = || {
        let devices = Preset::Modern.config(Box::new(MemoryDisk::new(default_image())));
        eclipse_trace::text::numbered(&kvm::watched("", devices, words("rings=load,dma,barriers")))
    };
    let first = boot();
    for round in 2..=20 {
        assert_eq!(boot(), first, "boot {round} differs from the first");
    }
}
