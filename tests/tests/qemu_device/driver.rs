//! A driver that looks for nothing and checks nothing: it plays what it is told.

use eclipse_devices::Space;
use eclipse_tests::parallel::Player;

pub const NEXT: u16 = 1;
pub const WRITE: u16 = 2;
pub const INDIRECT: u16 = 4;

/// The BAR of the virtio structures is placed here; it is BAR 4 in both.
pub const COMMON: u64 = 0xfe00_0000;
pub const ISR: u64 = COMMON + 0x1000;
pub const BLOCK: u64 = COMMON + 0x2000;
pub const NOTIFY: u64 = COMMON + 0x3000;
/// The BAR of the MSI-X table is placed here.
pub const MSIX_TABLE: u64 = 0xfebc_1000;
pub const MSIX_PBA: u64 = MSIX_TABLE + 0x800;

pub const DESC: u64 = 0x10000;
pub const AVAIL: u64 = 0x11000;
pub const USED: u64 = 0x12000;
pub const HEADER: u64 = 0x13000;
pub const STATUS: u64 = 0x13010;
pub const DATA: u64 = 0x14000;
/// Where messages are sent: RAM, so that they can be seen.
pub const MESSAGES: u64 = 0x1f000;
pub const QUEUE_SIZE: u16 = 8;

/// `VERSION_1`, `FLUSH`, `BLK_SIZE` and `SEG_MAX`, in windows 0 and 1: what both offer.
pub const FEATURES: [u64; 2] = [0x244, 1];

/// A descriptor: address, length, flags, next (VIRTIO 1.4, 2.7.5).
pub type Descriptor = (u64, u32, u16, u16);

/// Loads from configuration space of function `devfn` of bus 0, unnoted.
pub fn config(player: &Player<'_>, devfn: u8, offset: u8, width: u8) -> u64 {
    select(player, devfn, offset);
    player.machine().load(Space::Port, 0xcfc + u64::from(offset & 3), width)
}

/// Stores to configuration space of function `devfn` of bus 0.
pub fn config_store(player: &Player<'_>, devfn: u8, offset: u8, width: u8, value: u64) {
    select(player, devfn, offset);
    player.store(Space::Port, 0xcfc + u64::from(offset & 3), width, value);
}

fn select(player: &Player<'_>, devfn: u8, offset: u8) {
    let address = 0x8000_0000 | u64::from(devfn) << 8 | u64::from(offset & 0xfc);
    player.store(Space::Port, 0xcf8, 4, address);
}

/// The block device's place.
pub const BLOCK_DEVFN: u8 = 4 << 3;

/// Where the capability with this ID, and for virtio this cfg_type, is.
pub fn capability(player: &Player<'_>, id: u64, cfg_type: Option<u64>) -> u8 {
    let mut at = config(player, BLOCK_DEVFN, 0x34, 1) as u8;
    for _ in 0..48 {
        let same_type = |cfg_type| config(player, BLOCK_DEVFN, at + 3, 1) == cfg_type;
        if config(player, BLOCK_DEVFN, at, 1) == id && cfg_type.is_none_or(same_type) {
            return at;
        }
        at = config(player, BLOCK_DEVFN, at + 1, 1) as u8;
    }
    panic!("there is no capability {id:#x} {cfg_type:?}");
}

/// Places both BARs and switches memory decode and bus mastering on.
pub fn place(player: &Player<'_>) {
    let msix = capability(player, 0x11, None);
    let bar = (config(player, BLOCK_DEVFN, msix + 4, 4) & 7) as u8;
    config_store(player, BLOCK_DEVFN, 0x04, 2, 0);
    config_store(player, BLOCK_DEVFN, 0x10 + 4 * bar, 4, MSIX_TABLE);
    config_store(player, BLOCK_DEVFN, 0x20, 4, COMMON);
    config_store(player, BLOCK_DEVFN, 0x24, 4, 0);
    config_store(player, BLOCK_DEVFN, 0x04, 2, 0x0006);
}

/// Stores to the common configuration.
pub fn common(player: &Player<'_>, offset: u64, width: u8, value: u64) {
    player.store(Space::Memory, COMMON + offset, width, value);
}

/// How far a driver has come in the initialisation (VIRTIO 1.4, 3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Reset,
    Acknowledge,
    Driver,
    FeaturesOk,
    QueueEnabled,
    DriverOk,
    Failed,
}

impl State {
    pub const ALL: [State; 7] = [
        State::Reset,
        State::Acknowledge,
        State::Driver,
        State::FeaturesOk,
        State::QueueEnabled,
        State::DriverOk,
        State::Failed,
    ];
}

/// Goes from a reset to `state`.
pub fn reach(player: &Player<'_>, state: State) {
    common(player, 0x14, 1, 0);
    for window in [0, 1] {
        common(player, 0x00, 4, 0);
        common(player, 0x08, 4, window);
    }
    common(player, 0x08, 4, 0);
    common(player, 0x16, 2, 0);
    if state >= State::Acknowledge {
        common(player, 0x14, 1, 0x01);
    }
    if state >= State::Driver {
        common(player, 0x14, 1, 0x03);
    }
    if state >= State::FeaturesOk {
        for (window, bits) in (0..).zip(FEATURES) {
            common(player, 0x08, 4, window);
            common(player, 0x0c, 4, bits);
        }
        common(player, 0x14, 1, 0x0b);
    }
    if state >= State::QueueEnabled {
        common(player, 0x16, 2, 0);
        common(player, 0x18, 2, QUEUE_SIZE.into());
        for (offset, area) in [(0x20, DESC), (0x28, AVAIL), (0x30, USED)] {
            common(player, offset, 4, area);
            common(player, offset + 4, 4, 0);
        }
        common(player, 0x10, 2, 0);
        common(player, 0x1a, 2, 1);
        common(player, 0x1c, 2, 1);
    }
    if state >= State::DriverOk {
        common(player, 0x14, 1, 0x0f);
    }
    if state >= State::Failed {
        common(player, 0x14, 1, 0x8f);
    }
}

/// Programs and unmasks both MSI-X vectors, and switches MSI-X on.
pub fn enable_msix(player: &Player<'_>) {
    for vector in [0, 1] {
        let entry = MSIX_TABLE + 16 * vector;
        player.store(Space::Memory, entry, 4, MESSAGES + 4 * vector);
        player.store(Space::Memory, entry + 4, 4, 0);
        player.store(Space::Memory, entry + 8, 4, 0x40 + vector);
        player.store(Space::Memory, entry + 12, 4, 0);
    }
    let msix = capability(player, 0x11, None);
    config_store(player, BLOCK_DEVFN, msix + 2, 2, 0x8000);
}

/// Both devices placed and ready, with empty rings and MSI-X on.
pub fn ready(player: &Player<'_>) {
    place(player);
    again(player);
    enable_msix(player);
}

/// From a reset to DRIVER_OK with empty rings.
pub fn again(player: &Player<'_>) {
    let ram = player.machine();
    for area in [DESC, AVAIL, USED] {
        ram.write_ram(area, &[0; 0x100]);
    }
    reach(player, State::DriverOk);
}

/// Writes the descriptors.
pub fn descriptors(player: &Player<'_>, descriptors: &[Descriptor]) {
    for (slot, &(addr, len, flags, next)) in (0..).zip(descriptors) {
        let mut bytes = addr.to_le_bytes().to_vec();
        bytes.extend(len.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(next.to_le_bytes());
        player.machine().write_ram(DESC + 16 * slot, &bytes);
    }
}

/// A 16-bit field in RAM.
pub fn field(player: &Player<'_>, address: u64) -> u16 {
    let mut bytes = [0; 2];
    player.machine().read_ram(address, &mut bytes);
    u16::from_le_bytes(bytes)
}

/// Makes chain `head` available and rings the doorbell.
pub fn make_available(player: &Player<'_>, head: u16) {
    let idx = field(player, AVAIL + 2);
    let slot = u64::from(idx % QUEUE_SIZE);
    player.machine().write_ram(AVAIL + 4 + 2 * slot, &head.to_le_bytes());
    player.machine().write_ram(AVAIL + 2, &idx.wrapping_add(1).to_le_bytes());
    player.store(Space::Memory, NOTIFY, 2, 0);
}

/// Waits until the used index is `expected`, or the device wants a reset.
pub fn settle(player: &Player<'_>, expected: u16) {
    let machine = player.machine();
    machine.settle(&|| {
        field(player, USED + 2) == expected
            || machine.load(Space::Memory, COMMON + 0x14, 1) & 0x40 != 0
    });
}
