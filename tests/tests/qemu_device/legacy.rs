//! The legacy interface (VIRTIO 1.4, 4.1.4.10): registers in I/O ports, queues in one block.

use eclipse_devices::Space;
use eclipse_tests::parallel::{Player, checksum};

use crate::driver::{BLOCK_DEVFN, MSIX_TABLE, capability, config, config_store};

/// BAR 0 is placed here.
const PORTS: u64 = 0xc000;
const STATUS: u64 = 18;
const ISR: u64 = 19;
/// The queue: 256 descriptors, the available ring behind them, the used ring on its own page.
const QUEUE: u64 = 0x4_0000;
const SIZE: u64 = 256;
const AVAIL: u64 = QUEUE + 16 * SIZE;
const USED: u64 = (AVAIL + 4 + 2 * SIZE + 2).next_multiple_of(4096);
const HEADER: u64 = 0x5_0000;
const RESULT: u64 = 0x5_0010;
const DATA: u64 = 0x5_1000;

/// Offset, width and name of the registers, without and with MSI-X.
const REGISTERS: [(u64, u8, &str); 10] = [
    (0, 4, "device_features"),
    (4, 4, "driver_features"),
    (8, 4, "queue_address"),
    (12, 2, "queue_size"),
    (14, 2, "queue_select"),
    (16, 2, "queue_notify"),
    (18, 1, "device_status"),
    (19, 1, "isr"),
    (20, 2, "config_msix_vector"),
    (22, 2, "queue_msix_vector"),
];

fn store(player: &Player<'_>, offset: u64, width: u8, value: u64) {
    player.store(Space::Port, PORTS + offset, width, value);
}

fn load(player: &mut Player<'_>, name: impl Into<String>, offset: u64, width: u8) {
    player.load(name, Space::Port, PORTS + offset, width);
}

fn place(player: &Player<'_>) {
    config_store(player, BLOCK_DEVFN, 0x04, 2, 0);
    config_store(player, BLOCK_DEVFN, 0x10, 4, PORTS);
    config_store(player, BLOCK_DEVFN, 0x14, 4, MSIX_TABLE);
    config_store(player, BLOCK_DEVFN, 0x04, 2, 0x0007);
    set_msix(player, false);
}

fn set_msix(player: &Player<'_>, on: bool) {
    let msix = capability(player, 0x11, None);
    config_store(player, BLOCK_DEVFN, msix + 2, 2, u64::from(on) << 15);
}

/// What a driver finds in configuration space.
pub fn header(player: &mut Player<'_>) {
    for (offset, width) in
        [(0x00, 2), (0x02, 2), (0x08, 1), (0x09, 1), (0x0a, 2), (0x0e, 1), (0x2c, 2), (0x2e, 2)]
    {
        let value = config(player, BLOCK_DEVFN, offset, width);
        player.note(format!("+{offset:02x}:{width}"), value);
    }
    for bar in 0..6 {
        let offset = 0x10 + 4 * bar;
        config_store(player, BLOCK_DEVFN, offset, 4, 0xffff_ffff);
        let value = config(player, BLOCK_DEVFN, offset, 4);
        player.note(format!("bar {bar} size"), value);
        config_store(player, BLOCK_DEVFN, offset, 4, 0);
    }
    let mut at = config(player, BLOCK_DEVFN, 0x34, 1) as u8;
    for number in 0..8 {
        if at == 0 {
            break;
        }
        let id = config(player, BLOCK_DEVFN, at, 1);
        player.note(format!("capability {number}"), id);
        at = config(player, BLOCK_DEVFN, at + 1, 1) as u8;
    }
}

/// Steps of the initialisation (VIRTIO 1.4, 3.1.2).
const STATES: [&str; 5] = ["reset", "acknowledge", "driver", "queue placed", "driver_ok"];

fn reach(player: &Player<'_>, state: usize) {
    store(player, STATUS, 1, 0);
    store(player, 14, 2, 0);
    for (step, status) in (1..=2).zip([1, 3]) {
        if state >= step {
            store(player, STATUS, 1, status);
        }
    }
    if state >= 3 {
        store(player, 4, 4, 0x244);
        store(player, 8, 4, QUEUE >> 12);
    }
    if state >= 4 {
        store(player, STATUS, 1, 7);
    }
}

/// Every register in every state: load, store, load back.
pub fn registers(player: &mut Player<'_>) {
    place(player);
    for msix in [false, true] {
        set_msix(player, msix);
        let count = if msix { 10 } else { 8 };
        for (state, name) in STATES.into_iter().enumerate() {
            for (offset, width, register) in &REGISTERS[..count] {
                let name = format!("msix {msix}, {name}, {register}");
                reach(player, state);
                load(player, name.as_str(), *offset, *width);
                if matches!(offset, 16) {
                    continue;
                }
                for value in [0, 1, 3, 7, 0x244, 0xffff_ffff] {
                    let value = value & (u64::MAX >> (64 - 8 * width));
                    reach(player, state);
                    store(player, *offset, *width, value);
                    load(player, format!("{name} <- {value:x}"), *offset, *width);
                    if *offset != STATUS {
                        load(player, format!("{name} <- {value:x}: status"), STATUS, 1);
                    }
                }
            }
        }
        reach(player, 2);
        store(player, 14, 2, 1);
        load(player, format!("msix {msix}, queue 1, queue_size"), 12, 2);
        load(player, format!("msix {msix}, queue 1, queue_address"), 8, 4);
        configuration(player, msix);
    }
}

/// The device's configuration behind the registers, at every width.
fn configuration(player: &mut Player<'_>, msix: bool) {
    let start = if msix { 24 } else { 20 };
    for (offset, name) in [(0, "capacity"), (4, "capacity high"), (12, "seg_max"), (20, "blk_size")]
    {
        for width in [1, 2, 4] {
            load(player, format!("msix {msix}, {name}:{width}"), start + offset, width);
        }
    }
    load(player, format!("msix {msix}, blk_size+1:1"), start + 21, 1);
}

fn ready(player: &Player<'_>) {
    place(player);
    let pages = vec![0; (USED + 4096 - QUEUE) as usize];
    player.machine().write_ram(QUEUE, &pages);
    reach(player, 4);
}

fn field(player: &Player<'_>, address: u64) -> u16 {
    let mut bytes = [0; 2];
    player.machine().read_ram(address, &mut bytes);
    u16::from_le_bytes(bytes)
}

fn request(player: &mut Player<'_>, name: &str, kind: u32, sector: u64, len: u32, write: bool) {
    let ram = player.machine();
    let mut header = kind.to_le_bytes().to_vec();
    header.extend([0; 4]);
    header.extend(sector.to_le_bytes());
    ram.write_ram(HEADER, &header);
    ram.write_ram(RESULT, &[0xee]);
    let data_flags = if write { 3u16 } else { 1 };
    let mut chain = vec![(HEADER, 16u32, 1u16), (DATA, len, data_flags), (RESULT, 1, 2)];
    if len == 0 {
        chain.remove(1);
    }
    for (slot, (address, len, flags)) in (0u16..).zip(chain) {
        let mut bytes = address.to_le_bytes().to_vec();
        bytes.extend(len.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend((slot + 1).to_le_bytes());
        ram.write_ram(QUEUE + 16 * u64::from(slot), &bytes);
    }
    let (idx, used) = (field(player, AVAIL + 2), field(player, USED + 2));
    ram.write_ram(AVAIL + 4 + 2 * (u64::from(idx) % SIZE), &[0, 0]);
    ram.write_ram(AVAIL + 2, &idx.wrapping_add(1).to_le_bytes());
    store(player, 16, 2, 0);
    ram.settle(&|| field(player, USED + 2) != used);

    let mut result = [0];
    ram.read_ram(RESULT, &mut result);
    player.note(format!("{name}: status"), result[0].into());
    player.note(format!("{name}: used.idx"), field(player, USED + 2).into());
    let element = USED + 4 + 8 * (u64::from(used) % SIZE);
    player.note(format!("{name}: used.len"), field(player, element + 4).into());
    let mut data = vec![0; 4096];
    ram.read_ram(DATA, &mut data);
    player.note(format!("{name}: data"), checksum(&data));
    let pci_status = config(player, BLOCK_DEVFN, 0x06, 2) & 8;
    player.note(format!("{name}: interrupt status"), pci_status);
    load(player, format!("{name}: device_status"), STATUS, 1);
    load(player, format!("{name}: isr"), ISR, 1);
    load(player, format!("{name}: isr again"), ISR, 1);
}

/// Requests through a queue that was placed by its page number.
pub fn requests(player: &mut Player<'_>) {
    ready(player);
    player.machine().write_ram(DATA, &[0; 4096]);
    request(player, "read", 0, 1, 512, true);
    request(player, "read of 4 sectors", 0, 8, 2048, true);
    player.machine().write_ram(DATA, &[0xa5; 512]);
    request(player, "write", 1, 2, 512, false);
    request(player, "flush", 4, 0, 0, true);
    player.machine().write_ram(DATA, &[0; 4096]);
    request(player, "read back", 0, 2, 512, true);
    request(player, "get_id", 8, 0, 20, true);
    player.machine().write_ram(DATA, &[0; 4096]);
    request(player, "beyond the end", 0, 64, 512, true);
    request(player, "of an unknown type", 0x55, 0, 512, true);
    reach(player, 0);
    load(player, "after a reset: queue_address", 8, 4);
    load(player, "after a reset: driver_features", 4, 4);
    ready(player);
    request(player, "used again", 0, 9, 512, true);
}
