//! The scenarios and the keys that each takes.

/// A scenario: what a boot can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its name: `scenario=NAME`.
    pub name: &'static str,
    /// The keys that it takes, beside `scenario` and, with [`Scenario::devices`], [`DEVICE_KEYS`].
    pub keys: &'static [&'static str],
    /// Whether it drives devices, and so takes [`DEVICE_KEYS`].
    pub devices: bool,
    /// What it does, in a few words.
    pub does: &'static str,
}

/// The keys that say how devices are driven, and whether a run is marked.
pub const DEVICE_KEYS: [&str; 5] = ["config", "transport", "interrupts", "features", "marks"];

const fn scenario(
    name: &'static str,
    keys: &'static [&'static str],
    devices: bool,
    does: &'static str,
) -> Scenario {
    Scenario { name, keys, devices, does }
}

/// All scenarios; the last ones are the bootable image's own.
pub const SCENARIOS: &[Scenario] = &[
    scenario("boot", &["path"], true, "mounts the disk, prints a file, tries a scratch block"),
    scenario("pci", &[], true, "scans the PCI bus"),
    scenario("init", &[], true, "starts the block device and reads its first block"),
    scenario("read", &["sector"], true, "reads one sector"),
    scenario("write", &["sector"], true, "writes one sector, by default the last, and flushes"),
    scenario("info", &[], true, "says what the device says of itself, and its ID"),
    scenario("batch", &["count"], true, "reads blocks by one batch, 64 by default"),
    scenario("bytes", &[], true, "writes and reads at odd places and lengths"),
    scenario("discard", &[], true, "writes zeroes and discards"),
    scenario("tasks", &["count"], true, "reads blocks from tasks that run together"),
    scenario("soak", &["count", "seed"], true, "mixed requests, all verified"),
    scenario("devices", &[], true, "uses every block device there is"),
    scenario("ata", &["sector"], true, "reads and writes by the ATA disk"),
    scenario("ls", &["path"], true, "lists a directory and what is below it"),
    scenario("fsck", &[], true, "checks the file system"),
    scenario("servers", &["path"], true, "reads a file through the block and the file server"),
    scenario("panic", &[], false, "panics"),
    scenario("hang", &["hang"], false, "never ends"),
    scenario("fault", &["kind"], false, "causes an exception"),
    scenario("triple", &[], false, "causes a triple fault"),
    scenario("interrupts", &[], false, "tries interrupts that nobody waits for"),
    scenario("memory", &[], false, "asks where memory is, and how it is mapped"),
    scenario("user", &["path", "program"], true, "has a program in ring 3 read a file"),
];

/// What runs without a command line.
pub const DEFAULT: &str = "boot";

/// The scenario of this name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}
