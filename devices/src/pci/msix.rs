use eclipse_trace::register::{CapabilityKind, MsixCap, MsixEntry, Structure};
use eclipse_trace::{Access, Bdf, Event, Refusal, Register};

use super::ConfigSpace;
use crate::Host;
use crate::platform::all_ones;

/// `VIRTIO_MSI_NO_VECTOR` (VIRTIO 1.4, 4.1.5.1.2.1).
pub(crate) const NO_VECTOR: u16 = 0xffff;

/// Message-signalled interrupts: capability, table and pending bits (PCI 3.0, 6.8.2).
#[derive(Debug)]
pub(crate) struct Msix {
    function: Bdf,
    /// Where the capability is in configuration space.
    capability: u8,
    table: Vec<Entry>,
    pending: Vec<bool>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    address: u64,
    data: u32,
    control: u32,
}

impl Msix {
    /// Bytes of a table entry.
    const ENTRY: u64 = 16;
    const CONTROL_MASK: u32 = 1;
    /// Every vector is masked at reset (PCI 3.0, 6.8.2).
    const MASKED: Entry = Entry { address: 0, data: 0, control: Self::CONTROL_MASK };
    const MESSAGE_ENABLE: u16 = 1 << 15;
    const MESSAGE_FUNCTION_MASK: u16 = 1 << 14;

    /// Adds the capability to `config`: `vectors` vectors, with the table at offset
    /// `table` and the pending bits at offset `pba` of BAR `bar`.
    pub(crate) fn new(
        config: ConfigSpace,
        function: Bdf,
        vectors: u16,
        bar: u8,
        table: u32,
        pba: u32,
    ) -> (ConfigSpace, Self) {
        let mut body = Vec::with_capacity(10);
        body.extend((vectors - 1).to_le_bytes());
        body.extend((table | u32::from(bar)).to_le_bytes());
        body.extend((pba | u32::from(bar)).to_le_bytes());
        let (config, capability) = config.with_capability(CapabilityKind::Msix, &body);
        let table = vec![Self::MASKED; vectors.into()];
        let pending = vec![false; vectors.into()];
        (config, Self { function, capability, table, pending })
    }

    /// As after RST#: every vector is masked, and nothing is pending.
    pub(crate) fn reset(&mut self) {
        self.table.fill(Self::MASKED);
        self.pending.fill(false);
    }

    /// The function is known by this address from now on.
    pub(crate) fn numbered(&mut self, function: Bdf) {
        self.function = function;
    }

    /// How many vectors there are.
    pub(crate) fn vectors(&self) -> u16 {
        self.table.len() as u16
    }

    /// Whether MSI-X is enabled.
    pub(crate) fn enabled(&self, config: &ConfigSpace) -> bool {
        self.message_control(config) & Self::MESSAGE_ENABLE != 0
    }

    /// Raises `vector`: sent now, or pending while it is masked or the function may
    /// not master the bus, which a message needs as any memory write does. Without
    /// MSI-X, and with `NO_VECTOR`, nothing happens.
    pub(crate) fn raise(&mut self, host: &mut Host<'_>, config: &ConfigSpace, vector: u16) {
        if !self.enabled(config) {
            return;
        }
        let Some(entry) = self.table.get(usize::from(vector)) else { return };
        if self.masked(config, entry) || !host.bus_master() {
            self.pending[usize::from(vector)] = true;
            host.record(Event::MsixPending { vector });
        } else {
            host.send_msix(vector, entry.address, entry.data);
        }
    }

    /// Forgets what is pending: a device that was reset has nothing to say (VIRTIO 1.4, 2.4.1).
    pub(crate) fn forget(&mut self) {
        self.pending.fill(false);
    }

    /// Sends what became deliverable, after a mask may have been lifted.
    pub(crate) fn deliver(&mut self, host: &mut Host<'_>, config: &ConfigSpace) {
        if !host.bus_master() {
            return;
        }
        for vector in 0..self.vectors() {
            let index = usize::from(vector);
            if self.pending[index]
                && self.enabled(config)
                && !self.masked(config, &self.table[index])
            {
                self.pending[index] = false;
                host.send_msix(vector, self.table[index].address, self.table[index].data);
            }
        }
    }

    /// Answers a load at `offset` of the table.
    pub(crate) fn load_table(&mut self, host: &mut Host<'_>, offset: u64, width: u8) -> u64 {
        match self.decode(offset, width) {
            Ok((vector, register)) => {
                let entry = &self.table[usize::from(vector)];
                let value = match register {
                    MsixEntry::MessageAddressLow if width == 8 => entry.address,
                    MsixEntry::MessageAddressLow => entry.address & 0xffff_ffff,
                    MsixEntry::MessageAddressHigh => entry.address >> 32,
                    MsixEntry::MessageData if width == 8 => {
                        u64::from(entry.control) << 32 | u64::from(entry.data)
                    }
                    MsixEntry::MessageData => entry.data.into(),
                    MsixEntry::VectorControl => entry.control.into(),
                };
                let access = Access::Load { width, value };
                host.accessed(self.register(vector, register), access);
                value
            }
            Err(why) => {
                let access = Access::Load { width, value: all_ones(width) };
                host.refused(self.none(Structure::MsixTable, offset), access, why);
                access.value()
            }
        }
    }

    /// Carries out a store at `offset` of the table.
    pub(crate) fn store_table(
        &mut self,
        host: &mut Host<'_>,
        config: &ConfigSpace,
        offset: u64,
        width: u8,
        value: u64,
    ) {
        let access = Access::Store { width, value };
        let (vector, register) = match self.decode(offset, width) {
            Ok(place) => place,
            Err(why) => return host.refused(self.none(Structure::MsixTable, offset), access, why),
        };
        let Some(value) = host.accessed(self.register(vector, register), access) else { return };
        let entry = &mut self.table[usize::from(vector)];
        let low = value as u32;
        match register {
            // The low two bits are read-only zero (PCI 3.0, 6.8.2).
            MsixEntry::MessageAddressLow if width == 8 => entry.address = value & !3,
            MsixEntry::MessageAddressLow => {
                entry.address = entry.address >> 32 << 32 | u64::from(low & !3);
            }
            MsixEntry::MessageAddressHigh => {
                entry.address = entry.address & 0xffff_ffff | u64::from(low) << 32;
            }
            MsixEntry::MessageData => {
                entry.data = low;
                if width == 8 {
                    entry.control = (value >> 32) as u32 & Self::CONTROL_MASK;
                }
            }
            MsixEntry::VectorControl => entry.control = low & Self::CONTROL_MASK,
        }
        self.deliver(host, config);
    }

    /// Answers a load of pending bits.
    pub(crate) fn load_pending(&mut self, host: &mut Host<'_>, offset: u64, width: u8) -> u64 {
        let length = 8 * self.pending.len().div_ceil(64) as u64;
        let refusal = match width {
            _ if offset.saturating_add(width.into()) > length => Some(Refusal::NoRegister),
            4 | 8 if offset.is_multiple_of(width.into()) => None,
            4 | 8 => Some(Refusal::Unaligned),
            _ => Some(Refusal::Width),
        };
        if let Some(why) = refusal {
            let access = Access::Load { width, value: all_ones(width) };
            host.refused(self.none(Structure::MsixPba, offset), access, why);
            return access.value();
        }
        let bits = self.pending.iter().skip(8 * offset as usize).take(8 * usize::from(width));
        let value = bits.rev().fold(0, |value, &bit| value << 1 | u64::from(bit));
        let register = Register::MsixPba { function: self.function, offset: offset as u16 };
        host.accessed(register, Access::Load { width, value });
        value
    }

    /// Refuses a store to the pending bits, which software never writes (PCI 3.0, 6.8.2).
    pub(crate) fn store_pending(
        &mut self,
        host: &mut Host<'_>,
        offset: u64,
        width: u8,
        value: u64,
    ) {
        let access = Access::Store { width, value };
        host.refused(self.none(Structure::MsixPba, offset), access, Refusal::ReadOnly);
    }

    /// The entry and register that an aligned access of 4 or 8 bytes begins at;
    /// those are the two widths that software may use (PCI 3.0, 6.8.2).
    fn decode(&self, offset: u64, width: u8) -> Result<(u16, MsixEntry), Refusal> {
        let vector = u16::try_from(offset / Self::ENTRY).map_err(|_| Refusal::NoRegister)?;
        if vector >= self.vectors() {
            return Err(Refusal::NoRegister);
        }
        let inside = offset % Self::ENTRY;
        if width == 8 && inside.is_multiple_of(8) {
            return Ok((vector, MsixEntry::decode(inside, 4)?));
        }
        Ok((vector, MsixEntry::decode(inside, width)?))
    }

    fn message_control(&self, config: &ConfigSpace) -> u16 {
        config.u16_at(self.capability + MsixCap::MessageControl.offset() as u8)
    }

    fn masked(&self, config: &ConfigSpace, entry: &Entry) -> bool {
        let function_mask = self.message_control(config) & Self::MESSAGE_FUNCTION_MASK != 0;
        function_mask || entry.control & Self::CONTROL_MASK != 0
    }

    fn register(&self, vector: u16, register: MsixEntry) -> Register {
        Register::MsixTable { function: self.function, vector, register }
    }

    fn none(&self, structure: Structure, offset: u64) -> Register {
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        Register::None { function: self.function, structure, offset }
    }
}
