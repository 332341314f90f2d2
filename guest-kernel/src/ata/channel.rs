//! One channel: its ports, and what is waited for on them.

use core::time::Duration;

use super::{Bus, ErrorBits, Failure, Position, Status};
use crate::hal::Hal;

/// Words of a sector.
pub(super) const WORDS: usize = 256;

/// Offsets of the command block's registers.
const DATA: u16 = 0;
const ERROR: u16 = 1;
const COUNT: u16 = 2;
const LBA_LOW: u16 = 3;
const LBA_MID: u16 = 4;
const LBA_HIGH: u16 = 5;
const DEVICE: u16 = 6;
const STATUS_COMMAND: u16 = 7;

/// Device Control: no interrupts, the driver polls.
const NO_INTERRUPT: u8 = 1 << 1;
/// Device Control: software reset.
const RESET: u8 = 1 << 2;
/// Device: the address is linear.
const LINEAR: u8 = 1 << 6;
/// Device: two bits that were once set in every disk's.
const ONES: u8 = 0xa0;

/// For how long a device may be busy before it takes a command, or with one.
pub(super) const COMMAND: Duration = Duration::from_secs(5);
/// For how long a device may write its cache out; it "may take longer than 30 s" (ATA/ATAPI-6,
/// 8.10), and we do not.
pub(super) const FLUSH: Duration = Duration::from_secs(30);
/// For how long a device may be busy behind a reset (ATA/ATAPI-6, 9.2).
const AFTER_RESET: Duration = Duration::from_secs(31);
/// For how long the driver looks again at once; behind that it sleeps in between.
const AT_ONCE: Duration = Duration::from_micros(50);
/// The longest such sleep.
const NAP: Duration = Duration::from_millis(10);

/// Where a command is to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// Nowhere.
    None,
    /// So many sectors, 1 to 256, of a 28-bit address.
    Lba28 { sector: u64, count: u16 },
    /// So many sectors of a 48-bit address.
    Lba48 { sector: u64, count: u16 },
}

/// The ports of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Channel<H> {
    hal: H,
    /// The first port of the command block.
    base: u16,
    /// Alternate Status; for a store Device Control.
    control: u16,
}

impl<H: Hal> Channel<H> {
    pub(super) fn new(hal: H, bus: Bus) -> Self {
        match bus {
            Bus::Primary => Self { hal, base: 0x1f0, control: 0x3f6 },
            Bus::Secondary => Self { hal, base: 0x170, control: 0x376 },
        }
    }

    fn store(&self, register: u16, value: u8) {
        self.hal.port_store(self.base + register, value);
    }

    fn load(&self, register: u16) -> u8 {
        self.hal.port_load(self.base + register)
    }

    /// Alternate Status: the status, and no interrupt is acknowledged.
    pub(super) fn alternate_status(&self) -> Status {
        Status::from_bits_retain(self.hal.port_load(self.control))
    }

    /// Lets 400 ns pass: each load takes 100 ns at least.
    ///
    /// A device may take so long until its status is that of the command that it was given
    /// (ATA/ATAPI-6, 9.3); what is loaded earlier is the one before.
    pub(super) fn settle(&self) {
        for _ in 0..4 {
            self.alternate_status();
        }
    }

    /// The driver polls.
    pub(super) fn silence(&self) {
        self.hal.port_store(self.control, NO_INTERRUPT);
    }

    /// Stores the Device register, and lets the device answer.
    pub(super) fn store_device(&self, position: Position, bits: u8) {
        let device = match position {
            Position::Master => 0,
            Position::Slave => 1 << 4,
        };
        self.store(DEVICE, ONES | device | bits);
        self.settle();
    }

    /// Selects a device that is there, and waits until it takes a command.
    ///
    /// A command that was given up half-way, to either device, is ended by a reset.
    pub(super) fn select(&self, position: Position, address: Address) -> Result<(), Failure> {
        if self.wait(COMMAND, Status::idle)?.is_none() {
            self.reset()?;
        }
        let bits = match address {
            Address::None => 0,
            Address::Lba28 { sector, .. } => LINEAR | (sector >> 24) as u8 & 0x0f,
            Address::Lba48 { .. } => LINEAR,
        };
        self.store_device(position, bits);
        let idle = self.wait(COMMAND, Status::idle)?;
        idle.ok_or(Failure::Busy(COMMAND))?;
        let ready = self.wait(COMMAND, |status| status.contains(Status::DRDY))?;
        ready.map(drop).ok_or(Failure::NotReady(COMMAND))
    }

    /// Gives the selected device a command; it may take 400 ns to show.
    pub(super) fn command(&self, command: u8, address: Address) {
        match address {
            Address::None => self.store_address(0, [0; 3]),
            Address::Lba28 { sector, count } => {
                let [low, mid, high, ..] = sector.to_le_bytes();
                // 256 sectors are written 0.
                self.store_address(count as u8, [low, mid, high]);
            }
            Address::Lba48 { sector, count } => {
                let [a, b, c, d, e, f, ..] = sector.to_le_bytes();
                let [low, high] = count.to_le_bytes();
                // Each register keeps what was stored before: the high half goes first.
                self.store_address(high, [d, e, f]);
                self.store_address(low, [a, b, c]);
            }
        }
        self.store(STATUS_COMMAND, command);
    }

    fn store_address(&self, count: u8, [low, mid, high]: [u8; 3]) {
        self.store(COUNT, count);
        self.store(LBA_LOW, low);
        self.store(LBA_MID, mid);
        self.store(LBA_HIGH, high);
    }

    /// LBA Mid and High, where a device that takes packets has its signature.
    pub(super) fn signature(&self) -> (u8, u8) {
        (self.load(LBA_MID), self.load(LBA_HIGH))
    }

    /// Waits until the command has got on, and asks whether it failed.
    pub(super) fn progress(&self, limit: Duration) -> Result<Status, Failure> {
        self.settle();
        let free = self.wait(limit, |status| !status.contains(Status::BSY))?;
        free.ok_or(Failure::Busy(limit))?;
        // Status and not Alternate Status: the device may take its interrupt back.
        let status = Status::from_bits_retain(self.load(STATUS_COMMAND));
        if status.bits() == 0xff {
            return Err(Failure::Gone(status));
        }
        if status.intersects(Status::DF | Status::ERR) {
            let error = ErrorBits::from_bits_retain(self.load(ERROR));
            let fault = status.contains(Status::DF);
            return Err(if fault { Failure::Fault(error) } else { Failure::Refused(error) });
        }
        Ok(status)
    }

    /// Waits until the device has, or takes, the words of a sector.
    fn due(&self) -> Result<(), Failure> {
        let status = self.progress(COMMAND)?;
        if !status.contains(Status::DRQ) {
            let due = self.wait(COMMAND, |status| status.contains(Status::DRQ))?;
            due.ok_or(Failure::NoData(COMMAND))?;
        }
        Ok(())
    }

    /// Loads the words of a sector.
    pub(super) fn sector_in(&self, mut word: impl FnMut(u16)) -> Result<(), Failure> {
        self.due()?;
        for _ in 0..WORDS {
            word(self.hal.port_load(self.base + DATA));
        }
        Ok(())
    }

    /// Stores the words of a sector.
    pub(super) fn sector_out(&self, data: &[u8]) -> Result<(), Failure> {
        self.due()?;
        for pair in data.as_chunks().0 {
            self.hal.port_store(self.base + DATA, u16::from_le_bytes(*pair));
        }
        Ok(())
    }

    /// Waits for the end of a command.
    pub(super) fn end(&self, limit: Duration) -> Result<(), Failure> {
        let status = self.progress(limit)?;
        if status.contains(Status::DRQ) { Err(Failure::TooMuchData(status)) } else { Ok(()) }
    }

    /// Resets both devices of the channel (ATA/ATAPI-6, 9.2).
    fn reset(&self) -> Result<(), Failure> {
        self.hal.port_store(self.control, NO_INTERRUPT | RESET);
        self.pass(Duration::from_micros(5));
        self.silence();
        self.pass(Duration::from_millis(2));
        let idle = self.wait(AFTER_RESET, Status::idle)?;
        idle.map(drop).ok_or(Failure::Busy(AFTER_RESET))
    }

    /// Lets time pass.
    fn pass(&self, time: Duration) {
        let start = self.hal.now();
        loop {
            let passed = self.hal.now().saturating_sub(start);
            if passed >= time {
                return;
            }
            self.doze(passed);
        }
    }

    /// Waits for a status; `None` when the time is over.
    pub(super) fn wait(
        &self,
        limit: Duration,
        done: impl Fn(Status) -> bool,
    ) -> Result<Option<Status>, Failure> {
        let start = self.hal.now();
        loop {
            // Asked for first: one who was kept from the processor for long looks once more.
            let passed = self.hal.now().saturating_sub(start);
            let status = self.alternate_status();
            if status.bits() == 0xff {
                return Err(Failure::Gone(status));
            }
            if done(status) {
                return Ok(Some(status));
            }
            if passed >= limit {
                return Ok(None);
            }
            self.doze(passed);
        }
    }

    /// Between two looks: a short wait is polled for, a long one costs few accesses.
    fn doze(&self, passed: Duration) {
        match passed < AT_ONCE {
            true => self.hal.pause(),
            false => self.hal.sleep(NAP.min(passed / 4)),
        }
    }
}
