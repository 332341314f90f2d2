//! The ATA disk on the primary channel.

use eclipse_devices::Space;
use eclipse_tests::parallel::{Player, checksum};

use crate::driver::config_store;

const DATA: u64 = 0x1f0;
const STATUS: u64 = 0x1f7;
const CONTROL: u64 = 0x3f6;
const IDE_DEVFN: u8 = 1 << 3 | 1;

fn store(player: &Player<'_>, port: u64, value: u64) {
    player.store(Space::Port, port, 1, value);
}

/// Waits until BSY is clear and notes Status, Error and the registers of the address.
fn outcome(player: &mut Player<'_>, name: &str) {
    let machine = player.machine();
    machine.settle(&|| machine.load(Space::Port, CONTROL, 1) & 0x80 == 0);
    player.load(format!("{name}: alternate status"), Space::Port, CONTROL, 1);
    player.load(format!("{name}: status"), Space::Port, STATUS, 1);
    player.load(format!("{name}: error"), Space::Port, 0x1f1, 1);
    for port in 0x1f2..=0x1f6 {
        player.load(format!("{name}: port {port:x}"), Space::Port, port, 1);
    }
}

/// Gives a command: sectors and address, for 48 bits the high-order bytes before the low ones.
fn command(player: &Player<'_>, command: u64, extended: bool, lba: u64, count: u64) {
    store(player, 0x1f6, 0xe0 | if extended { 0 } else { lba >> 24 & 0xf });
    for high in [true, false].into_iter().filter(|high| extended || !high) {
        let (shift, count_shift) = if high { (24, 8) } else { (0, 0) };
        store(player, 0x1f2, count >> count_shift & 0xff);
        for (port, byte) in (0x1f3..=0x1f5).zip([0, 8, 16]) {
            store(player, port, lba >> (byte + shift) & 0xff);
        }
    }
    store(player, STATUS, command);
}

fn read_sector(player: &Player<'_>) -> Vec<u8> {
    let word = |_| player.machine().load(Space::Port, DATA, 2) as u16;
    (0..256).map(word).flat_map(u16::to_le_bytes).collect()
}

/// Commands, good and bad, and the resets.
pub fn commands(player: &mut Player<'_>) {
    config_store(player, IDE_DEVFN, 0x04, 2, 0x0001);
    outcome(player, "power-on");
    identify(player);
    reads_and_writes(player);
    bad(player);

    command(player, 0x20, false, 0, 1);
    store(player, CONTROL, 0x04);
    store(player, CONTROL, 0x00);
    outcome(player, "software reset");
    store(player, STATUS, 0x90);
    outcome(player, "diagnostic");
    store(player, 0x1f6, 0xf0);
    player.load("device 1: status", Space::Port, STATUS, 1);
    player.load("device 1: alternate status", Space::Port, CONTROL, 1);
    store(player, STATUS, 0xec);
    player.load("device 1 after a command: status", Space::Port, STATUS, 1);
    store(player, 0x1f6, 0xe0);
    outcome(player, "device 0 again");
    player.load("secondary channel: status", Space::Port, 0x177, 1);
}

fn identify(player: &mut Player<'_>) {
    command(player, 0xec, false, 0, 0);
    outcome(player, "identify");
    let bytes = read_sector(player);
    for (index, word) in bytes.chunks_exact(2).enumerate() {
        let word = u16::from_le_bytes([word[0], word[1]]);
        // What a driver goes by: sectors, and the commands that there are.
        let name = match index {
            60 | 61 | 83 | 84 | 86 | 87 | 100..=103 => "identify, promised: word",
            _ => "identify, described: word",
        };
        player.note(format!("{name} {index}"), word.into());
        if index == 49 {
            player.note("identify, promised: LBA", (word & 1 << 9).into());
        }
    }
    outcome(player, "identify, read");
}

fn reads_and_writes(player: &mut Player<'_>) {
    let transfers = [("28 bits", false, 0x20, 0x30, 0xe7), ("48 bits", true, 0x24, 0x34, 0xea)];
    for (name, extended, read, write, flush) in transfers {
        command(player, read, extended, 5, 2);
        for sector in [5, 6] {
            outcome(player, &format!("{name}, read of sector {sector}"));
            let data = checksum(&read_sector(player));
            player.note(format!("{name}, sector {sector}"), data);
        }
        outcome(player, &format!("{name}, read"));

        command(player, write, extended, 9, 2);
        for sector in [9, 10] {
            outcome(player, &format!("{name}, write of sector {sector}"));
            for word in 0..256 {
                player.store(Space::Port, DATA, 2, sector << 8 | word);
            }
        }
        outcome(player, &format!("{name}, written"));
        store(player, STATUS, flush);
        outcome(player, &format!("{name}, flushed"));
        command(player, read, extended, 10, 1);
        outcome(player, &format!("{name}, read back"));
        let data = checksum(&read_sector(player));
        player.note(format!("{name}, what was read back"), data);
    }
}

fn bad(player: &mut Player<'_>) {
    let reset = |player: &Player<'_>| {
        store(player, CONTROL, 0x04);
        store(player, CONTROL, 0x00);
    };
    for code in [0x00, 0x01, 0xef, 0xff] {
        command(player, code, false, 0, 1);
        outcome(player, &format!("command {code:02x}"));
    }
    for (code, extended) in [(0x20, false), (0x24, true), (0x30, false), (0x34, true)] {
        for (lba, count) in [(64, 1), (63, 2), (0xfff_ffff, 1)] {
            reset(player);
            command(player, code, extended, lba, count);
            outcome(player, &format!("command {code:02x} of {count} at {lba:x}"));
        }
    }
}
