use std::fmt;

use serde::{Deserialize, Serialize};

/// Where the guest's address is to be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Space {
    /// I/O ports, 0 to 0xFFFF.
    Port,
    /// Physical memory that is not RAM.
    Memory,
}

/// One load or one store, exactly as wide as it was made.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// The value was fetched.
    Load {
        /// Bytes: 1 to 8.
        width: u8,
        /// What was answered, in the low `width` bytes.
        value: u64,
    },
    /// The value was put there.
    Store {
        /// Bytes: 1 to 8.
        width: u8,
        /// What was stored, in the low `width` bytes.
        value: u64,
    },
}

impl Access {
    /// Bytes: 1 to 8.
    pub const fn width(self) -> u8 {
        match self {
            Access::Load { width, .. } | Access::Store { width, .. } => width,
        }
    }

    /// What was answered or stored.
    pub const fn value(self) -> u64 {
        match self {
            Access::Load { value, .. } | Access::Store { value, .. } => value,
        }
    }

    /// Whether this is a store.
    pub const fn is_store(self) -> bool {
        matches!(self, Access::Store { .. })
    }
}

/// `-> value` for a load and `<- value` for a store; the digits show the width.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = if self.is_store() { "<-" } else { "->" };
        write!(f, "{arrow} {:0digits$x}", self.value(), digits = 2 * usize::from(self.width()))
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why an access took no effect: it then loads all ones, or stores nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The access is not as wide as the register (VIRTIO 1.4, 4.1.3.1).
    #[error("the register has another width")]
    Width,
    /// The access begins inside a register, or reaches over its end.
    #[error("not aligned to a register")]
    Unaligned,
    /// There is no register at this offset.
    #[error("no register here")]
    NoRegister,
    /// A store to a register that the driver may only load.
    #[error("the register is read-only")]
    ReadOnly,
    /// A store of a value that the register does not take, or not now.
    #[error("the register does not take this value now")]
    Value,
    /// An access to a data register that moves no data now.
    #[error("no data is transferred now")]
    NoData,
    /// The address is in no function's decoded range.
    #[error("no device answers")]
    Unclaimed,
}
