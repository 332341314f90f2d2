//! What a driver can reach in the device's BARs, and how.

use std::fmt;

use eclipse_devices::Space;
use eclipse_tests::Bare;

/// What a driver can reach in the device's BARs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structure {
    Common,
    Isr,
    Notify,
    Block,
    MsixTable,
    MsixPba,
    Legacy,
}

/// The ports of the legacy interface: BAR 0, and how many there are.
const PORTS: u64 = 0xc000;
const PORT_COUNT: u64 = 0x80;

impl Structure {
    /// Where it begins.
    pub fn at(self) -> (Space, u64) {
        match self {
            Structure::Common => (Space::Memory, Bare::COMMON),
            Structure::Isr => (Space::Memory, Bare::ISR),
            Structure::Notify => (Space::Memory, Bare::NOTIFY),
            Structure::Block => (Space::Memory, Bare::BLOCK),
            Structure::MsixTable => (Space::Memory, Bare::MSIX_TABLE),
            Structure::MsixPba => (Space::Memory, Bare::MSIX_PBA),
            Structure::Legacy => (Space::Port, PORTS),
        }
    }

    /// The offsets that are of interest: all that hold something, and what is behind them.
    pub fn offsets(self) -> Vec<u64> {
        let (end, edge) = match self {
            Structure::Common => (0x48, 0xff8),
            Structure::Isr | Structure::Notify => (0x0a, 0xff8),
            Structure::Block => (0x50, 0xff8),
            Structure::MsixTable => (0x28, 0x7f8),
            Structure::MsixPba => (0x10, 0x7f8),
            Structure::Legacy => (0x40, PORT_COUNT - 3),
        };
        (0..end).chain([edge]).collect()
    }

    /// Whether an access of `width` bytes at `offset` reaches the device.
    pub fn decodes(self, offset: u64, width: u8) -> bool {
        // There are no ports of 8 bytes, and an access that leaves a BAR is nobody's.
        self != Structure::Legacy || width < 8 && offset + u64::from(width) <= PORT_COUNT
    }

    /// What a driver may store there, rightly or wrongly.
    pub fn values(self, offset: u64, width: u8) -> Vec<u64> {
        let ones = u64::MAX >> (64 - 8 * u32::from(width));
        let status = match self {
            Structure::Common => (offset, width) == (0x14, 1),
            Structure::Legacy => (offset, width) == (18, 1),
            _ => false,
        };
        if status {
            return vec![0, 1, 2, 3, 4, 7, 8, 0xb, 0xf, 0x43, 0x4f, 0x80, 0x83, 0x8b, 0x8f, 0xff];
        }
        let values = [0, 1, 8, 0x18, 0x244, 0x1_0000_2001, 0xffff, ones];
        let mut values: Vec<u64> = values.map(|value| value & ones).to_vec();
        values.sort();
        values.dedup();
        values
    }
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Structure::Common => "common",
            Structure::Isr => "isr",
            Structure::Notify => "notify",
            Structure::Block => "block",
            Structure::MsixTable => "msix table",
            Structure::MsixPba => "msix pba",
            Structure::Legacy => "legacy",
        })
    }
}

/// A load, or a store of a value.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    pub structure: Structure,
    pub offset: u64,
    pub width: u8,
    pub store: Option<u64>,
}
