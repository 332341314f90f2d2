//! The register maps: for every structure the specification's table, and nothing else.
//!
//! An access matches one whole register or is refused with a reason
//! ([`Refusal`](crate::Refusal)). Configuration space is the exception, because
//! PCI has byte enables: there any aligned access of 1, 2 or 4 bytes is legal.

mod ata;
mod block;
mod capability;
mod common;
mod config;
mod legacy;
mod msix;

use serde::{Deserialize, Serialize};

pub use ata::AtaRegister;
pub use block::BlockCfg;
pub use capability::{Capability, CapabilityKind, MsixCap, VirtioCap};
pub use common::CommonCfg;
pub use config::{BridgeHeader, ConfigHeader};
pub use legacy::LegacyCfg;
pub use msix::MsixEntry;

use crate::{Bdf, Space};

/// Makes an enum of registers from the specification's table.
///
/// A row is `Variant = offset, width, access, "name";` with `access` one of `ro`
/// and `rw`. The build fails when two rows overlap or stand in the wrong order.
macro_rules! registers {
    (
        $(#[$meta:meta])*
        pub enum $table:ident {
            $($(#[$doc:meta])* $register:ident = $offset:literal, $width:literal, $access:ident, $name:literal;)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[repr(u16)]
        pub enum $table {
            $(
                $(#[$doc])*
                #[doc = concat!("`", $name, "`, at ", $offset, ", ", $width, " bytes.")]
                #[serde(rename = $name)]
                $register = $offset,
            )+
        }

        impl $table {
            /// Every register, in order of its offset.
            pub const ALL: &'static [Self] = &[$(Self::$register),+];

            /// Bytes from the structure's start.
            pub const fn offset(self) -> u16 {
                self as u16
            }

            /// Bytes.
            pub const fn width(self) -> u8 {
                match self {
                    $(Self::$register => $width,)+
                }
            }

            /// Whether the driver may store to it.
            pub const fn writable(self) -> bool {
                match self {
                    $(Self::$register => $crate::register::registers!(@$access),)+
                }
            }

            /// The specification's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$register => $name,)+
                }
            }

            /// The register that holds the byte at `offset`.
            pub fn containing(offset: u64) -> Option<Self> {
                let after = Self::ALL.partition_point(|r| u64::from(r.offset()) <= offset);
                let register = *Self::ALL.get(after.checked_sub(1)?)?;
                let end = u64::from(register.offset()) + u64::from(register.width());
                (offset < end).then_some(register)
            }

            /// The register that an access of `width` bytes at `offset` matches.
            ///
            /// # Errors
            /// `NoRegister`, `Unaligned` or `Width`: the access is not exactly one register.
            pub fn decode(offset: u64, width: u8) -> Result<Self, $crate::Refusal> {
                let register = Self::containing(offset).ok_or($crate::Refusal::NoRegister)?;
                if u64::from(register.offset()) != offset {
                    return Err($crate::Refusal::Unaligned);
                }
                if register.width() != width {
                    return Err($crate::Refusal::Width);
                }
                Ok(register)
            }
        }

        const _: () = {
            let mut i = 1;
            while i < $table::ALL.len() {
                let (before, this) = ($table::ALL[i - 1], $table::ALL[i]);
                assert!(
                    before.offset() + before.width() as u16 <= this.offset(),
                    "two registers overlap"
                );
                i += 1;
            }
        };
    };
    (@ro) => { false };
    (@rw) => { true };
}
pub(crate) use registers;

/// How a configuration access was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// Mechanism #1: ports 0xCF8 and 0xCFC (PCI 3.0, 3.2.2.3.2).
    Cam,
    /// The enhanced mechanism: a window of memory (PCI Express Base 3.0, 7.2.2).
    Ecam,
}

/// The layout of a configuration header (PCI 3.0, 6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Header {
    /// Type 0, of a device; an absent function counts as one.
    #[default]
    Device,
    /// Type 1, of a PCI-to-PCI bridge.
    Bridge,
}

impl Header {
    /// The name of the header register that holds the byte at `offset`, and its offset.
    pub fn register(self, offset: u16) -> Option<(&'static str, u16)> {
        match self {
            Header::Device => {
                ConfigHeader::containing(offset.into()).map(|r| (r.name(), r.offset()))
            }
            Header::Bridge => {
                BridgeHeader::containing(offset.into()).map(|r| (r.name(), r.offset()))
            }
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A structure of a function: what an offset is an offset into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Structure {
    /// A BAR, where it holds no structure.
    Bar(u8),
    /// `virtio_pci_common_cfg` (VIRTIO 1.4, 4.1.4.3).
    Common,
    /// Notifications (VIRTIO 1.4, 4.1.4.4).
    Notify,
    /// ISR status (VIRTIO 1.4, 4.1.4.5).
    Isr,
    /// `virtio_blk_config` (VIRTIO 1.4, 5.2.4).
    Block,
    /// The legacy interface's ports (VIRTIO 1.4, 4.1.4.10).
    Legacy,
    /// The MSI-X table (PCI 3.0, 6.8.2).
    MsixTable,
    /// The MSI-X pending bit array (PCI 3.0, 6.8.2).
    MsixPba,
}

/// What the guest accessed: which register of which structure of which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Register {
    /// CONFIG_ADDRESS, port 0xCF8 (PCI 3.0, 3.2.2.3.2).
    ConfigAddress,
    /// A function's configuration space; the function may be absent.
    Config {
        /// Whose.
        function: Bdf,
        /// How.
        mechanism: Mechanism,
        /// The layout of its header.
        #[serde(default, skip_serializing_if = "Header::is_default")]
        header: Header,
        /// The first byte accessed.
        offset: u16,
        /// The capability around `offset`, if there is one.
        capability: Option<Capability>,
    },
    /// The common configuration structure.
    Common {
        /// Whose.
        function: Bdf,
        /// Which.
        register: CommonCfg,
    },
    /// A queue's notification address.
    Notify {
        /// Whose.
        function: Bdf,
        /// The queue that the address belongs to, whatever value is stored.
        queue: u16,
    },
    /// The ISR status; a load clears it.
    Isr {
        /// Whose.
        function: Bdf,
    },
    /// The block device's configuration.
    Block {
        /// Whose.
        function: Bdf,
        /// Which.
        register: BlockCfg,
    },
    /// The legacy interface.
    Legacy {
        /// Whose.
        function: Bdf,
        /// Which.
        register: LegacyCfg,
    },
    /// The device's configuration over the legacy interface, which takes any width.
    LegacyConfig {
        /// Whose.
        function: Bdf,
        /// Bytes from its start.
        offset: u16,
    },
    /// An entry of the MSI-X table.
    MsixTable {
        /// Whose.
        function: Bdf,
        /// The entry's number.
        vector: u16,
        /// Which of its registers.
        register: MsixEntry,
    },
    /// The MSI-X pending bits.
    MsixPba {
        /// Whose.
        function: Bdf,
        /// Bytes from its start.
        offset: u16,
    },
    /// The data register of the primary ATA channel, port 0x1F0.
    AtaData {
        /// The IDE controller.
        function: Bdf,
    },
    /// Another register of the primary ATA channel.
    Ata {
        /// The IDE controller.
        function: Bdf,
        /// Which.
        register: AtaRegister,
    },
    /// The debug exit, port 0xF4.
    DebugExit,
    /// The debug mark, port 0xE0: see [`Mark`](crate::Mark).
    DebugMark,
    /// The reset control register of a PIIX3, port 0xCF9.
    ResetControl,
    /// The keyboard controller's command and status port, 0x64.
    KeyboardCommand,
    /// No register of `structure`, or not wholly one.
    None {
        /// Whose.
        function: Bdf,
        /// Of what.
        structure: Structure,
        /// The first byte accessed.
        offset: u32,
    },
    /// No device claims the address.
    Unclaimed {
        /// Port or memory.
        space: Space,
        /// The first byte accessed.
        address: u64,
    },
}

impl Register {
    /// The PCI function that the register belongs to.
    pub fn function(&self) -> Option<Bdf> {
        match *self {
            Register::Config { function, .. }
            | Register::Common { function, .. }
            | Register::Notify { function, .. }
            | Register::Isr { function }
            | Register::Block { function, .. }
            | Register::Legacy { function, .. }
            | Register::LegacyConfig { function, .. }
            | Register::MsixTable { function, .. }
            | Register::MsixPba { function, .. }
            | Register::AtaData { function }
            | Register::Ata { function, .. }
            | Register::None { function, .. } => Some(function),
            Register::ConfigAddress
            | Register::DebugExit
            | Register::DebugMark
            | Register::KeyboardCommand
            | Register::ResetControl
            | Register::Unclaimed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BlockCfg, CommonCfg};
    use crate::Refusal;

    #[test]
    fn an_access_matches_one_whole_register_or_says_why_not() {
        use CommonCfg as C;
        assert_eq!(C::decode(0x14, 1), Ok(C::DeviceStatus));
        assert_eq!(C::decode(0x15, 1), Ok(C::ConfigGeneration));
        assert_eq!(C::decode(0x14, 4), Err(Refusal::Width));
        assert_eq!(C::decode(0x02, 2), Err(Refusal::Unaligned));
        assert_eq!(C::decode(0x3c, 2), Err(Refusal::NoRegister));
        assert_eq!(C::decode(u64::MAX, 1), Err(Refusal::NoRegister));
        assert_eq!(BlockCfg::decode(0x21, 1), Ok(BlockCfg::Unused0), "padding has a value");
        assert_eq!(BlockCfg::decode(0x48, 4), Err(Refusal::NoRegister), "no zoned device");
    }

    #[test]
    fn every_register_decodes_to_itself() {
        for &register in CommonCfg::ALL {
            let offset = u64::from(register.offset());
            assert_eq!(CommonCfg::decode(offset, register.width()), Ok(register));
        }
        for &register in BlockCfg::ALL {
            let offset = u64::from(register.offset());
            assert_eq!(BlockCfg::decode(offset, register.width()), Ok(register));
        }
    }
}
