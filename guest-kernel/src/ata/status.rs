//! The Status and Error registers.

use core::fmt;

bitflags::bitflags! {
    /// The Status register, and Alternate Status (ATA/ATAPI-6, 7.15).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Status: u8 {
        /// The command failed; the Error register says why.
        const ERR = 1 << 0;
        /// A word is to be moved.
        const DRQ = 1 << 3;
        /// The device itself failed.
        const DF = 1 << 5;
        /// The device takes commands.
        const DRDY = 1 << 6;
        /// The registers are the device's; while it is set no other bit means anything.
        const BSY = 1 << 7;
        /// Others are obsolete, or differ by command.
        const _ = !0;
    }
}

impl Status {
    /// No device drives the bus: the lines float, or a device that is there answers for one that
    /// is not.
    pub(super) fn nobody(self) -> bool {
        matches!(self.bits(), 0x00 | 0xff)
    }

    /// No command is under way, and no word waits.
    pub(super) fn idle(self) -> bool {
        !self.intersects(Self::BSY | Self::DRQ)
    }
}

bitflags::bitflags! {
    /// The Error register behind a command that failed (ATA/ATAPI-6, 7.8).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ErrorBits: u8 {
        /// The address mark is not found.
        const AMNF = 1 << 0;
        /// There is no medium.
        const NM = 1 << 1;
        /// The device does not do this command.
        const ABRT = 1 << 2;
        /// Somebody asks for the medium.
        const MCR = 1 << 3;
        /// The address is not on the disk.
        const IDNF = 1 << 4;
        /// The medium was changed.
        const MC = 1 << 5;
        /// The data cannot be read.
        const UNC = 1 << 6;
        /// The data was damaged on its way.
        const ICRC = 1 << 7;
    }
}

/// What a bit of the Error register says.
const MEANINGS: [(ErrorBits, &str); 8] = [
    (ErrorBits::ICRC, "the data was damaged on its way"),
    (ErrorBits::UNC, "the data cannot be read"),
    (ErrorBits::MC, "the medium was changed"),
    (ErrorBits::IDNF, "the address is not found"),
    (ErrorBits::MCR, "a change of the medium is asked for"),
    (ErrorBits::ABRT, "the command is aborted"),
    (ErrorBits::NM, "there is no medium"),
    (ErrorBits::AMNF, "the address mark is not found"),
];

impl fmt::Display for ErrorBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = MEANINGS.iter().filter(|(bit, _)| self.contains(*bit));
        let Some((_, first)) = set.next() else { return f.write_str("no reason is given") };
        f.write_str(first)?;
        set.try_for_each(|(_, meaning)| write!(f, ", {meaning}"))
    }
}
