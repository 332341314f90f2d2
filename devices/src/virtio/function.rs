use eclipse_trace::register::{BlockCfg, CapabilityKind, CommonCfg, Structure};
use eclipse_trace::{Access, Bdf, Refusal, Register, Violation};

use super::blk::Blk;
use super::device::{Notification, VirtioDevice};
use super::modern::Common;
use super::status::Isr;
use crate::Host;
use crate::pci::{BarKind, ConfigSpace, Function, Identity, Msix};
use crate::platform::all_ones;

/// A virtio block device as a PCI function (VIRTIO 1.4, 4.1).
///
/// BAR 0 holds the MSI-X table and pending bits, BAR 4 the four virtio
/// structures, a page each.
pub(crate) struct VirtioFunction {
    function: Bdf,
    config: ConfigSpace,
    msix: Msix,
    common: Common,
    device: VirtioDevice,
}

/// What lies at an offset of BAR 4.
enum Place {
    Common(CommonCfg),
    /// The doorbell of a queue.
    Notify(u16),
    Isr,
    Block(BlockCfg, u32),
    None(Structure, Refusal),
}

impl VirtioFunction {
    const VENDOR: u16 = 0x1af4;
    /// Added to the virtio device ID (VIRTIO 1.4, 4.1.2).
    const MODERN_DEVICE: u16 = 0x1040;
    const MSIX_BAR: u8 = 0;
    const MSIX_BAR_ADDRESS: u64 = 0xfebc_1000;
    const MSIX_TABLE: u32 = 0;
    const MSIX_PBA: u32 = 0x800;
    /// One for configuration changes and one for the queue.
    const MSIX_VECTORS: u16 = 2;
    const VIRTIO_BAR: u8 = 4;
    const VIRTIO_BAR_ADDRESS: u64 = 0xfe00_0000;
    const VIRTIO_BAR_SIZE: u64 = 0x4000;
    /// Length of each structure's part of the BAR.
    const PART: u64 = 0x1000;
    const NOTIFY_OFF_MULTIPLIER: u32 = 4;

    pub(crate) fn new(function: Bdf, blk: Blk) -> Self {
        let config = ConfigSpace::new(Identity {
            vendor: Self::VENDOR,
            device: Self::MODERN_DEVICE + Blk::DEVICE_ID,
            // 4.1.2.1: a non-transitional device has revision 1 or higher and a
            // subsystem ID of 0x40 or higher.
            revision: 1,
            class: Blk::CLASS,
            subsystem_vendor: Self::VENDOR,
            subsystem: 0x1100,
        })
        .with_bar(Self::MSIX_BAR, BarKind::Memory32, 0x1000, Self::MSIX_BAR_ADDRESS)
        .with_bar(
            Self::VIRTIO_BAR,
            BarKind::Memory64,
            Self::VIRTIO_BAR_SIZE,
            Self::VIRTIO_BAR_ADDRESS,
        );
        let (config, msix) = Msix::new(
            config,
            function,
            Self::MSIX_VECTORS,
            Self::MSIX_BAR,
            Self::MSIX_TABLE,
            Self::MSIX_PBA,
        );
        let config =
            [(1, 0, None), (3, 1, None), (4, 2, None), (2, 3, Some(Self::NOTIFY_OFF_MULTIPLIER))]
                .into_iter()
                .fold(config, |config, (cfg_type, part, extra)| {
                    let body = Self::capability_body(cfg_type, part, extra);
                    config.with_capability(CapabilityKind::Virtio(cfg_type), &body).0
                });
        let device = VirtioDevice::new(blk, 1, Blk::QUEUE_SIZE, msix.vectors());
        Self { function, config, msix, common: Common::default(), device }
    }

    /// `struct virtio_pci_cap` behind its ID and next pointer (VIRTIO 1.4, 4.1.4).
    fn capability_body(cfg_type: u8, part: u32, extra: Option<u32>) -> Vec<u8> {
        let cap_len = if extra.is_some() { 20 } else { 16 };
        let mut body = vec![cap_len, cfg_type, Self::VIRTIO_BAR, 0, 0, 0];
        body.extend((part * Self::PART as u32).to_le_bytes());
        body.extend((Self::PART as u32).to_le_bytes());
        body.extend(extra.into_iter().flat_map(u32::to_le_bytes));
        body
    }

    fn place(&self, offset: u64, width: u8) -> Place {
        let inside = offset % Self::PART;
        match offset / Self::PART {
            0 => match decode_half(inside, width) {
                Ok(register) => Place::Common(register),
                Err(why) => Place::None(Structure::Common, why),
            },
            1 if inside == 0 && width == 1 => Place::Isr,
            1 if inside == 0 => Place::None(Structure::Isr, Refusal::Width),
            1 => Place::None(Structure::Isr, Refusal::NoRegister),
            2 => match BlockCfg::decode(inside, width) {
                Ok(register) => match self.device.blk().config(register) {
                    Some(value) => Place::Block(register, value),
                    // The field does not exist without its feature (5.2.4).
                    None => Place::None(Structure::Block, Refusal::NoRegister),
                },
                Err(why) => Place::None(Structure::Block, why),
            },
            3 => self.doorbell(inside, width),
            _ => Place::None(Structure::Bar(Self::VIRTIO_BAR), Refusal::NoRegister),
        }
    }

    /// The queue whose notification address is at `inside` (4.1.4.4: its
    /// `queue_notify_off`, which here is its index, times the multiplier).
    fn doorbell(&self, inside: u64, width: u8) -> Place {
        let multiplier = u64::from(Self::NOTIFY_OFF_MULTIPLIER);
        let queue = (inside / multiplier) as u16;
        let refuse = |why| Place::None(Structure::Notify, why);
        match queue {
            _ if queue >= self.device.num_queues() => refuse(Refusal::NoRegister),
            _ if !inside.is_multiple_of(multiplier) => refuse(Refusal::Unaligned),
            // 4.1.5.2.1: without NOTIFICATION_DATA it is a 16-bit write.
            _ if width != 2 => refuse(Refusal::Width),
            queue => Place::Notify(queue),
        }
    }

    fn store_common(&mut self, host: &mut Host<'_>, register: CommonCfg, width: u8, value: u64) {
        let halves = [Some(register), (width == 8).then(|| next_half(register)).flatten()];
        for (register, value) in halves.into_iter().flatten().zip([value, value >> 32]) {
            if let Err(violation) = self.common.store(&mut self.device, register, value as u32) {
                // The other half would only break the same rule again.
                return host.violation(violation);
            }
        }
        if register == CommonCfg::DeviceStatus && value == 0 {
            self.msix.forget();
        }
    }

    fn load_common(&self, register: CommonCfg, width: u8) -> u64 {
        let low = u64::from(self.common.load(&self.device, register));
        match next_half(register).filter(|_| width == 8) {
            Some(high) => u64::from(self.common.load(&self.device, high)) << 32 | low,
            None => low,
        }
    }

    /// The driver rang `queue`'s doorbell with `value`.
    fn notify(&mut self, host: &mut Host<'_>, queue: u16, value: u16) {
        if value != queue {
            host.violation(Violation::NotifyValue { queue, value });
        }
        for notification in self.device.notify(host, queue) {
            self.interrupt(host, notification);
        }
    }

    fn interrupt(&mut self, host: &mut Host<'_>, notification: Notification) {
        let Notification { cause, vector } = notification;
        // 4.1.4.5.1: a configuration change shows in the ISR status even with MSI-X.
        if cause == Isr::CONFIG || !self.msix.enabled(&self.config) {
            self.device.raise_isr(cause);
        }
        self.msix.raise(host, &self.config, vector);
    }

    fn none(&self, structure: Structure, offset: u64) -> Register {
        let start = match structure {
            Structure::Bar(_) => offset,
            _ => offset % Self::PART,
        };
        let offset = u32::try_from(start).unwrap_or(u32::MAX);
        Register::None { function: self.function, structure, offset }
    }

    fn refuse(
        &self,
        host: &mut Host<'_>,
        structure: Structure,
        offset: u64,
        access: Access,
        why: Refusal,
    ) {
        host.refused(self.none(structure, offset), access, why);
    }
}

impl Function for VirtioFunction {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }

    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.config
    }

    fn config_stored(&mut self, host: &mut Host<'_>) {
        self.msix.deliver(host, &self.config);
    }

    fn load(&mut self, host: &mut Host<'_>, bar: u8, offset: u64, width: u8) -> u64 {
        let function = self.function;
        if bar == Self::MSIX_BAR {
            return match offset.checked_sub(Self::MSIX_PBA.into()) {
                Some(offset) => self.msix.load_pending(host, offset, width),
                None => self.msix.load_table(host, offset, width),
            };
        }
        let (register, value) = match self.place(offset, width) {
            Place::Common(register) => {
                (Register::Common { function, register }, self.load_common(register, width))
            }
            Place::Isr => (Register::Isr { function }, self.device.take_isr().into()),
            Place::Block(register, value) => (Register::Block { function, register }, value.into()),
            Place::Notify(_) => {
                // A doorbell has nothing to load (4.1.4.4).
                let access = Access::Load { width, value: all_ones(width) };
                self.refuse(host, Structure::Notify, offset, access, Refusal::NoRegister);
                return access.value();
            }
            Place::None(structure, why) => {
                let access = Access::Load { width, value: all_ones(width) };
                self.refuse(host, structure, offset, access, why);
                return access.value();
            }
        };
        host.accessed(register, Access::Load { width, value });
        value
    }

    fn store(&mut self, host: &mut Host<'_>, bar: u8, offset: u64, width: u8, value: u64) {
        let function = self.function;
        if bar == Self::MSIX_BAR {
            return match offset.checked_sub(Self::MSIX_PBA.into()) {
                Some(offset) => self.msix.store_pending(host, offset, width, value),
                None => self.msix.store_table(host, &self.config, offset, width, value),
            };
        }
        let access = Access::Store { width, value };
        match self.place(offset, width) {
            Place::Common(register) if register.writable() => {
                host.accessed(Register::Common { function, register }, access);
                self.store_common(host, register, width, value);
            }
            Place::Notify(queue) => {
                host.accessed(Register::Notify { function, queue }, access);
                self.notify(host, queue, value as u16);
            }
            Place::Common(_) => {
                self.refuse(host, Structure::Common, offset, access, Refusal::ReadOnly);
            }
            Place::Isr => self.refuse(host, Structure::Isr, offset, access, Refusal::ReadOnly),
            Place::Block(..) => {
                self.refuse(host, Structure::Block, offset, access, Refusal::ReadOnly);
            }
            Place::None(structure, why) => self.refuse(host, structure, offset, access, why),
        }
    }
}

/// The register of the common configuration that an access matches.
///
/// An 8-byte access to a 64-bit field matches its low half: it is carried out as
/// two halves and recorded as what it is, so that drivers in the field still run
/// although 4.1.3.1 forbids it.
fn decode_half(offset: u64, width: u8) -> Result<CommonCfg, Refusal> {
    match CommonCfg::decode(offset, width) {
        Err(Refusal::Width) if width == 8 => {
            let register = CommonCfg::decode(offset, 4)?;
            next_half(register).map(|_| register).ok_or(Refusal::Width)
        }
        decoded => decoded,
    }
}

/// The high half of the 64-bit field that `register` is the low half of.
fn next_half(register: CommonCfg) -> Option<CommonCfg> {
    match register {
        CommonCfg::QueueDescLow => Some(CommonCfg::QueueDescHigh),
        CommonCfg::QueueDriverLow => Some(CommonCfg::QueueDriverHigh),
        CommonCfg::QueueDeviceLow => Some(CommonCfg::QueueDeviceHigh),
        _ => None,
    }
}
