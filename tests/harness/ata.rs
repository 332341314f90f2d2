//! A driver of the ATA disk that does exactly what a test says.

use eclipse_devices::disk::{Disk, MemoryDisk};
use eclipse_devices::{Preset, Space};

use crate::Loopback;

/// The data register.
pub const DATA: u16 = 0x1f0;
/// Error; for a store Features.
pub const ERROR: u16 = 0x1f1;
/// Sector Count.
pub const COUNT: u16 = 0x1f2;
/// LBA Low, Mid and High.
pub const LBA: [u16; 3] = [0x1f3, 0x1f4, 0x1f5];
/// Device.
pub const DEVICE: u16 = 0x1f6;
/// Status; for a store Command.
pub const STATUS: u16 = 0x1f7;
/// Alternate Status; for a store Device Control.
pub const CONTROL: u16 = 0x3f6;

/// DRDY and DSC.
pub const READY: u64 = 0x50;
/// The same with DRQ.
pub const WANTS_DATA: u64 = 0x58;
/// The same with ERR.
pub const FAILED: u64 = 0x51;
/// Error: the command is aborted.
pub const ABRT: u64 = 0x04;
/// Error: the address is not found.
pub const IDNF: u64 = 0x10;
/// Error: the data cannot be read.
pub const UNC: u64 = 0x40;
/// LBA, device 0.
pub const DEVICE_0: u64 = 0xe0;

/// A machine whose ATA disk is driven register by register.
pub struct Channel(pub Loopback);

impl Channel {
    /// With `disk` as device 0.
    pub fn new(disk: impl Disk + 'static) -> Self {
        let machine = Loopback::new(Preset::Modern, MemoryDisk::counting(8));
        machine.attach_ata(disk);
        Self(machine)
    }

    /// With 64 sectors of words that count.
    pub fn counting() -> Self {
        Self::new(MemoryDisk::counting(64))
    }

    /// Loads a register of one byte.
    pub fn load(&self, port: u16) -> u64 {
        self.0.load(Space::Port, port.into(), 1)
    }

    /// Stores to a register of one byte.
    pub fn store(&self, port: u16, value: u64) {
        self.0.store(Space::Port, port.into(), 1, value);
    }

    /// Gives a command with a 28-bit address.
    pub fn command(&self, command: u64, lba: u64, count: u64) {
        self.store(DEVICE, DEVICE_0 | lba >> 24);
        self.store(COUNT, count);
        for (port, shift) in LBA.into_iter().zip([0, 8, 16]) {
            self.store(port, lba >> shift & 0xff);
        }
        self.store(STATUS, command);
    }

    /// Gives a command with a 48-bit address: of every register the high-order byte first.
    pub fn command_extended(&self, command: u64, lba: u64, count: u64) {
        self.store(DEVICE, DEVICE_0);
        for high in [true, false] {
            self.store(COUNT, if high { count >> 8 } else { count & 0xff });
            for (port, shift) in LBA.into_iter().zip([0, 8, 16]) {
                self.store(port, lba >> (shift + if high { 24 } else { 0 }) & 0xff);
            }
        }
        self.store(STATUS, command);
    }

    /// Loads the 256 words of a sector.
    pub fn read_sector(&self) -> Vec<u8> {
        let word = |_| self.0.load(Space::Port, DATA.into(), 2) as u16;
        (0..256).map(word).flat_map(u16::to_le_bytes).collect()
    }

    /// Stores the words of a sector.
    pub fn write_sector(&self, data: &[u8]) {
        for word in data.chunks_exact(2) {
            let value = u16::from_le_bytes([word[0], word[1]]);
            self.0.store(Space::Port, DATA.into(), 2, value.into());
        }
    }

    /// Status and Error.
    pub fn outcome(&self) -> (u64, u64) {
        (self.load(STATUS), self.load(ERROR))
    }

    /// The transcript of what `accesses` causes.
    pub fn transcript_of(&self, accesses: impl FnOnce()) -> String {
        let from = self.0.entries().len();
        accesses();
        self.0.entries()[from..].iter().map(|entry| format!("{entry}\n")).collect()
    }
}

/// Sector `sector` of a counting disk.
pub fn counting(sector: u64) -> Vec<u8> {
    (sector * 64..sector * 64 + 64).flat_map(u64::to_le_bytes).collect()
}
