//! Why an ATA disk failed, or refused.

use core::time::Duration;

use super::{Command, ErrorBits, Place, Status};

/// Why an ATA disk failed, or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The device did not tell what it is.
    #[error("ATA {place}: IDENTIFY DEVICE: {failure}")]
    Identify {
        /// Where it is.
        place: Place,
        /// What went wrong.
        failure: Failure,
    },
    /// What the device tells of itself is nothing that can be driven.
    #[error("ATA {place}: {why}")]
    Unusable {
        /// Where it is.
        place: Place,
        /// What it tells.
        why: Unusable,
    },
    /// A command failed.
    #[error("ATA {place}: {command} at sector {sector}: {failure}")]
    Failed {
        /// Where the disk is.
        place: Place,
        /// What was asked for.
        command: Command,
        /// The first sector of the command; 0 of a flush.
        sector: u64,
        /// What went wrong.
        failure: Failure,
    },
    /// The request goes past the end.
    #[error("ATA {place}: {count} sectors at {sector} are not on a disk of {sectors} sectors")]
    OutOfRange {
        /// Where the disk is.
        place: Place,
        /// The first sector.
        sector: u64,
        /// The sectors asked for.
        count: u64,
        /// The sectors that there are.
        sectors: u64,
    },
    /// The bytes are no whole sectors.
    #[error("ATA {place}: {bytes} bytes are not whole sectors of 512")]
    Unaligned {
        /// Where the disk is.
        place: Place,
        /// The bytes asked for.
        bytes: usize,
    },
}

/// What a device did with a command, if not carry it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// BSY stays set.
    #[error("the device is busy for more than {} ms", .0.as_millis())]
    Busy(Duration),
    /// DRDY stays clear.
    #[error("the device is not ready after {} ms", .0.as_millis())]
    NotReady(Duration),
    /// DRQ stays clear: the device has, or takes, less data than it should.
    #[error("the device asks for no data in {} ms", .0.as_millis())]
    NoData(Duration),
    /// DRQ stays set: the device has, or takes, more data than it should.
    #[error("the device asks for more data than the command has (status {:#04x})", .0.bits())]
    TooMuchData(Status),
    /// ERR, with what the Error register says.
    #[error("{} (error {:#04x})", .0, .0.bits())]
    Refused(ErrorBits),
    /// DF, with what the Error register says.
    #[error("device fault: {} (error {:#04x})", .0, .0.bits())]
    Fault(ErrorBits),
    /// Nobody drives the bus.
    #[error("the device is gone (status {:#04x})", .0.bits())]
    Gone(Status),
}

/// What a disk tells of itself that this driver cannot work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Word 0 bit 15.
    #[error("its identity is none of an ATA device (word 0 is {0:#06x})")]
    NotAta(u16),
    /// Word 255.
    #[error("the checksum of its identity is wrong by {0:#04x}")]
    Checksum(u8),
    /// Word 49 bit 9.
    #[error("it has cylinders and heads only, no linear addresses")]
    NoLba,
    /// Words 60 to 61, or 100 to 103.
    #[error("a disk of {0} sectors cannot be")]
    Sectors(u64),
}
