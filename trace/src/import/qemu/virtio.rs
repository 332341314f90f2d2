use std::collections::{BTreeMap, BTreeSet};

use super::config::ConfigSpace;
use crate::register::{BlockCfg, CommonCfg, LegacyCfg, MsixCap, MsixEntry, Structure};
use crate::{Access, Bdf, Event, Pin, Refusal, Register};

/// What one of QEMU's memory regions holds, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Common,
    Isr,
    Device,
    Notify,
    /// The notification structure in I/O ports, with `modern-pio-notify`.
    NotifyPort,
    Legacy,
    MsixTable,
    MsixPba,
}

impl Part {
    /// The part, and of which device model where the name says so.
    pub(super) fn of(region: &str) -> Option<(Self, &str)> {
        // Before QEMU 6 the names end before the model's.
        let names = [
            ("virtio-pci-common", Part::Common),
            ("virtio-pci-isr", Part::Isr),
            ("virtio-pci-device", Part::Device),
            ("virtio-pci-notify-pio", Part::NotifyPort),
            ("virtio-pci-notify", Part::Notify),
            ("virtio-pci", Part::Legacy),
            ("msix-table", Part::MsixTable),
            ("msix-pba", Part::MsixPba),
        ];
        names.into_iter().find_map(|(name, part)| match region.strip_prefix(name)? {
            "" => Some((part, "")),
            rest => Some((part, rest.strip_prefix('-')?)),
        })
    }

    /// Whether it is in ports.
    pub(super) fn is_port(self) -> bool {
        matches!(self, Part::Legacy | Part::NotifyPort)
    }

    /// `cfg_type` of its capability (VIRTIO 1.4, 4.1.4).
    fn cfg_type(self) -> Option<u8> {
        match self {
            Part::Common => Some(1),
            Part::Notify | Part::NotifyPort => Some(2),
            Part::Isr => Some(3),
            Part::Device => Some(4),
            Part::Legacy | Part::MsixTable | Part::MsixPba => None,
        }
    }

    /// Where QEMU has it in its BAR.
    fn usual_place(self) -> u64 {
        match self {
            Part::Common | Part::NotifyPort | Part::Legacy | Part::MsixTable => 0,
            Part::Isr => 0x1000,
            Part::Device => 0x2000,
            Part::Notify => 0x3000,
            Part::MsixPba => 0x800,
        }
    }

    /// Where the part begins in BAR `bar`, with the notification structure's multiplier, and
    /// whether the driver has read so.
    pub(super) fn place(self, config: &ConfigSpace, bar: u8) -> (u64, u32, bool) {
        const USUAL_MULTIPLIER: u32 = 4;
        let read = match (self.cfg_type(), self) {
            (Some(cfg_type), _) => {
                config.structure(cfg_type, bar).map(|place| (place.offset, place.multiplier))
            }
            (None, Part::MsixTable) => {
                config.msix_place(MsixCap::TableOffset, bar).map(|at| (at, None))
            }
            (None, Part::MsixPba) => {
                config.msix_place(MsixCap::PbaOffset, bar).map(|at| (at, None))
            }
            (None, _) => Some((0, None)),
        };
        let (offset, multiplier) = read.unwrap_or((self.usual_place(), None));
        (offset, multiplier.unwrap_or(USUAL_MULTIPLIER), read.is_some())
    }
}

/// A virtio block device, as far as its interrupts need it.
#[derive(Debug, Default)]
pub(super) struct Device {
    select: u16,
    /// The vector of each queue, `NO_VECTOR` where there is none.
    vectors: BTreeMap<u16, u16>,
    table: BTreeMap<u16, Vector>,
    pending: BTreeSet<u16>,
    /// The interrupt pin is asserted.
    asserted: bool,
}

/// An entry of the MSI-X table. It is masked until the driver says otherwise (PCI 3.0, 6.8.2.9).
#[derive(Clone, Copy, Debug)]
struct Vector {
    address: u64,
    data: u32,
    masked: bool,
}

impl Default for Vector {
    fn default() -> Self {
        Self { address: 0, data: 0, masked: true }
    }
}

impl Device {
    const NO_VECTOR: u16 = 0xffff;

    /// What the driver's access at `offset` of `part` is, and what the device does for it.
    pub(super) fn access(
        &mut self,
        function: Bdf,
        config: &ConfigSpace,
        part: Part,
        (offset, multiplier): (u64, u32),
        access: Access,
    ) -> (Event, Vec<Event>) {
        let msix = config.msix_enabled().0;
        let found = match part {
            Part::Common => common(function, offset, access),
            Part::Isr => isr(function, offset, access),
            Part::Device => block(function, offset, access),
            Part::Notify | Part::NotifyPort => notify(function, offset, multiplier, access),
            Part::Legacy => legacy(function, offset, access, msix),
            Part::MsixTable => table(function, offset, access),
            Part::MsixPba => pending_bits(function, offset, access),
        };
        match found {
            Ok(register) => {
                self.note(register, access);
                (Event::Register { register, access }, self.consequences(register, access, config))
            }
            Err((structure, why)) => {
                let offset = u32::try_from(offset).unwrap_or(u32::MAX);
                let register = Register::None { function, structure, offset };
                (Event::Refused { register, access, why }, Vec::new())
            }
        }
    }

    fn note(&mut self, register: Register, access: Access) {
        let Access::Store { value, width } = access else { return };
        let (low, word) = (value as u32, value as u16);
        match register {
            Register::Common { register: CommonCfg::QueueSelect, .. }
            | Register::Legacy { register: LegacyCfg::QueueSelect, .. } => self.select = word,
            Register::Common { register: CommonCfg::QueueMsixVector, .. }
            | Register::Legacy { register: LegacyCfg::QueueMsixVector, .. } => {
                self.vectors.insert(self.select, word);
            }
            Register::Common { register: CommonCfg::DeviceStatus, .. }
            | Register::Legacy { register: LegacyCfg::DeviceStatus, .. }
                if value == 0 =>
            {
                self.reset();
            }
            Register::MsixTable { vector, register, .. } => {
                let entry = self.table.entry(vector).or_default();
                match register {
                    MsixEntry::MessageAddressLow if width == 8 => entry.address = value,
                    MsixEntry::MessageAddressLow => {
                        entry.address = entry.address >> 32 << 32 | u64::from(low);
                    }
                    MsixEntry::MessageAddressHigh => {
                        entry.address = entry.address & 0xffff_ffff | value << 32;
                    }
                    MsixEntry::MessageData => entry.data = low,
                    MsixEntry::VectorControl => entry.masked = low & 1 != 0,
                }
            }
            _ => {}
        }
    }

    /// A reset takes the mappings away and what is pending; the MSI-X table stays.
    fn reset(&mut self) {
        self.select = 0;
        self.vectors.clear();
        self.pending.clear();
    }

    /// What the device does because of an access: the pin falls when the ISR status is loaded
    /// or the device is reset, a message that was pending is sent when its mask is lifted.
    fn consequences(
        &mut self,
        register: Register,
        access: Access,
        config: &ConfigSpace,
    ) -> Vec<Event> {
        let cleared = match register {
            Register::Isr { .. } | Register::Legacy { register: LegacyCfg::IsrStatus, .. } => {
                !access.is_store()
            }
            Register::Common { register: CommonCfg::DeviceStatus, .. }
            | Register::Legacy { register: LegacyCfg::DeviceStatus, .. } => {
                access.is_store() && access.value() == 0
            }
            Register::MsixTable { .. } => return self.deliver(config),
            _ => false,
        };
        if cleared { self.pin(config, false).into_iter().collect() } else { Vec::new() }
    }

    /// Sends what is pending and no longer masked.
    pub(super) fn deliver(&mut self, config: &ConfigSpace) -> Vec<Event> {
        let (true, false) = config.msix_enabled() else { return Vec::new() };
        let table = &self.table;
        let entry = |vector| table.get(&vector).copied().unwrap_or_default();
        let due = self.pending.iter().copied().filter(|vector| !entry(*vector).masked);
        let due: Vec<u16> = due.collect();
        self.pending.retain(|vector| !due.contains(vector));
        due.into_iter().map(|vector| message(vector, entry(vector))).collect()
    }

    /// The device interrupts for `queue`.
    pub(super) fn interrupt(&mut self, queue: u16, config: &ConfigSpace) -> Option<Event> {
        let (enabled, masked) = config.msix_enabled();
        if !enabled {
            return self.pin(config, true);
        }
        let vector = *self.vectors.get(&queue)?;
        if vector == Self::NO_VECTOR {
            return None;
        }
        let entry = self.table.get(&vector).copied().unwrap_or_default();
        if masked || entry.masked {
            self.pending.insert(vector);
            return Some(Event::MsixPending { vector });
        }
        Some(message(vector, entry))
    }

    /// The pin, where it changes: PCI says which line it is wired to only by what the firmware
    /// put into Interrupt Line.
    fn pin(&mut self, config: &ConfigSpace, asserted: bool) -> Option<Event> {
        if self.asserted == asserted || asserted && config.intx_disabled() {
            return None;
        }
        self.asserted = asserted;
        let (pin, line) = config.interrupt()?;
        let pin = *Pin::ALL.get(usize::from(pin.checked_sub(1)?))?;
        Some(Event::Intx { pin, gsi: line.into(), asserted })
    }
}

fn message(vector: u16, entry: Vector) -> Event {
    Event::Msix { vector, address: entry.address, data: entry.data }
}

/// A register, or of which structure the access is none, and why.
type Found = Result<Register, (Structure, Refusal)>;

fn common(function: Bdf, offset: u64, access: Access) -> Found {
    let register = CommonCfg::decode(offset, access.width());
    let register = register.map_err(|why| (Structure::Common, why))?;
    writable(register.writable(), Structure::Common, access)?;
    Ok(Register::Common { function, register })
}

fn isr(function: Bdf, offset: u64, access: Access) -> Found {
    let why = match (offset, access.width()) {
        (0, 1) if access.is_store() => Refusal::ReadOnly,
        (0, 1) => return Ok(Register::Isr { function }),
        (0, _) => Refusal::Width,
        _ => Refusal::NoRegister,
    };
    Err((Structure::Isr, why))
}

fn block(function: Bdf, offset: u64, access: Access) -> Found {
    let register = BlockCfg::decode(offset, access.width());
    let register = register.map_err(|why| (Structure::Block, why))?;
    writable(register.writable(), Structure::Block, access)?;
    Ok(Register::Block { function, register })
}

/// QEMU gives each queue its own number as `queue_notify_off`, so that the address alone says
/// which queue it is (VIRTIO 1.4, 4.1.4.4).
fn notify(function: Bdf, offset: u64, multiplier: u32, access: Access) -> Found {
    let refuse = |why| Err((Structure::Notify, why));
    let multiplier = u64::from(multiplier);
    let (Access::Store { width: 2 | 4, value }, Ok(queue)) =
        (access, u16::try_from(offset.checked_div(multiplier).unwrap_or(0)))
    else {
        return refuse(if access.is_store() { Refusal::Width } else { Refusal::NoRegister });
    };
    match offset.checked_rem(multiplier) {
        // With a multiplier of 0 all queues have one address.
        None => Ok(Register::Notify { function, queue: value as u16 }),
        Some(0) => Ok(Register::Notify { function, queue }),
        Some(_) => refuse(Refusal::Unaligned),
    }
}

/// The vectors are there while MSI-X is enabled (VIRTIO 1.4, 4.1.4.10).
fn legacy(function: Bdf, offset: u64, access: Access, msix: bool) -> Found {
    if let Some(inside) = offset.checked_sub(if msix { 24 } else { 20 }) {
        let inside = u16::try_from(inside);
        let offset = inside.map_err(|_| (Structure::Legacy, Refusal::NoRegister))?;
        return Ok(Register::LegacyConfig { function, offset });
    }
    let register = LegacyCfg::decode(offset, access.width());
    let register = register.map_err(|why| (Structure::Legacy, why))?;
    writable(register.writable(), Structure::Legacy, access)?;
    Ok(Register::Legacy { function, register })
}

fn table(function: Bdf, offset: u64, access: Access) -> Found {
    let refuse = |why| (Structure::MsixTable, why);
    let vector = u16::try_from(offset / 16).map_err(|_| refuse(Refusal::NoRegister))?;
    let inside = offset % 16;
    // PCI 3.0, 6.8.2: software may access two registers at once.
    let width = if access.width() == 8 && inside.is_multiple_of(8) { 4 } else { access.width() };
    let register = MsixEntry::decode(inside, width).map_err(refuse)?;
    Ok(Register::MsixTable { function, vector, register })
}

fn pending_bits(function: Bdf, offset: u64, access: Access) -> Found {
    let why = match access.width() {
        _ if access.is_store() => Refusal::ReadOnly,
        width @ (4 | 8) if !offset.is_multiple_of(width.into()) => Refusal::Unaligned,
        4 | 8 => {
            let offset = u16::try_from(offset);
            let offset = offset.map_err(|_| (Structure::MsixPba, Refusal::NoRegister))?;
            return Ok(Register::MsixPba { function, offset });
        }
        _ => Refusal::Width,
    };
    Err((Structure::MsixPba, why))
}

fn writable(
    writable: bool,
    structure: Structure,
    access: Access,
) -> Result<(), (Structure, Refusal)> {
    match access {
        Access::Store { .. } if !writable => Err((structure, Refusal::ReadOnly)),
        _ => Ok(()),
    }
}
