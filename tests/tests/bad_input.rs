//! What a guest is given and cannot use: it says so and ends, in loopback and on KVM by the
//! same words, with exit value 0x11.
//!
//! What loaders give is tested where it is read: a start info without a memory map in
//! `guest-kernel/src/start_info.rs`. Here are command lines and disks.

use eclipse_devices::disk::eclipsefs::Directory;
use eclipse_devices::disk::{MemoryDisk, default_image};
use eclipse_devices::{PlatformConfig, Preset};
use eclipse_kernel::scenario;
use eclipse_tests::Loopback;
use eclipse_vmm::{Config, Machine, Outcome, RunOptions};

/// A command line, a disk, and what the guest says of them.
struct Bad {
    cmdline: String,
    disk: MemoryDisk,
    says: &'static str,
}

fn bad(cmdline: impl Into<String>, disk: MemoryDisk, says: &'static str) -> Bad {
    Bad { cmdline: cmdline.into(), disk, says }
}

/// The disk that is there otherwise.
fn good() -> MemoryDisk {
    MemoryDisk::new(default_image())
}

/// That disk with other bytes in its header.
fn header(at: usize, bytes: &[u8]) -> MemoryDisk {
    let mut image = default_image();
    image[at..at + bytes.len()].copy_from_slice(bytes);
    MemoryDisk::new(image)
}

/// The header of an image that `mkfs.eclipsefs` made: 16 bytes an inode in its table.
fn mkfs() -> MemoryDisk {
    let image = default_image();
    let inodes = u32::from_le_bytes([image[29], image[30], image[31], image[32]]);
    header(21, &(16 * u64::from(inodes)).to_le_bytes())
}

/// A link that leads from `/l` by a long way to the root.
fn long_link() -> MemoryDisk {
    let root = Directory::new().symlink("l", &format!("/{}", "./".repeat(1500)));
    let mut image = root.expect("it is a name").to_image().expect("there are no files");
    image.resize(image.len().next_multiple_of(4096), 0);
    MemoryDisk::new(image)
}

fn command_lines() -> Vec<Bad> {
    const SCENARIOS: &str = "unknown scenario `dance`: known are boot, pci, init, read, write, \
        info, batch, bytes, discard, tasks, soak, devices, ata, ls, fsck, servers, panic, hang, \
        fault, triple, interrupts, memory, user";
    const KEYS: &str = "unknown key `sektor` for scenario `read`: known are scenario, sector, \
        config, transport, interrupts, features, marks";
    vec![
        bad("scenario=dance", good(), SCENARIOS),
        bad("scenario=read sektor=3", good(), KEYS),
        bad("quiet", good(), "`quiet` on the command line is not of the form key=value"),
        bad("sector=1 scenario=read sector=2", good(), "key `sector` is given twice"),
        bad("scenario=read sector=", good(), "`sector=`: a sector number is expected"),
        bad("scenario=soak count=0", good(), "`count=0`: a count from 1 to 10000000 is expected"),
        bad("path=motd", good(), "`path=motd`: a path that begins with `/` is expected"),
        bad("interrupts=msi", good(), "`interrupts=msi`: `msix`, `intx` or `none` is expected"),
    ]
}

fn file_systems() -> Vec<Bad> {
    const MKFS: &str = "EclipseFS: the inode table has 16 bytes an inode: mkfs.eclipsefs wrote \
        it, and its body can only be read after populate-eclipsefs";
    let small = || MemoryDisk::counting(7);
    let version = |version: u32| header(9, &version.to_le_bytes());
    vec![
        bad(
            "",
            small(),
            "EclipseFS: a device of 3584 bytes is too small for EclipseFS, whose \
            header has 4096",
        ),
        bad(
            "",
            MemoryDisk::new(Vec::new()),
            "EclipseFS: a device of 0 bytes is too small for \
            EclipseFS, whose header has 4096",
        ),
        bad(
            "",
            header(0, b"ECLIPSEFX"),
            "EclipseFS: the device does not begin with the \
            EclipseFS signature",
        ),
        bad("", version(0x0001_0000), "EclipseFS: EclipseFS version 1.0 is not supported, 2.0 is"),
        bad("", version(0x0002_0001), "EclipseFS: EclipseFS version 2.1 is not supported, 2.0 is"),
        bad("", mkfs(), MKFS),
        bad("scenario=ls", mkfs(), MKFS),
        bad("path=/etc/none", good(), "EclipseFS: `none` of path `/etc/none` does not exist"),
        bad(
            "path=/etc/motd/x",
            good(),
            "EclipseFS: `motd` of path `/etc/motd/x` is a file, not \
            a directory",
        ),
        bad("path=/etc", good(), "EclipseFS: inode 3 is a directory, not a file"),
        bad(
            format!("path=/{}", "n".repeat(256)),
            good(),
            "EclipseFS: a name of 256 bytes is \
            longer than 255",
        ),
        bad(
            format!("path=/l/{}x", "./".repeat(800)),
            long_link(),
            "EclipseFS: a path of 4603 \
            bytes is longer than 4096",
        ),
    ]
}

fn disks() -> Vec<Bad> {
    let none = || MemoryDisk::new(Vec::new());
    vec![
        bad(
            "scenario=read sector=64",
            MemoryDisk::counting(64),
            "VirtIO block device 00:04.0: 1 \
            sectors at 64 are not on a disk of 64 sectors",
        ),
        bad(
            "scenario=read",
            none(),
            "VirtIO block device 00:04.0: 1 sectors at 0 are not on a \
            disk of 0 sectors",
        ),
        bad("scenario=write", none(), "a disk of 0 sectors has no scratch block"),
        bad("scenario=batch", none(), "a disk of 0 sectors has no scratch block"),
        bad("scenario=bytes", none(), "a disk of 0 sectors has no scratch block"),
        bad("scenario=discard", none(), "a disk of 0 sectors has no scratch block"),
        bad("scenario=tasks", none(), "a disk of 0 sectors has no scratch block"),
        bad("scenario=soak", none(), "a disk of 0 sectors has no scratch block"),
        bad(
            "scenario=write",
            good().write_protected(),
            "VirtIO block device 00:04.0: sector 511 \
            cannot be written: the disk is read-only",
        ),
        bad(
            "scenario=bytes",
            good().write_protected(),
            "VirtIO block device 00:04.0: sector 384 \
            cannot be written: the disk is read-only",
        ),
        bad("scenario=ata", good(), "there is no ATA disk"),
        bad(
            "scenario=init transport=legacy",
            good(),
            "VirtIO block device 00:04.0: a device \
            0x1042 of revision 1 has no legacy interface",
        ),
    ]
}

fn all() -> impl Iterator<Item = Bad> {
    command_lines().into_iter().chain(file_systems()).chain(disks())
}

fn devices(disk: &MemoryDisk) -> PlatformConfig {
    Preset::Modern.config(Box::new(disk.clone()))
}

#[test]
fn bad_input_is_an_error_that_says_what_is_bad() {
    for Bad { cmdline, disk, says } in all() {
        let machine = Loopback::with(devices(&disk));
        let result = scenario::run(&machine, &cmdline).map_err(|error| error.to_string());
        assert_eq!(result, Err(says.to_string()), "{cmdline}: {}", machine.console());
        assert_eq!(machine.dma_allocated(), 0, "{cmdline}");
    }
}

#[test]
fn a_guest_with_bad_input_says_so_and_ends_with_0x11() {
    for Bad { cmdline, disk, says } in all() {
        let config =
            Config { cmdline: cmdline.clone(), devices: devices(&disk), ..Config::default() };
        let run = Machine::new(config).and_then(|machine| machine.run(RunOptions::default()));
        let run = run.unwrap_or_else(|error| panic!("{cmdline}: {error}"));
        let console = String::from_utf8_lossy(&run.console);
        assert_eq!(run.outcome, Outcome::Failure(0x11), "{cmdline}: {console}");
        let last = console.lines().last().unwrap_or_default();
        assert_eq!(last, format!("[ERROR] {says}"), "{cmdline}");
    }
}

#[test]
fn a_path_that_is_longer_than_any_is_refused_before_it_is_walked() {
    let machine = Loopback::with(devices(&good()));
    let path = format!("path=/{}", "a/".repeat(2048));
    let result = scenario::run(&machine, &path).map_err(|error| error.to_string());
    let says = "EclipseFS: a path of 4097 bytes is longer than 4096";
    assert_eq!(result, Err(says.to_string()));
}

#[test]
fn the_least_memory_that_a_machine_can_have_is_enough() {
    let memory = eclipse_vmm::memory::MIN_SIZE;
    let run = Machine::new(Config { memory, ..Config::default() })
        .and_then(|machine| machine.run(RunOptions::default()))
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(run.outcome, Outcome::Success, "{}", String::from_utf8_lossy(&run.console));
}
