use eclipse_trace::Violation;
use eclipse_trace::register::{BlockCfg, LegacyCfg};

use super::device::VirtioDevice;
use crate::pci::NO_VECTOR;

/// The legacy interface, a register file in I/O ports over the device (VIRTIO 1.4, 4.1.4.10).
///
/// It has the first 32 feature bits, queues of a fixed size in one block of memory,
/// and no FEATURES_OK.
#[derive(Debug, Default)]
pub(crate) struct Legacy {
    queue_select: u16,
}

/// What lies at an offset of the ports.
pub(crate) enum LegacyPlace {
    Register(LegacyCfg),
    /// The device's configuration, this many bytes from its start.
    Config(u16),
}

impl Legacy {
    /// Where the device's configuration begins (4.1.4.10): behind the two vectors,
    /// which are there while MSI-X is enabled.
    fn config_start(msix: bool) -> u64 {
        if msix { 24 } else { 20 }
    }

    /// What an access of `width` bytes at `offset` matches.
    ///
    /// # Errors
    /// It is not exactly a register. The configuration takes any width.
    pub(crate) fn decode(
        offset: u64,
        width: u8,
        msix: bool,
    ) -> Result<LegacyPlace, eclipse_trace::Refusal> {
        match offset.checked_sub(Self::config_start(msix)) {
            Some(inside) => Ok(LegacyPlace::Config(inside as u16)),
            None => LegacyCfg::decode(offset, width).map(LegacyPlace::Register),
        }
    }

    /// The value of a register.
    pub(crate) fn load(&self, device: &mut VirtioDevice, register: LegacyCfg) -> u32 {
        let queue = device.queue(self.queue_select);
        match register {
            LegacyCfg::DeviceFeatures => device.offered().window(0),
            LegacyCfg::DriverFeatures => device.accepted().window(0),
            LegacyCfg::QueueAddress => queue.map_or(0, |q| (q.desc >> 12) as u32),
            LegacyCfg::QueueSize => queue.map_or(0, |q| q.size).into(),
            LegacyCfg::QueueSelect => self.queue_select.into(),
            // It is for storing.
            LegacyCfg::QueueNotify => 0,
            LegacyCfg::DeviceStatus => device.load_status().bits().into(),
            LegacyCfg::IsrStatus => device.take_isr().into(),
            LegacyCfg::ConfigMsixVector => device.config_vector().into(),
            LegacyCfg::QueueMsixVector => queue.map_or(NO_VECTOR, |q| q.vector).into(),
        }
    }

    /// Stores to a writable register; the doorbell is not for here.
    ///
    /// # Errors
    /// The rule that the store breaks.
    pub(crate) fn store(
        &mut self,
        device: &mut VirtioDevice,
        register: LegacyCfg,
        value: u32,
    ) -> Result<(), Violation> {
        let queue = self.queue_select;
        match register {
            LegacyCfg::DriverFeatures => {
                let accepted = device.accept(0, value);
                device.negotiate();
                accepted
            }
            LegacyCfg::QueueAddress => device.place_legacy_queue(queue, value),
            LegacyCfg::QueueSelect => {
                self.queue_select = value as u16;
                Ok(())
            }
            LegacyCfg::DeviceStatus => {
                if value == 0 {
                    *self = Self::default();
                }
                let stored = device.store_status(value as u8, true);
                // A driver that accepts nothing does not say so.
                if value != 0 {
                    device.negotiate();
                }
                stored
            }
            LegacyCfg::ConfigMsixVector => device.map_config_vector(value as u16),
            LegacyCfg::QueueMsixVector => device.map_queue_vector(queue, value as u16),
            LegacyCfg::QueueNotify
            | LegacyCfg::DeviceFeatures
            | LegacyCfg::QueueSize
            | LegacyCfg::IsrStatus => panic!("a register that takes no store is refused before"),
        }
    }

    /// `width` bytes of the device's configuration; what does not exist reads as 0.
    pub(crate) fn load_config(device: &VirtioDevice, offset: u16, width: u8) -> u64 {
        let byte = |at: u16| {
            let register = BlockCfg::containing(at.into())?;
            let value = device.blk().config(register)?;
            Some(value.to_le_bytes()[usize::from(at - register.offset())])
        };
        let bytes = (0..u16::from(width)).rev().map(|i| byte(offset.saturating_add(i)));
        bytes.fold(0, |value, byte| value << 8 | u64::from(byte.unwrap_or(0)))
    }

    /// The register of the device's configuration that a store there stores to, which can
    /// only be `writeback`.
    pub(crate) fn config_register(
        device: &VirtioDevice,
        offset: u16,
        width: u8,
    ) -> Option<BlockCfg> {
        let register = BlockCfg::decode(offset.into(), width).ok()?;
        device.blk().config(register).filter(|_| register.writable())?;
        Some(register)
    }
}
