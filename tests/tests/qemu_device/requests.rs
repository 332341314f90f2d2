//! Requests, good and bad, and what they leave behind.

use eclipse_devices::Space;
use eclipse_tests::parallel::{self, Player};
use eclipse_trace::register::CommonCfg;

use crate::driver::{
    AVAIL, BLOCK_DEVFN, COMMON, DATA, DESC, Descriptor, HEADER, INDIRECT, ISR, MESSAGES, MSIX_PBA,
    MSIX_TABLE, NEXT, NOTIFY, QUEUE_SIZE, STATUS, State, USED, WRITE, again, capability, common,
    config, config_store, descriptors, field, make_available, place, reach, ready, settle,
};

const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;
const GET_ID: u32 = 8;

/// Header, data and status, as drivers cut a request.
fn framed(len: u32, data_flags: u16) -> Vec<Descriptor> {
    vec![(HEADER, 16, NEXT, 1), (DATA, len, NEXT | data_flags, 2), (STATUS, 1, WRITE, 0)]
}

fn header(player: &Player<'_>, kind: u32, sector: u64) {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend([0; 4]);
    bytes.extend(sector.to_le_bytes());
    player.machine().write_ram(HEADER, &bytes);
}

fn checksum(player: &Player<'_>, address: u64, len: usize) -> u64 {
    let mut bytes = vec![0; len];
    player.machine().read_ram(address, &mut bytes);
    parallel::checksum(&bytes)
}

/// Submits one request to a queue that is ready and notes all that it left.
fn request(player: &mut Player<'_>, name: &str, kind: u32, sector: u64, chain: &[Descriptor]) {
    header(player, kind, sector);
    descriptors(player, chain);
    submit(player, name, 0);
}

fn submit(player: &mut Player<'_>, name: &str, head: u16) {
    player.machine().write_ram(STATUS, &[0xee]);
    let used = field(player, USED + 2);
    make_available(player, head);
    settle(player, used.wrapping_add(1));
    outcome(player, name, used);
}

/// A good read whose doorbell is rung by a store of `width` bytes.
pub fn by_doorbell(player: &mut Player<'_>, name: &str, at: u64, width: u8, value: u64) {
    again(player);
    header(player, IN, 7);
    descriptors(player, &framed(512, WRITE));
    player.machine().write_ram(STATUS, &[0xee]);
    player.machine().write_ram(AVAIL + 2, &1u16.to_le_bytes());
    player.store(Space::Memory, at, width, value);
    settle(player, 1);
    outcome(player, name, 0);
}

fn status(player: &Player<'_>) -> u8 {
    let mut status = [0];
    player.machine().read_ram(STATUS, &mut status);
    status[0]
}

/// What a driver can see after a request, the used index having been `before`.
fn outcome(player: &mut Player<'_>, name: &str, before: u16) {
    player.note(format!("{name}: status"), status(player).into());
    player.note(format!("{name}: used.idx"), field(player, USED + 2).into());
    player.note(format!("{name}: used.flags"), field(player, USED).into());
    let element = USED + 4 + 8 * u64::from(before % QUEUE_SIZE);
    player.note(format!("{name}: used.id"), field(player, element).into());
    player.note(format!("{name}: used.len"), field(player, element + 4).into());
    player.note(format!("{name}: data"), checksum(player, DATA, 8192));
    player.load(format!("{name}: device_status"), Space::Memory, COMMON + 0x14, 1);
    player.load(format!("{name}: isr"), Space::Memory, ISR, 1);
    player.load(format!("{name}: isr again"), Space::Memory, ISR, 1);
    messages(player, name);
}

fn messages(player: &mut Player<'_>, name: &str) {
    for vector in [0, 1] {
        let taken = player.machine().take_message(MESSAGES + 4 * vector, 0x40 + vector as u32);
        player.note(format!("{name}: message {vector}"), taken.into());
    }
}

/// What drivers do.
pub fn good(player: &mut Player<'_>) {
    ready(player);
    player.machine().write_ram(DATA, &[0; 8192]);
    request(player, "read of sector 0", IN, 0, &framed(512, WRITE));
    request(player, "read of sector 63", IN, 63, &framed(512, WRITE));
    request(player, "read of 8 sectors", IN, 8, &framed(4096, WRITE));
    request(player, "get_id", GET_ID, 0, &framed(20, WRITE));
    request(player, "flush", FLUSH, 0, &[(HEADER, 16, NEXT, 1), (STATUS, 1, WRITE, 0)]);

    player.machine().write_ram(DATA, &[0x5a; 512]);
    request(player, "write of sector 3", OUT, 3, &framed(512, 0));
    player.machine().write_ram(DATA, &[0; 512]);
    request(player, "read back", IN, 3, &framed(512, WRITE));

    let cut = [
        (HEADER, 5, NEXT, 1),
        (HEADER + 5, 11, NEXT, 2),
        (DATA, 100, NEXT | WRITE, 3),
        (DATA + 100, 413, WRITE, 0),
    ];
    player.machine().write_ram(DATA, &[0; 1024]);
    request(player, "read in four pieces", IN, 1, &cut);
    let mut last = [0];
    player.machine().read_ram(DATA + 512, &mut last);
    player.note("read in four pieces: status byte", last[0].into());

    two_at_once(player);
    player.machine().write_ram(AVAIL, &1u16.to_le_bytes());
    request(player, "read with NO_INTERRUPT", IN, 2, &framed(512, WRITE));
}

/// Two chains and one doorbell.
fn two_at_once(player: &mut Player<'_>) {
    header(player, IN, 5);
    descriptors(
        player,
        &[
            (HEADER, 16, NEXT, 1),
            (DATA, 512, NEXT | WRITE, 2),
            (STATUS, 1, WRITE, 0),
            (HEADER, 16, NEXT, 4),
            (DATA + 512, 512, NEXT | WRITE, 5),
            (STATUS, 1, WRITE, 0),
        ],
    );
    let (idx, used) = (field(player, AVAIL + 2), field(player, USED + 2));
    for (offset, head) in [(0, 0u16), (1, 3)] {
        let slot = u64::from(idx.wrapping_add(offset) % QUEUE_SIZE);
        player.machine().write_ram(AVAIL + 4 + 2 * slot, &head.to_le_bytes());
    }
    player.machine().write_ram(AVAIL + 2, &idx.wrapping_add(2).to_le_bytes());
    player.store(Space::Memory, NOTIFY, 2, 0);
    settle(player, used.wrapping_add(2));
    player.note("two at once: used.idx", field(player, USED + 2).into());
    player.note("two at once: data", checksum(player, DATA, 1024));
    messages(player, "two at once");
}

/// What drivers do wrong; each from a device that is ready.
pub fn bad(player: &mut Player<'_>) {
    ready(player);
    let status_only = [(HEADER, 16, NEXT, 1), (STATUS, 1, WRITE, 0)];
    let cases: &[(&str, u32, u64, Vec<Descriptor>)] = &[
        ("type 2", 2, 0, framed(512, WRITE)),
        ("type 0x1234", 0x1234, 0, framed(512, WRITE)),
        ("discard, not offered", 11, 0, framed(16, 0)),
        ("read beyond the end", IN, 64, framed(512, WRITE)),
        ("read across the end", IN, 63, framed(1024, WRITE)),
        ("read far beyond the end", IN, u64::MAX, framed(512, WRITE)),
        ("read at 2^55", IN, 1 << 55, framed(512, WRITE)),
        ("write beyond the end", OUT, 64, framed(512, 0)),
        ("read of 511 bytes", IN, 0, framed(511, WRITE)),
        ("read of 513 bytes", IN, 0, framed(513, WRITE)),
        ("write of 100 bytes", OUT, 0, framed(100, 0)),
        ("read of nothing", IN, 0, status_only.to_vec()),
        ("write of nothing", OUT, 0, status_only.to_vec()),
        ("flush with a sector", FLUSH, 7, status_only.to_vec()),
        ("flush with data", FLUSH, 0, framed(512, WRITE)),
        ("get_id of 10 bytes", GET_ID, 0, framed(10, WRITE)),
        ("get_id of 40 bytes", GET_ID, 0, framed(40, WRITE)),
        ("read into readable data", IN, 0, framed(512, 0)),
        ("write from writable data", OUT, 0, framed(512, WRITE)),
        ("no status", IN, 0, vec![(HEADER, 16, NEXT, 1), (DATA, 512, 0, 0)]),
        ("header only", IN, 0, vec![(HEADER, 16, 0, 0)]),
        ("short header", IN, 0, vec![(HEADER, 8, NEXT, 1), (STATUS, 1, WRITE, 0)]),
        ("no header", IN, 0, vec![(DATA, 512, NEXT | WRITE, 1), (STATUS, 1, WRITE, 0)]),
        (
            "status in the middle",
            IN,
            0,
            vec![(HEADER, 16, NEXT, 1), (STATUS, 1, NEXT | WRITE, 2), (DATA, 512, 0, 0)],
        ),
        ("a loop", IN, 0, vec![(HEADER, 16, NEXT, 1), (DATA, 16, NEXT, 0)]),
        ("next outside the table", IN, 0, vec![(HEADER, 16, NEXT, 100)]),
        ("indirect, not negotiated", IN, 0, vec![(DESC + 0x100, 48, INDIRECT, 0)]),
        ("header outside RAM", IN, 0, vec![(0x7f00_0000_0000, 16, NEXT, 1), (STATUS, 1, WRITE, 0)]),
        (
            "data outside RAM",
            IN,
            0,
            vec![
                (HEADER, 16, NEXT, 1),
                (0x7f00_0000_0000, 512, NEXT | WRITE, 2),
                (STATUS, 1, WRITE, 0),
            ],
        ),
        ("data of no length", IN, 0, framed(0, WRITE)),
    ];
    for (name, kind, sector, chain) in cases {
        player.machine().write_ram(DATA, &[0; 8192]);
        again(player);
        messages(player, &format!("{name}, before"));
        request(player, name, *kind, *sector, chain);
    }
    bad_rings(player);
}

/// Mistakes that no chain has: each makes one good read available and rings the doorbell.
fn bad_rings(player: &mut Player<'_>) {
    let prepare = |player: &mut Player<'_>| {
        again(player);
        header(player, IN, 0);
        descriptors(player, &framed(512, WRITE));
        player.machine().write_ram(DATA, &[0; 8192]);
        player.machine().write_ram(STATUS, &[0xee]);
    };
    let ring = |player: &mut Player<'_>, name: &str, idx: u16, value: u64| {
        player.machine().write_ram(AVAIL + 2, &idx.to_le_bytes());
        player.store(Space::Memory, NOTIFY, 2, value);
        settle(player, idx);
        outcome(player, name, 0);
    };

    prepare(player);
    submit(player, "head outside the table", 100);
    prepare(player);
    player.machine().write_ram(AVAIL + 2, &9u16.to_le_bytes());
    player.store(Space::Memory, NOTIFY, 2, 0);
    // QEMU meets the ninth when it has begun with the others.
    player.machine().settle(&|| status(player) != 0xee);
    outcome(player, "nine available in a queue of eight", 0);
    prepare(player);
    ring(player, "nothing available", 0, 0);
    prepare(player);
    ring(player, "a doorbell with another queue's number", 1, 7);

    prepare(player);
    config_store(player, BLOCK_DEVFN, 0x04, 2, 0x0002);
    player.machine().write_ram(AVAIL + 2, &1u16.to_le_bytes());
    player.store(Space::Memory, NOTIFY, 2, 0);
    outcome(player, "bus mastering off", 0);
    config_store(player, BLOCK_DEVFN, 0x04, 2, 0x0006);
    messages(player, "bus mastering on again");

    prepare(player);
    common(player, 0x14, 1, 0);
    player.machine().write_ram(AVAIL + 2, &1u16.to_le_bytes());
    player.store(Space::Memory, NOTIFY, 2, 0);
    outcome(player, "a doorbell after a reset", 0);

    prepare(player);
    reach(player, State::QueueEnabled);
    ring(player, "a doorbell before DRIVER_OK", 1, 0);

    prepare(player);
    config_store(player, BLOCK_DEVFN, 0x04, 2, 0x0004);
    player.load("memory decode off: device_status", Space::Memory, COMMON + 0x14, 1);
    config_store(player, BLOCK_DEVFN, 0x04, 2, 0x0006);
    player.load("memory decode on: device_status", Space::Memory, COMMON + 0x14, 1);
    request(player, "a good read after all that", IN, 0, &framed(512, WRITE));
}

/// Masks, pending bits and the ISR status.
pub fn interrupts(player: &mut Player<'_>) {
    ready(player);
    let control = capability(player, 0x11, None) + 2;
    let read = |player: &mut Player<'_>, name: &str| {
        request(player, name, IN, 0, &framed(512, WRITE));
        player.load(format!("{name}: pba"), Space::Memory, MSIX_PBA, 8);
    };

    player.store(Space::Memory, MSIX_TABLE + 0x1c, 4, 1);
    read(player, "vector masked");
    player.store(Space::Memory, MSIX_TABLE + 0x1c, 4, 0);
    messages(player, "vector unmasked");
    player.load("vector unmasked: pba", Space::Memory, MSIX_PBA, 8);

    config_store(player, BLOCK_DEVFN, control, 2, 0xc000);
    read(player, "function masked");
    config_store(player, BLOCK_DEVFN, control, 2, 0x8000);
    messages(player, "function unmasked");
    player.load("function unmasked: pba", Space::Memory, MSIX_PBA, 8);

    config_store(player, BLOCK_DEVFN, control, 2, 0);
    let used = field(player, USED + 2);
    header(player, IN, 0);
    make_available(player, 0);
    settle(player, used.wrapping_add(1));
    let status = config(player, BLOCK_DEVFN, 0x06, 2);
    player.note("without MSI-X: PCI status while it waits", status);
    outcome(player, "without MSI-X", used);
    let status = config(player, BLOCK_DEVFN, 0x06, 2);
    player.note("without MSI-X: PCI status after ISR", status);

    config_store(player, BLOCK_DEVFN, control, 2, 0x8000);
    common(player, 0x1a, 2, 0xffff);
    read(player, "without a vector");
    common(player, 0x1a, 2, 0);
    read(player, "with vector 0");
}

/// Every register after a reset of a device that has worked.
pub fn reset(player: &mut Player<'_>) {
    ready(player);
    request(player, "before", IN, 0, &framed(512, WRITE));
    common(player, 0x00, 4, 1);
    common(player, 0x08, 4, 1);
    common(player, 0x14, 1, 0);
    for &register in CommonCfg::ALL {
        let at = COMMON + u64::from(register.offset());
        player.load(format!("after {}", register.name()), Space::Memory, at, register.width());
    }
    for offset in (0..32).step_by(4) {
        player.load(format!("after table+{offset:02x}"), Space::Memory, MSIX_TABLE + offset, 4);
    }
    place(player);
    reach(player, State::FeaturesOk);
    for register in CommonCfg::ALL.iter().filter(|register| register.offset() >= 0x18) {
        let at = COMMON + u64::from(register.offset());
        let name = format!("negotiated again, {}", register.name());
        player.load(name, Space::Memory, at, register.width());
    }
    again(player);
    request(player, "used again", IN, 9, &framed(512, WRITE));
}
