use eclipse_trace::register::AtaRegister;

use super::identify::identify;
use crate::disk::{Disk, SECTOR_SIZE};

bitflags::bitflags! {
    /// The Status register (ATA/ATAPI-6, 7).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Status: u8 {
        const ERR = 1 << 0;
        const DRQ = 1 << 3;
        /// Seek complete, in older editions; disks still set it.
        const DSC = 1 << 4;
        const DF = 1 << 5;
        const DRDY = 1 << 6;
        const BSY = 1 << 7;
    }
}

bitflags::bitflags! {
    /// The Error register (ATA/ATAPI-6, 7).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Error: u8 {
        /// The command is unknown, or cannot be carried out.
        const ABRT = 1 << 2;
        /// The address is not on the disk.
        const IDNF = 1 << 4;
        /// The data cannot be read.
        const UNC = 1 << 6;
    }
}

/// A register that keeps the value before the latest one, for 48-bit addresses.
#[derive(Clone, Copy, Debug, Default)]
struct Twice {
    now: u8,
    before: u8,
}

impl Twice {
    fn store(&mut self, value: u8) {
        *self = Self { now: value, before: self.now };
    }
}

/// A range of sectors that is still to be moved.
#[derive(Clone, Copy, Debug)]
struct Range {
    next: u64,
    left: u32,
    /// Whether the command has 48-bit addresses.
    extended: bool,
}

impl Range {
    /// What is left behind the first sector.
    fn rest(self) -> Self {
        Self { next: self.next + 1, left: self.left - 1, ..self }
    }
}

/// What the data register does.
#[derive(Debug)]
enum Transfer {
    None,
    /// Words to the host; behind them the sectors of the range.
    In(Range),
    /// Words from the host, for the first sector of the range.
    Out(Range),
}

/// A disk, its registers, and the command that it carries out.
pub(super) struct Drive {
    disk: Box<dyn Disk>,
    sector_count: Twice,
    lba: [Twice; 3],
    device: u8,
    status: Status,
    /// The Error register; after a reset the diagnostic code.
    error: u8,
    transfer: Transfer,
    buffer: [u8; SECTOR_SIZE],
    /// The next byte of the buffer to move.
    position: usize,
    interrupt: bool,
}

impl Drive {
    pub(super) const BUSY: u8 = Status::BSY.bits();
    const READY: Status = Status::DRDY.union(Status::DSC);
    /// Device passed its diagnostic.
    const PASSED: u8 = 0x01;
    const LBA: u8 = 1 << 6;
    /// The most sectors that IDENTIFY DEVICE can tell of and 28-bit commands reach.
    pub(super) const SECTORS_28: u64 = (1 << 28) - 1;

    pub(super) fn new(disk: Box<dyn Disk>) -> Self {
        let mut drive = Self {
            disk,
            sector_count: Twice::default(),
            lba: [Twice::default(); 3],
            device: 0,
            status: Self::READY,
            error: 0,
            transfer: Transfer::None,
            buffer: [0; SECTOR_SIZE],
            position: 0,
            interrupt: false,
        };
        drive.reset();
        drive
    }

    /// The signature of a device without the packet commands, and no command.
    pub(super) fn reset(&mut self) {
        self.sector_count = Twice { now: 1, before: 0 };
        self.lba = [1, 0, 0].map(|now| Twice { now, before: 0 });
        self.device = 0;
        self.status = Self::READY;
        self.error = Self::PASSED;
        self.transfer = Transfer::None;
        self.interrupt = false;
    }

    pub(super) fn status(&self) -> u8 {
        self.status.bits()
    }

    /// Whether DRQ is set.
    pub(super) fn transfers(&self) -> bool {
        self.status.contains(Status::DRQ)
    }

    pub(super) fn interrupts(&self) -> bool {
        self.interrupt
    }

    pub(super) fn end_interrupt(&mut self) {
        self.interrupt = false;
    }

    /// The value of a register, or the value before with `high_order`.
    pub(super) fn load(&self, register: AtaRegister, high_order: bool) -> u8 {
        let pick = |twice: Twice| if high_order { twice.before } else { twice.now };
        match register {
            AtaRegister::ErrorFeatures => self.error,
            AtaRegister::SectorCount => pick(self.sector_count),
            AtaRegister::LbaLow => pick(self.lba[0]),
            AtaRegister::LbaMid => pick(self.lba[1]),
            AtaRegister::LbaHigh => pick(self.lba[2]),
            AtaRegister::Device => self.device,
            AtaRegister::StatusCommand | AtaRegister::AlternateStatusControl => self.status(),
        }
    }

    /// Stores a parameter of the next command.
    pub(super) fn store(&mut self, register: AtaRegister, value: u8) {
        match register {
            AtaRegister::SectorCount => self.sector_count.store(value),
            AtaRegister::LbaLow => self.lba[0].store(value),
            AtaRegister::LbaMid => self.lba[1].store(value),
            AtaRegister::LbaHigh => self.lba[2].store(value),
            AtaRegister::Device => self.device = value,
            // No command here takes a feature.
            AtaRegister::ErrorFeatures
            | AtaRegister::StatusCommand
            | AtaRegister::AlternateStatusControl => {}
        }
    }

    /// Carries out a command (ATA/ATAPI-6, 8).
    pub(super) fn command(&mut self, command: u8) {
        self.status = Self::READY;
        self.error = 0;
        self.interrupt = false;
        match command {
            0x20 | 0x24 => self.read(command == 0x24),
            0x30 | 0x34 => self.write(command == 0x34),
            0x90 => {
                self.reset();
                self.interrupt = true;
            }
            0xe7 | 0xea => match self.disk.flush() {
                Ok(()) => self.interrupt = true,
                Err(_) => self.fail_device(),
            },
            0xec => {
                self.buffer = identify(self.disk.sectors());
                self.offer(Transfer::In(Range { next: 0, left: 0, extended: false }));
            }
            _ => self.fail(Error::ABRT),
        }
    }

    fn read(&mut self, extended: bool) {
        match self.range(extended) {
            Ok(range) => self.fetch(range),
            Err(error) => self.fail(error),
        }
    }

    fn write(&mut self, extended: bool) {
        if self.disk.read_only() {
            return self.fail(Error::ABRT);
        }
        match self.range(extended) {
            Ok(range) => {
                self.offer(Transfer::Out(range));
                // PIO data-out protocol: no interrupt asks for the first sector.
                self.interrupt = false;
            }
            Err(error) => self.fail(error),
        }
    }

    /// The sectors that the registers name.
    fn range(&mut self, extended: bool) -> Result<Range, Error> {
        // Cylinders and heads are obsolete since ATA/ATAPI-6.
        if self.device & Self::LBA == 0 {
            return Err(Error::ABRT);
        }
        let bytes = |pick: fn(&Twice) -> u8| {
            self.lba.iter().rev().fold(0, |lba, byte| lba << 8 | u64::from(pick(byte)))
        };
        let low = bytes(|twice| twice.now);
        let Twice { now, before } = self.sector_count;
        let (next, left, end) = match extended {
            true => {
                let count = u16::from_le_bytes([now, before]);
                let left = if count == 0 { 1 << 16 } else { u32::from(count) };
                (bytes(|twice| twice.before) << 24 | low, left, self.disk.sectors())
            }
            false => {
                let left = if now == 0 { 1 << 8 } else { u32::from(now) };
                let end = self.disk.sectors().min(Self::SECTORS_28);
                (u64::from(self.device & 0xf) << 24 | low, left, end)
            }
        };
        if next + u64::from(left) > end {
            self.show_address(next.max(end), extended);
            return Err(Error::IDNF);
        }
        Ok(Range { next, left, extended })
    }

    /// Reads the next sector of the range for the host, if there is one.
    fn fetch(&mut self, range: Range) {
        if range.left == 0 {
            return self.finish();
        }
        match self.disk.read(range.next, &mut self.buffer) {
            Ok(()) => {
                let rest = range.rest();
                self.offer(Transfer::In(rest));
            }
            Err(_) => {
                self.show_address(range.next, range.extended);
                self.fail(Error::UNC);
            }
        }
    }

    /// Sets DRQ for a sector.
    fn offer(&mut self, transfer: Transfer) {
        self.transfer = transfer;
        self.position = 0;
        self.status = Self::READY | Status::DRQ;
        self.interrupt = true;
    }

    fn finish(&mut self) {
        self.transfer = Transfer::None;
        self.status = Self::READY;
    }

    /// The next word for the host, if one is to be had.
    pub(super) fn load_word(&mut self) -> Option<u16> {
        let Transfer::In(_) = self.transfer else { return None };
        let word = self.buffer.get(self.position..self.position + 2)?.try_into().ok()?;
        self.position += 2;
        Some(u16::from_le_bytes(word))
    }

    /// Whether a word of the host's is expected.
    pub(super) fn takes_word(&self) -> bool {
        matches!(self.transfer, Transfer::Out(_)) && self.position < SECTOR_SIZE
    }

    /// Takes a word that is [expected](Self::takes_word).
    pub(super) fn store_word(&mut self, word: u16) {
        if let Some(place) = self.buffer.get_mut(self.position..self.position + 2) {
            place.copy_from_slice(&word.to_le_bytes());
            self.position += 2;
        }
    }

    /// Goes on with the command when all words of a sector were moved.
    pub(super) fn go_on(&mut self) {
        if self.position < SECTOR_SIZE {
            return;
        }
        match self.transfer {
            Transfer::None => {}
            Transfer::In(range) => self.fetch(range),
            Transfer::Out(range) => match self.disk.write(range.next, &self.buffer) {
                Ok(()) if range.left > 1 => {
                    let rest = range.rest();
                    self.offer(Transfer::Out(rest));
                }
                Ok(()) => {
                    self.finish();
                    self.interrupt = true;
                }
                Err(_) => {
                    self.show_address(range.next, range.extended);
                    self.fail_device();
                }
            },
        }
    }

    /// Puts the address at which a command failed into the registers.
    fn show_address(&mut self, address: u64, extended: bool) {
        let bytes = address.to_le_bytes();
        if !extended {
            self.device = self.device & 0xf0 | bytes[3] & 0x0f;
        }
        for (place, twice) in self.lba.iter_mut().enumerate() {
            *twice = Twice { now: bytes[place], before: bytes[place + 3] };
        }
    }

    /// Ends the command with an error.
    fn fail(&mut self, error: Error) {
        self.finish();
        self.status |= Status::ERR;
        self.error = error.bits();
        self.interrupt = true;
    }

    /// Ends the command because the host cannot do its part.
    fn fail_device(&mut self) {
        self.fail(Error::ABRT);
        self.status |= Status::DF;
    }
}
