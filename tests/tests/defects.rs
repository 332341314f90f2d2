//! The defects that drivers of the Eclipse kernel have really had, and the tests that would have
//! noticed them.
//!
//! Each test is called `defect_NN_`, with the number of its defect and a sentence that is true of a
//! driver without it. The table below has all numbers, and where their tests are; a number may have
//! tests in more places than one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const PCI: &str = "guest-kernel/src/pci/tests/defects.rs";
const TRANSPORT: &str = "guest-kernel/src/virtio/tests/defects.rs";
const DMA: &str = "guest-kernel/src/virtio/tests/defects_dma.rs";
const BLOCK: &str = "guest-kernel/src/virtio/tests/defects_blk.rs";
const QUEUE: &str = "guest-kernel/src/virtio/queue/tests/defects.rs";
const FRAMES: &str = "guest-kernel/src/frames.rs";
const DMA_MAP: &str = "guest-kernel/src/dma_map.rs";
const LADDER: &str = "guest-kernel/src/disk/tests.rs";
const ATA: &str = "guest-kernel/src/ata/tests/defects.rs";
const FILES: &str = "guest-kernel/src/eclipsefs/tests/defects.rs";
const TASKS: &str = "tests/tests/shared_blk.rs";
const SHARED: &str = "guest-kernel/src/virtio/tests/shared.rs";
const KVM: &str = "tests/tests/kernel.rs";

/// Number, what the driver did, and where its tests are.
const DEFECTS: [(u8, &str, &[&str]); 45] = [
    (1, "takes an I/O BAR for memory, or mixes their masks up", &[PCI]),
    (2, "ignores a BAR's type, its upper half, its size", &[PCI]),
    (3, "scans bus 0 alone", &[PCI]),
    (4, "misses the modern device ID", &[PCI]),
    (5, "stores 32 bits to the command register, and so clears status bits", &[PCI]),
    (6, "does not set bus mastering", &[PCI]),
    (7, "touches device memory that is not mapped, or not to its end", &[PCI, KVM]),
    (8, "follows a capability list for ever", &[PCI]),
    (9, "sizes a BAR that decodes", &[PCI]),
    (10, "forgets the upper half of a message address, or cuts its data", &[PCI]),
    (11, "scans again at each look-up", &[PCI]),
    (12, "ignores the multi-function bit, takes vendor 0 for one", &[PCI]),
    (13, "leaves INTx# on while it polls", &[PCI]),
    (14, "translates an address wrongly, or takes it for the physical one", &[DMA, KVM]),
    (15, "lets a buffer cross pages that are not contiguous", &[DMA, FRAMES]),
    (16, "gives the device a buffer on the stack", &[DMA]),
    (17, "loses an alignment in the page frame number", &[DMA, FRAMES]),
    (18, "splits the rings of a legacy queue", &[DMA]),
    (19, "frees what the device may still write", &[DMA]),
    (20, "leaks memory or descriptors where something fails", &[DMA, QUEUE]),
    (21, "allocates nothing, or more than there is", &[DMA, FRAMES]),
    (22, "frees twice, or with another layout", &[FRAMES, DMA_MAP, KVM]),
    (23, "leaves freed pages uncached", &[KVM]),
    (24, "hands out frames that are in use, such as page tables", &[FRAMES, KVM]),
    (25, "has an offset and a length overflow", &[DMA]),
    (26, "has the legacy registers in other places", &[TRANSPORT]),
    (27, "gives a legacy queue another size than the device's", &[TRANSPORT]),
    (28, "publishes an index before the data, or without a barrier", &[QUEUE]),
    (29, "believes the used ring, or takes a late completion for the next", &[QUEUE, BLOCK]),
    (30, "does not pre-set the status byte", &[BLOCK]),
    (31, "fails where an index or a ring wraps", &[QUEUE]),
    (32, "corrupts the free list", &[QUEUE]),
    (33, "initialises in another order, and ignores what the status says", &[TRANSPORT]),
    (34, "reports success without I/O", &[BLOCK]),
    (35, "never reads the capacity, writes to read-only disks", &[BLOCK]),
    (36, "has requests of the wrong length", &[BLOCK]),
    (37, "hides a failure by a fall-back, or skips one", &[LADDER]),
    (38, "lets one take what another waits for", &[TASKS, SHARED]),
    (39, "counts rounds where it should look at the clock", &[BLOCK]),
    (40, "loses interrupts, or takes them wrongly", &[TRANSPORT]),
    (41, "reads the ATA status too early", &[ATA]),
    (42, "cannot read a record header across two blocks", &[FILES]),
    (43, "expects everything in 4096 bytes, or at a multiple", &[FILES]),
    (44, "finds the first disk of a controller alone", &[ATA]),
    (45, "has the offset of the partition built in", &[FILES]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The numbers of the tests in a source file, each right behind `#[test]`.
fn tests_in(source: &str) -> Vec<u8> {
    let behind = source.lines().zip(source.lines().skip(1));
    let functions = behind.filter(|(attribute, _)| attribute.trim() == "#[test]");
    let names = functions.filter_map(|(_, line)| line.trim().strip_prefix("fn defect_"));
    names.filter_map(|name| name.split('_').next()?.parse().ok()).collect()
}

/// All Rust files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    for entry in entries {
        let path = entry.expect("a folder can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_defect_has_its_tests_where_the_table_says_and_nowhere_else() {
    let mut listed: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for (number, what, files) in DEFECTS {
        assert!(!files.is_empty(), "{number}: {what}");
        let mut files: Vec<_> = files.iter().map(ToString::to_string).collect();
        files.sort();
        assert!(listed.insert(number, files).is_none(), "{number} is there twice");
    }
    assert!(listed.keys().copied().eq(1..=45), "all numbers, and no other");
    let mut paths = Vec::new();
    for folder in ["guest-kernel/src", "tests/tests"] {
        sources(&root().join(folder), &mut paths);
    }
    let mut there: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for path in paths {
        let source = fs::read_to_string(&path).expect("a source is text");
        let name = path.strip_prefix(root()).expect("it is below").display().to_string();
        for number in tests_in(&source) {
            let files = there.entry(number).or_default();
            if !files.contains(&name) {
                files.push(name.clone());
            }
        }
    }
    there.values_mut().for_each(|files| files.sort());
    assert_eq!(there, listed);
}
