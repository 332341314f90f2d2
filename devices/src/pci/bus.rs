use eclipse_trace::register::Mechanism;
use eclipse_trace::{Access, Bdf, Refusal, Register, Space};

use super::Function;
use crate::Host;
use crate::platform::all_ones;

/// PCI bus 0: its functions, and the two ports that reach their configuration space.
pub(crate) struct PciBus {
    functions: Vec<(Bdf, Box<dyn Function>)>,
    /// CONFIG_ADDRESS (PCI 3.0, 3.2.2.3.2).
    config_address: u32,
}

/// What a port access means to the bus.
enum ConfigPort {
    Address,
    /// `width` bytes at `offset` of `function`.
    Data {
        function: Bdf,
        offset: u8,
    },
    /// CONFIG_DATA while CONFIG_ADDRESS is not enabled.
    Disabled,
    /// CONFIG_DATA, across its end.
    Unaligned {
        function: Bdf,
        offset: u8,
    },
}

impl PciBus {
    const CONFIG_ADDRESS: u64 = 0xcf8;
    const CONFIG_DATA: u64 = 0xcfc;
    const CONFIG_ADDRESS_ENABLE: u32 = 1 << 31;
    /// Reserved bits and bits 1:0 are read-only zero.
    const CONFIG_ADDRESS_WRITABLE: u32 = 0x80ff_fffc;

    pub(crate) fn new(functions: Vec<(Bdf, Box<dyn Function>)>) -> Self {
        Self { functions, config_address: 0 }
    }

    /// Answers a load, or `None` where nothing on this bus claims it.
    pub(crate) fn load(
        &mut self,
        host: &mut Host<'_>,
        space: Space,
        address: u64,
        width: u8,
    ) -> Option<u64> {
        match space {
            Space::Port => match self.config_port(address, width)? {
                ConfigPort::Address => {
                    let value = self.config_address.into();
                    host.accessed(Register::ConfigAddress, Access::Load { width, value });
                    Some(value)
                }
                ConfigPort::Data { function, offset } => {
                    // PCI 3.0, 6.1: what no function answers reads as all ones.
                    let value = self
                        .function(function)
                        .map_or(all_ones(width), |f| f.config().load(offset, width).into());
                    let register = self.config_register(function, offset);
                    host.accessed(register, Access::Load { width, value });
                    Some(value)
                }
                ConfigPort::Disabled => None,
                ConfigPort::Unaligned { function, offset } => {
                    let access = Access::Load { width, value: all_ones(width) };
                    let register = self.config_register(function, offset);
                    host.refused(register, access, Refusal::Unaligned);
                    Some(access.value())
                }
            },
            Space::Memory => {
                let (bdf, function, bar, offset) = self.claim_memory(address, width)?;
                let mut host = host.lend(bdf, function.config().bus_master());
                Some(function.load(&mut host, bar, offset, width))
            }
        }
    }

    /// Carries out a store, or returns `None` where nothing on this bus claims it.
    pub(crate) fn store(
        &mut self,
        host: &mut Host<'_>,
        space: Space,
        address: u64,
        width: u8,
        value: u64,
    ) -> Option<()> {
        let access = Access::Store { width, value };
        match space {
            Space::Port => match self.config_port(address, width)? {
                ConfigPort::Address => {
                    self.config_address = value as u32 & Self::CONFIG_ADDRESS_WRITABLE;
                    host.accessed(Register::ConfigAddress, access);
                }
                ConfigPort::Data { function: bdf, offset } => {
                    host.accessed(self.config_register(bdf, offset), access);
                    if let Some(function) = self.function(bdf) {
                        function.config_mut().store(offset, width, value as u32);
                        let bus_master = function.config().bus_master();
                        function.config_stored(&mut host.lend(bdf, bus_master));
                    }
                }
                ConfigPort::Disabled => return None,
                ConfigPort::Unaligned { function, offset } => {
                    let register = self.config_register(function, offset);
                    host.refused(register, access, Refusal::Unaligned);
                }
            },
            Space::Memory => {
                let (bdf, function, bar, offset) = self.claim_memory(address, width)?;
                let mut host = host.lend(bdf, function.config().bus_master());
                function.store(&mut host, bar, offset, width, value);
            }
        }
        Some(())
    }

    fn config_port(&self, port: u64, width: u8) -> Option<ConfigPort> {
        // CONFIG_ADDRESS is a doubleword; other widths there are ordinary I/O.
        if port == Self::CONFIG_ADDRESS && width == 4 {
            return Some(ConfigPort::Address);
        }
        let lane = port.checked_sub(Self::CONFIG_DATA).filter(|lane| *lane < 4)?;
        if self.config_address & Self::CONFIG_ADDRESS_ENABLE == 0 {
            return Some(ConfigPort::Disabled);
        }
        let [low, devfn, bus, _] = self.config_address.to_le_bytes();
        let function = Bdf::from_devfn(bus, devfn);
        let offset = low + lane as u8;
        Some(match lane + u64::from(width) <= 4 {
            true => ConfigPort::Data { function, offset },
            false => ConfigPort::Unaligned { function, offset },
        })
    }

    fn function(&mut self, bdf: Bdf) -> Option<&mut Box<dyn Function>> {
        self.functions.iter_mut().find(|(at, _)| *at == bdf).map(|(_, function)| function)
    }

    fn config_register(&mut self, function: Bdf, offset: u8) -> Register {
        let offset = u16::from(offset);
        let capability = self.function(function).and_then(|f| f.config().capability_at(offset));
        Register::Config { function, mechanism: Mechanism::Cam, offset, capability }
    }

    fn claim_memory(
        &mut self,
        address: u64,
        width: u8,
    ) -> Option<(Bdf, &mut Box<dyn Function>, u8, u64)> {
        self.functions.iter_mut().find_map(|(bdf, function)| {
            let (bar, offset) = function.config().claims_memory(address, width)?;
            Some((*bdf, function, bar, offset))
        })
    }
}
