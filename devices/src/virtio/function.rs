mod window;
mod witness;

use std::io;

use eclipse_trace::register::{CommonCfg, LegacyCfg, Structure};
use eclipse_trace::{Access, Bdf, Refusal, Register, Violation};

use super::blk::Blk;
use super::device::{Notification, VirtioDevice};
use super::layout::{Addresses, Layout, Parts};
use super::legacy::{Legacy, LegacyPlace};
use super::modern::Common;
use super::place::{Place, What, high_half};
use super::queue::{Progress, QueueAreas};
use super::settings::VirtioConfig;
use super::status::Isr;
use crate::Host;
use crate::fault::Command;
use crate::pci::{ConfigSpace, Function, Msix};
use crate::platform::all_ones;
use crate::schedule::{Completion, Occasion};

/// A virtio block device as a PCI function (VIRTIO 1.4, 4.1).
pub(crate) struct VirtioFunction {
    function: Bdf,
    layout: Layout,
    config: ConfigSpace,
    msix: Option<Msix>,
    /// Where the capability of the window into the BARs is.
    window: Option<u8>,
    common: Common,
    legacy: Legacy,
    device: VirtioDevice,
}

impl VirtioFunction {
    pub(crate) fn new(function: Bdf, at: Addresses, blk: Blk, virtio: VirtioConfig) -> Self {
        let layout = Layout::of(&virtio, blk.queues());
        let Parts { config, msix, window } = layout.build(function, &virtio, at);
        let (common, legacy) = (Common::default(), Legacy::default());
        let device = VirtioDevice::new(blk, virtio);
        Self { function, layout, config, msix, window, common, legacy, device }
    }

    fn store_common(&mut self, host: &mut Host<'_>, register: CommonCfg, width: u8, value: u64) {
        let before = self.enabled(host);
        let halves = [Some(register), (width == 8).then(|| high_half(register)).flatten()];
        for (register, value) in halves.into_iter().flatten().zip([value, value >> 32]) {
            if let Err(violation) = self.common.store(&mut self.device, register, value as u32) {
                // The other half would only break the same rule again.
                return host.violation(violation);
            }
        }
        if register == CommonCfg::DeviceStatus && value == 0 {
            self.forget_pending();
        }
        self.witness_enabled(host, &before);
    }

    fn load_common(&mut self, register: CommonCfg, width: u8) -> u64 {
        let low = u64::from(self.common.load(&mut self.device, register));
        match high_half(register).filter(|_| width == 8) {
            Some(high) => u64::from(self.common.load(&mut self.device, high)) << 32 | low,
            None => low,
        }
    }

    fn forget_pending(&mut self) {
        if let Some(msix) = &mut self.msix {
            msix.forget();
        }
    }

    /// The driver rang the doorbell of `queue`, or the one that is all queues', with `value`.
    fn notify(&mut self, host: &mut Host<'_>, queue: Option<u16>, value: u64) {
        // With NOTIFICATION_DATA the upper half says how far the driver has come (4.1.5.2.1).
        let named = value as u16;
        let queue = queue.unwrap_or(named);
        if named != queue {
            host.violation(Violation::NotifyValue { queue, value: named });
        }
        for notification in self.device.notify(host, queue) {
            self.interrupt(host, notification);
        }
        self.device.check_notification_data(host, queue, (value >> 16) as u16);
        self.resume(host, Occasion::Doorbell);
    }

    fn interrupt(&mut self, host: &mut Host<'_>, notification: Notification) {
        let Notification { source, vector } = notification;
        let cause = notification.cause();
        if !host.sends(source, vector) {
            return;
        }
        // 4.1.4.5.1: a configuration change shows in the ISR status even with MSI-X.
        if cause == Isr::CONFIG || !self.msix_enabled() {
            self.device.raise_isr(cause);
        }
        if let Some(msix) = &mut self.msix {
            msix.raise(host, &self.config, vector);
        }
    }

    fn msix_enabled(&self) -> bool {
        self.msix.as_ref().is_some_and(|msix| msix.enabled(&self.config))
    }

    fn load_structures(&mut self, host: &mut Host<'_>, offset: u64, width: u8) -> u64 {
        let function = self.function;
        let Place { what, forgiven } = Place::of(&self.device, &self.layout, offset, width);
        let (register, value) = match what {
            What::Common(register) => {
                (Register::Common { function, register }, self.load_common(register, width))
            }
            What::Isr => (Register::Isr { function }, self.device.take_isr().into()),
            What::Block(register, value) => (Register::Block { function, register }, value.into()),
            // A doorbell has nothing to load (4.1.4.4).
            What::Notify(_) => {
                let inside = offset - self.layout.notify.0;
                return self.refuse_load(
                    host,
                    Structure::Notify,
                    inside,
                    width,
                    Refusal::NoRegister,
                );
            }
            What::None(Structure::Notify, inside, _) => {
                let why = Refusal::NoRegister;
                return self.refuse_load(host, Structure::Notify, inside, width, why);
            }
            What::None(structure, inside, why) => {
                return self.refuse_load(host, structure, inside, width, why);
            }
        };
        let value = value & all_ones(width);
        host.accessed(register, Access::Load { width, value });
        if let Some(violation) = forgiven {
            host.violation(violation);
        }
        if let Register::Block { register, .. } = register
            && let Err(violation) = self.device.blk().check_load(register)
        {
            host.violation(violation);
        }
        value
    }

    fn store_structures(&mut self, host: &mut Host<'_>, offset: u64, width: u8, value: u64) {
        let function = self.function;
        let access = Access::Store { width, value };
        let Place { what, forgiven } = Place::of(&self.device, &self.layout, offset, width);
        let inside = offset % Layout::PART;
        let read_only = |structure| (structure, inside, Refusal::ReadOnly);
        let register = match what {
            What::Common(register) if register.writable() => {
                Ok(Register::Common { function, register })
            }
            What::Common(_) => Err(read_only(Structure::Common)),
            What::Isr => Err(read_only(Structure::Isr)),
            What::Block(register, _) if register.writable() => {
                Ok(Register::Block { function, register })
            }
            What::Block(..) => Err(read_only(Structure::Block)),
            What::Notify(queue) => {
                Ok(Register::Notify { function, queue: queue.unwrap_or(value as u16) })
            }
            What::None(structure, inside, why) => Err((structure, inside, why)),
        };
        let value = match register {
            Ok(register) => match host.accessed(register, access) {
                Some(value) => value,
                None => return,
            },
            Err((structure, inside, why)) => {
                return host.refused(self.none(structure, inside), access, why);
            }
        };
        if let Some(violation) = forgiven {
            host.violation(violation);
        }
        match what {
            What::Common(register) => self.store_common(host, register, width, value),
            What::Notify(queue) => self.notify(host, queue, value),
            What::Block(register, _) => {
                if let Err(violation) = self.device.store_blk(register, value as u32) {
                    host.violation(violation);
                }
            }
            What::Isr | What::None(..) => {}
        }
        self.device.record_forgiven(host);
    }

    fn load_legacy(&mut self, host: &mut Host<'_>, offset: u64, width: u8) -> u64 {
        let function = self.function;
        let (register, value) = match Legacy::decode(offset, width, self.msix_enabled()) {
            Ok(LegacyPlace::Register(register)) => {
                let value = self.legacy.load(&mut self.device, register);
                (Register::Legacy { function, register }, value.into())
            }
            Ok(LegacyPlace::Config(offset)) => {
                let value = Legacy::load_config(&self.device, offset, width);
                (Register::LegacyConfig { function, offset }, value)
            }
            Err(why) => return self.refuse_load(host, Structure::Legacy, offset, width, why),
        };
        host.accessed(register, Access::Load { width, value });
        value
    }

    fn store_legacy(&mut self, host: &mut Host<'_>, offset: u64, width: u8, value: u64) {
        let function = self.function;
        let access = Access::Store { width, value };
        let refused = match Legacy::decode(offset, width, self.msix_enabled()) {
            Ok(LegacyPlace::Register(register)) if register.writable() => {
                let stored = host.accessed(Register::Legacy { function, register }, access);
                let Some(value) = stored else { return };
                let before = self.enabled(host);
                if register == LegacyCfg::QueueNotify {
                    self.notify(host, None, value);
                } else if let Err(violation) =
                    self.legacy.store(&mut self.device, register, value as u32)
                {
                    host.violation(violation);
                }
                if register == LegacyCfg::DeviceStatus && value == 0 {
                    self.forget_pending();
                }
                self.device.record_forgiven(host);
                self.witness_enabled(host, &before);
                return;
            }
            Ok(LegacyPlace::Register(_)) => Refusal::ReadOnly,
            Ok(LegacyPlace::Config(at)) => match Legacy::config_register(&self.device, at, width) {
                Some(register) => {
                    let accessed = Register::LegacyConfig { function, offset: at };
                    let Some(value) = host.accessed(accessed, access) else { return };
                    if let Err(violation) = self.device.store_blk(register, value as u32) {
                        host.violation(violation);
                    }
                    return;
                }
                None => Refusal::ReadOnly,
            },
            Err(why) => why,
        };
        host.refused(self.none(Structure::Legacy, offset), access, refused);
    }

    fn none(&self, structure: Structure, inside: u64) -> Register {
        let offset = u32::try_from(inside).unwrap_or(u32::MAX);
        Register::None { function: self.function, structure, offset }
    }

    fn refuse_load(
        &self,
        host: &mut Host<'_>,
        structure: Structure,
        inside: u64,
        width: u8,
        why: Refusal,
    ) -> u64 {
        let access = Access::Load { width, value: all_ones(width) };
        host.refused(self.none(structure, inside), access, why);
        access.value()
    }
}

impl Function for VirtioFunction {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }

    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.config
    }

    fn config_loading(&mut self, host: &mut Host<'_>, offset: u8, _width: u8) {
        if let Some(at) = self.window_data(offset)
            && let Some((bar, from, len)) = self.window_target(host, at)
        {
            let value = self.load(host, bar, from, len);
            self.config.store(offset, len, value as u32);
        }
    }

    fn config_stored(&mut self, host: &mut Host<'_>, offset: u8, _width: u8) {
        if let Some(at) = self.window_data(offset)
            && let Some((bar, to, len)) = self.window_target(host, at)
        {
            let value = self.config.load(offset, len);
            self.store(host, bar, to, len, value.into());
        }
        if let Some(msix) = &mut self.msix {
            msix.deliver(host, &self.config);
        }
    }

    /// 4.1.4.5.1: without MSI-X the pin follows the ISR status.
    fn intx(&self) -> bool {
        self.device.isr_pending()
    }

    fn reset(&mut self) {
        self.device.reset();
        self.common = Common::default();
        self.legacy = Legacy::default();
        if let Some(msix) = &mut self.msix {
            msix.reset();
        }
    }

    fn numbered(&mut self, function: Bdf) {
        self.function = function;
        if let Some(msix) = &mut self.msix {
            msix.numbered(function);
        }
    }

    fn warm(&mut self) {
        self.device.warm();
    }

    fn set_completion(&mut self, completion: Completion) {
        self.device.set_completion(completion);
    }

    fn defers(&self) -> bool {
        self.device.defers()
    }

    fn holds(&self) -> bool {
        self.device.holds()
    }

    fn resume(&mut self, host: &mut Host<'_>, occasion: Occasion) {
        for notification in self.device.resume(host, occasion) {
            self.interrupt(host, notification);
        }
    }

    fn load(&mut self, host: &mut Host<'_>, bar: u8, offset: u64, width: u8) -> u64 {
        let has_legacy = self.device.settings().transport.has_legacy();
        match &mut self.msix {
            Some(msix) if bar == self.layout.msix_bar => {
                match offset.checked_sub(self.layout.msix_pba) {
                    Some(offset) => msix.load_pending(host, offset, width),
                    None => msix.load_table(host, offset, width),
                }
            }
            _ if bar == Layout::LEGACY_BAR && has_legacy => self.load_legacy(host, offset, width),
            _ => match self.layout.structure_offset(bar, offset) {
                Some(offset) => self.load_structures(host, offset, width),
                None => all_ones(width),
            },
        }
    }

    fn store(&mut self, host: &mut Host<'_>, bar: u8, offset: u64, width: u8, value: u64) {
        let has_legacy = self.device.settings().transport.has_legacy();
        match &mut self.msix {
            Some(msix) if bar == self.layout.msix_bar => {
                match offset.checked_sub(self.layout.msix_pba) {
                    Some(offset) => msix.store_pending(host, offset, width, value),
                    None => msix.store_table(host, &self.config, offset, width, value),
                }
            }
            _ if bar == Layout::LEGACY_BAR && has_legacy => {
                self.store_legacy(host, offset, width, value);
            }
            _ => {
                if let Some(offset) = self.layout.structure_offset(bar, offset) {
                    self.store_structures(host, offset, width, value);
                }
            }
        }
    }

    fn queues(&self) -> Vec<QueueAreas> {
        self.device.areas()
    }

    fn progress(&self) -> Vec<Progress> {
        self.device.progress()
    }

    fn obey(&mut self, host: &mut Host<'_>, command: Command) {
        for notification in self.device.obey(host, command) {
            self.interrupt(host, notification);
        }
    }

    fn set_capacity(&mut self, host: &mut Host<'_>, sectors: u64) -> io::Result<()> {
        let notification = self.device.set_capacity(sectors)?;
        if let Some(notification) = notification {
            self.interrupt(host, notification);
        }
        Ok(())
    }
}
