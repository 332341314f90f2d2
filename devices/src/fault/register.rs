use std::fmt;
use std::str::FromStr;

use eclipse_trace::Register;
use eclipse_trace::register::{
    BlockCfg, BridgeHeader, Capability, CapabilityKind, CommonCfg, ConfigHeader, Header, LegacyCfg,
    MsixCap, MsixEntry, Structure, VirtioCap,
};

/// A register by its name in a transcript, of whichever function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterName {
    /// Every register: `any`.
    Any,
    /// The configuration header: `config.vendor_id`.
    Config(ConfigHeader),
    /// The configuration header of a bridge: `bridge.secondary_bus`.
    Bridge(BridgeHeader),
    /// A virtio capability: `virtio_common.offset`.
    VirtioCap(u8, VirtioCap),
    /// The MSI-X capability: `msix.message_control`.
    MsixCap(MsixCap),
    /// The common configuration: `common.device_status`.
    Common(CommonCfg),
    /// The block device's configuration, over either interface: `block.capacity_low`.
    Block(BlockCfg),
    /// The legacy interface: `legacy.queue_address`.
    Legacy(LegacyCfg),
    /// The ISR status: `isr`.
    Isr,
    /// An entry of the MSI-X table: `table[0].message_data`.
    MsixTable(u16, MsixEntry),
}

/// There is no register of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no register {name:?}{hint}")]
pub struct UnknownRegister {
    name: String,
    hint: String,
}

/// The virtio capabilities that have a name.
const CAPABILITIES: [(&str, u8); 5] = [
    ("virtio_common", 1),
    ("virtio_notify", 2),
    ("virtio_isr", 3),
    ("virtio_device", 4),
    ("virtio_pci_cfg", 5),
];

/// The bytes of an access that belong to a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Bits of the register below the access.
    cut: u32,
    /// Bits of the access below the register.
    shift: u32,
    /// The register's bits that the access has, at their place in the access.
    mask: u64,
}

impl Part {
    pub(super) fn new(register: (u64, u8), access: (u64, u8)) -> Option<Self> {
        let (start, end) = (register.0.max(access.0), {
            let end = |(offset, width): (u64, u8)| offset + u64::from(width);
            end(register).min(end(access))
        });
        let bits = u32::try_from(end.checked_sub(start)?).ok()? * 8;
        if bits == 0 {
            return None;
        }
        let cut = u32::try_from(start - register.0).ok()? * 8;
        let shift = u32::try_from(start - access.0).ok()? * 8;
        Some(Self { cut, shift, mask: (u64::MAX >> (64 - bits)) << shift })
    }

    /// All of an access.
    fn whole(width: u8) -> Self {
        Self { cut: 0, shift: 0, mask: u64::MAX >> (64 - 8 * u32::from(width)) }
    }

    /// The register's value as far as `access` has it.
    pub(crate) fn get(self, access: u64) -> u64 {
        ((access & self.mask) >> self.shift) << self.cut
    }

    /// `access` with the register's part replaced by that of `value`.
    pub(crate) fn put(self, access: u64, value: u64) -> u64 {
        access & !self.mask | ((value >> self.cut) << self.shift) & self.mask
    }
}

impl RegisterName {
    /// Bytes; of any register at most 8.
    pub fn width(self) -> u8 {
        match self {
            Self::Any => 8,
            Self::Config(register) => register.width(),
            Self::Bridge(register) => register.width(),
            Self::Legacy(register) => register.width(),
            Self::VirtioCap(_, register) => register.width(),
            Self::MsixCap(register) => register.width(),
            Self::Common(register) => register.width(),
            Self::Block(register) => register.width(),
            Self::Isr => 1,
            Self::MsixTable(_, register) => register.width(),
        }
    }

    /// As many ones as it has bits.
    pub(crate) fn mask(self) -> u64 {
        u64::MAX >> (64 - 8 * u32::from(self.width()))
    }

    /// Whether a driver may store to it.
    pub fn writable(self) -> bool {
        match self {
            Self::Any => true,
            Self::Config(register) => register.writable(),
            Self::Bridge(register) => register.writable(),
            Self::Legacy(register) => register.writable(),
            Self::MsixCap(register) => register.writable(),
            Self::Common(register) => register.writable(),
            Self::Block(register) => register.writable(),
            Self::MsixTable(_, register) => register.writable(),
            Self::VirtioCap(..) | Self::Isr => false,
        }
    }

    /// Whether only a virtio block device has it.
    pub(crate) fn of_virtio(self) -> bool {
        !matches!(self, Self::Any | Self::Config(_) | Self::Bridge(_))
    }

    /// Whether it is part of configuration space, and where: the capability that it is
    /// in, and the offset there or in the header.
    pub(crate) fn in_config(self) -> Option<(Option<CapabilityKind>, u16)> {
        match self {
            Self::Config(register) => Some((None, register.offset())),
            Self::Bridge(register) => Some((None, register.offset())),
            Self::VirtioCap(cfg_type, register) => {
                Some((Some(CapabilityKind::Virtio(cfg_type)), register.offset()))
            }
            Self::MsixCap(register) => Some((Some(CapabilityKind::Msix), register.offset())),
            _ => None,
        }
    }

    /// The part of an access of `width` bytes to `accessed` that is this register's.
    pub(crate) fn part(self, accessed: &Register, width: u8) -> Option<Part> {
        let same = |equal: bool| equal.then(|| Part::whole(width));
        match (self, *accessed) {
            (Self::Any, _) => same(true),
            (_, Register::Config { header, offset, capability, .. }) => {
                let at = self.config_offset(header, capability)?;
                Part::new((at, self.width()), (offset.into(), width))
            }
            (Self::Common(register), Register::Common { register: accessed, .. }) => {
                let at = |register: CommonCfg| u64::from(register.offset());
                Part::new((at(register), register.width()), (at(accessed), width))
            }
            (Self::Block(register), Register::Block { register: accessed, .. }) => {
                same(register == accessed)
            }
            // A field whose feature is not offered is refused, and can be forged all the same.
            (Self::Block(register), Register::None { structure: Structure::Block, offset, .. }) => {
                same(u32::from(register.offset()) == offset && register.width() == width)
            }
            (Self::Block(register), Register::LegacyConfig { offset, .. }) => {
                let register = (u64::from(register.offset()), register.width());
                Part::new(register, (offset.into(), width))
            }
            (Self::Legacy(register), Register::Legacy { register: accessed, .. }) => {
                same(register == accessed)
            }
            (Self::Isr, Register::Isr { .. }) => same(true),
            (
                Self::MsixTable(vector, register),
                Register::MsixTable { vector: accessed, register: first, .. },
            ) if vector == accessed => {
                let at = |register: MsixEntry| u64::from(register.offset());
                Part::new((at(register), register.width()), (at(first), width))
            }
            _ => None,
        }
    }

    /// Where it lies in a configuration space with this header, of which this capability
    /// was accessed, or the header.
    fn config_offset(self, header: Header, capability: Option<Capability>) -> Option<u64> {
        let (kind, inside) = self.in_config()?;
        let there = match self {
            // Of a bridge's header only what both types have.
            Self::Config(register) => header.register(inside) == Some((register.name(), inside)),
            Self::Bridge(_) => header == Header::Bridge,
            _ => true,
        };
        let start = match (kind, capability) {
            (None, None) => 0,
            (Some(kind), Some(capability)) if kind == capability.kind => capability.at.into(),
            _ => return None,
        };
        there.then_some(start + u64::from(inside))
    }
}

impl FromStr for RegisterName {
    type Err = UnknownRegister;

    fn from_str(text: &str) -> Result<Self, UnknownRegister> {
        match text {
            "any" => return Ok(Self::Any),
            "isr" => return Ok(Self::Isr),
            _ => {}
        }
        let (structure, name) = match text.rsplit_once('.') {
            Some((structure, name)) => (Some(structure), name),
            None => (None, text),
        };
        let mut found: Vec<_> =
            named(name).filter(|r| structure.is_none_or(|s| r.structure() == s)).collect();
        // What is older or rarer has to be said, where the name is another's too.
        if found.iter().any(|register| !register.is_second()) {
            found.retain(|register| !register.is_second() || structure.is_some());
        }
        // A virtio capability has the fields of every other: there it has to be said which.
        match found[..] {
            [register] => Ok(register),
            [] => Err(UnknownRegister { name: text.into(), hint: hint(structure, name) }),
            _ => {
                let names: Vec<_> = found.iter().map(ToString::to_string).collect();
                let hint = format!("; say which: {}", names.join(", "));
                Err(UnknownRegister { name: text.into(), hint })
            }
        }
    }
}

/// All registers of this name, whatever the structure.
fn named(name: &str) -> impl Iterator<Item = RegisterName> {
    all().filter(move |register| register.name() == name)
}

fn all() -> impl Iterator<Item = RegisterName> {
    let config = ConfigHeader::ALL.iter().map(|r| RegisterName::Config(*r));
    let common = CommonCfg::ALL.iter().map(|r| RegisterName::Common(*r));
    let block = BlockCfg::ALL.iter().map(|r| RegisterName::Block(*r));
    let msix = MsixCap::ALL.iter().map(|r| RegisterName::MsixCap(*r));
    let virtio = CAPABILITIES.iter().flat_map(|(_, cfg_type)| {
        VirtioCap::ALL.iter().map(|r| RegisterName::VirtioCap(*cfg_type, *r))
    });
    let table = (0..4)
        .flat_map(|vector| MsixEntry::ALL.iter().map(move |r| RegisterName::MsixTable(vector, *r)));
    let bridge = BridgeHeader::ALL.iter().map(|r| RegisterName::Bridge(*r));
    let legacy = LegacyCfg::ALL.iter().map(|r| RegisterName::Legacy(*r));
    let known = common.chain(block).chain(config).chain(msix).chain(virtio).chain(table);
    known.chain(bridge).chain(legacy)
}

/// Where the name that was meant could be.
fn hint(structure: Option<&str>, name: &str) -> String {
    if let Some(elsewhere) = named(name).next() {
        return format!("; {elsewhere} is one");
    }
    let common = |other: &str| other.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
    let nearest = all()
        .filter(|register| structure.is_none_or(|s| register.structure() == s))
        .max_by_key(|register| common(register.name()))
        .filter(|register| common(register.name()) >= 3);
    nearest.map(|register| format!("; {register} is one")).unwrap_or_else(|| {
        "; registers have the names of a transcript, such as common.device_status".into()
    })
}

impl RegisterName {
    fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Isr => "isr",
            Self::Config(register) => register.name(),
            Self::Bridge(register) => register.name(),
            Self::Legacy(register) => register.name(),
            Self::Common(register) => register.name(),
            Self::Block(register) => register.name(),
            Self::MsixCap(register) => register.name(),
            Self::MsixTable(_, register) => register.name(),
            Self::VirtioCap(2, VirtioCap::Extra) => "notify_off_multiplier",
            Self::VirtioCap(5, VirtioCap::Extra) => "pci_cfg_data",
            Self::VirtioCap(_, register) => register.name(),
        }
    }

    /// Whether a name without a structure is meant for another register first.
    fn is_second(self) -> bool {
        matches!(self, Self::Bridge(_) | Self::Legacy(_))
    }

    fn structure(self) -> String {
        match self {
            Self::Any | Self::Isr => String::new(),
            Self::Config(_) => "config".into(),
            Self::Bridge(_) => "bridge".into(),
            Self::Legacy(_) => "legacy".into(),
            Self::Common(_) => "common".into(),
            Self::Block(_) => "block".into(),
            Self::MsixCap(_) => "msix".into(),
            Self::MsixTable(vector, _) => format!("table[{vector}]"),
            Self::VirtioCap(cfg_type, _) => CAPABILITIES
                .iter()
                .find(|(_, number)| *number == cfg_type)
                .map_or_else(|| format!("virtio_{cfg_type:02x}"), |(name, _)| (*name).into()),
        }
    }
}

impl fmt::Display for RegisterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.structure() {
            structure if structure.is_empty() => f.write_str(self.name()),
            structure => write!(f, "{structure}.{}", self.name()),
        }
    }
}

/// The capability with this name.
pub(crate) fn capability(name: &str) -> Option<CapabilityKind> {
    if name == "msix" {
        return Some(CapabilityKind::Msix);
    }
    CAPABILITIES.iter().find(|(n, _)| *n == name).map(|(_, t)| CapabilityKind::Virtio(*t))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_register_reads_as_it_is_written() {
        for register in all() {
            assert_eq!(register.to_string().parse(), Ok(register), "{register}");
        }
    }

    #[test]
    fn a_name_that_is_in_one_structure_needs_no_other_word() {
        assert_eq!("device_status".parse(), Ok(RegisterName::Common(CommonCfg::DeviceStatus)));
        assert_eq!("queue_address".parse(), Ok(RegisterName::Legacy(LegacyCfg::QueueAddress)));
        assert_eq!("vendor_id".parse(), Ok(RegisterName::Config(ConfigHeader::VendorId)));
        let ambiguous = "num_queues".parse::<RegisterName>().unwrap_err().to_string();
        assert!(ambiguous.ends_with("; say which: common.num_queues, block.num_queues"));
        let unknown = "common.device_statsu".parse::<RegisterName>().unwrap_err().to_string();
        assert!(unknown.ends_with("; common.device_status is one"), "{unknown}");
        let elsewhere = "common.capacity_low".parse::<RegisterName>().unwrap_err().to_string();
        assert!(elsewhere.ends_with("; block.capacity_low is one"), "{elsewhere}");
    }

    #[test]
    fn the_part_of_an_access_that_is_a_register_is_altered_and_no_other() {
        // class_code is the top byte of the doubleword at 08h.
        let part = Part::new((0x0b, 1), (0x08, 4)).unwrap();
        assert_eq!(part.get(0x0102_0304), 0x01);
        assert_eq!(part.put(0x0102_0304, 0xff), 0xff02_0304);
        // The upper byte of a 16-bit register, loaded alone.
        let part = Part::new((0x00, 2), (0x01, 1)).unwrap();
        assert_eq!(part.get(0x1a), 0x1a00);
        assert_eq!(part.put(0x1a, 0xffee), 0xff);
        assert_eq!(Part::new((0x00, 2), (0x02, 2)), None);
    }
}
