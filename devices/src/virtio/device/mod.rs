mod held;
mod queues;
mod work;

use std::{io, mem};

use eclipse_trace::Violation;
use eclipse_trace::register::BlockCfg;

use held::Held;

use super::blk::Blk;
use super::queue::{Chain, Queue};
use super::settings::{Profile, VirtioConfig};
use super::status::{Isr, Status};
use super::{Features, layout};
use crate::Host;
use crate::fault::Vector;
use crate::pci::NO_VECTOR;
use crate::schedule::{Completion, Waiting};

/// Where a loader is taken to have put its queues: in 64 KiB from here, which is
/// memory that a guest gets back.
const WARM_QUEUES: u64 = 8;

/// A virtio device apart from how its registers are laid out (VIRTIO 1.4, 2).
///
/// The modern and the legacy transport are two register files over this. A store
/// that the specification forbids is answered with a [`Violation`] and changes
/// nothing, unless it gives another reaction.
pub(crate) struct VirtioDevice {
    config: VirtioConfig,
    offered: Features,
    accepted: Features,
    status: Status,
    /// The status before a reset that has not shown yet, and how many loads still see it.
    resetting: Option<(Status, u32)>,
    isr: Isr,
    config_vector: u16,
    /// `config_generation` (VIRTIO 1.4, 2.5): another after each change.
    generation: u8,
    queues: Vec<Queue>,
    /// The chains that were taken and not carried out yet.
    waiting: Waiting<Chain>,
    held: Held,
    /// Rules that were broken and let pass, not recorded yet.
    forgiven: Vec<Violation>,
    blk: Blk,
}

/// What the device wants its driver to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Notification {
    pub(crate) source: Vector,
    /// The MSI-X vector that the driver chose for it.
    pub(crate) vector: u16,
}

impl Notification {
    /// The bit of the ISR status that says it (VIRTIO 1.4, 4.1.4.5).
    pub(crate) fn cause(self) -> Isr {
        match self.source {
            Vector::Config => Isr::CONFIG,
            Vector::Queue(_) => Isr::QUEUE,
        }
    }
}

impl VirtioDevice {
    pub(crate) fn new(mut blk: Blk, config: VirtioConfig) -> Self {
        blk.restrict(config.withhold, config.profile == Profile::Lenient);
        let queues = (0..blk.queues()).map(|index| Queue::new(index, config.queue_size));
        Self {
            offered: layout::offered(blk.offered(), &config),
            accepted: Features::empty(),
            status: Status::empty(),
            resetting: None,
            isr: Isr::empty(),
            config_vector: NO_VECTOR,
            generation: 0,
            queues: queues.collect(),
            waiting: Waiting::new(Completion::default()),
            held: Held::default(),
            forgiven: Vec::new(),
            blk,
            config,
        }
    }

    /// How the device presents itself.
    pub(crate) fn settings(&self) -> &VirtioConfig {
        &self.config
    }

    /// Lets a broken rule pass, where the profile is lenient; it is recorded all the same.
    ///
    /// # Errors
    /// The violation, where the profile is strict.
    fn forgive(&mut self, violation: Violation) -> Result<(), Violation> {
        match self.config.profile {
            Profile::Strict => Err(violation),
            Profile::Lenient => {
                self.forgiven.push(violation);
                Ok(())
            }
        }
    }

    /// Records what was let pass since the last call.
    pub(crate) fn record_forgiven(&mut self, host: &mut Host<'_>) {
        for violation in self.forgiven.drain(..) {
            host.violation(violation);
        }
    }

    /// Completes requests by `completion` from now on.
    pub(crate) fn set_completion(&mut self, completion: Completion) {
        self.waiting = Waiting::new(completion);
    }

    /// The features that it offers.
    pub(crate) fn offered(&self) -> Features {
        self.offered
    }

    /// The features that the driver has accepted so far.
    pub(crate) fn accepted(&self) -> Features {
        self.accepted
    }

    /// Accepts `value` for the 32 feature bits of `window`.
    ///
    /// # Errors
    /// Bits were not offered, and are left out; or the negotiation is over.
    pub(crate) fn accept(&mut self, window: u32, value: u32) -> Result<(), Violation> {
        if self.status.contains(Status::FEATURES_OK) {
            self.forgive(Violation::FeaturesAfterOk)?;
        }
        let bits = value & !self.offered.window(window);
        // 4.1.4.3.1: what is read back are the valid bits that were written.
        self.accepted.set_window(window, value - bits);
        match bits {
            0 => Ok(()),
            bits => Err(Violation::FeaturesNotOffered { window, bits }),
        }
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }

    /// The status as the driver's load sees it: a reset may take some loads to show.
    pub(crate) fn load_status(&mut self) -> Status {
        match self.resetting.take() {
            Some((before, loads)) if loads > 0 => {
                self.resetting = Some((before, loads - 1));
                before
            }
            _ => self.status,
        }
    }

    /// The driver stores to the status register, over the legacy interface or not.
    ///
    /// # Errors
    /// The rule that the store breaks.
    pub(crate) fn store_status(&mut self, new: u8, legacy: bool) -> Result<(), Violation> {
        // 4.1.4.3.1: a store of 0 resets the device.
        if new == 0 {
            let before = self.status;
            self.reset();
            // One that was reset already shows nothing old: its driver goes on at once.
            if self.config.reset_loads > 0 && !before.is_empty() {
                self.resetting = Some((before, self.config.reset_loads));
            }
            return Ok(());
        }
        let asked = Status::from_bits_retain(new);
        let new = match self.status.step(asked, legacy) {
            Ok(new) => new,
            Err(violation) => {
                self.forgive(violation)?;
                asked | self.status & Status::NEEDS_RESET
            }
        };
        let negotiates = (new - self.status).contains(Status::FEATURES_OK);
        self.status = new;
        if negotiates
            && !self.accepted.contains(Features::VERSION_1)
            && let Err(violation) = self.forgive(Violation::Version1NotAccepted)
        {
            // 2.2.2: a subset that the device cannot work with leaves the bit clear;
            // and then a DRIVER_OK of the same store has skipped a step.
            self.status -= Status::FEATURES_OK | Status::DRIVER_OK;
            return Err(violation);
        }
        if negotiates {
            self.negotiate();
        }
        Ok(())
    }

    /// The features are settled.
    pub(super) fn negotiate(&mut self) {
        self.blk.negotiate(self.accepted);
    }

    /// As a loader leaves it that has booted from the device: features accepted, every
    /// queue enabled somewhere in low memory, and DRIVER_OK.
    pub(crate) fn warm(&mut self) {
        self.status = Status::from_bits_retain(0x0f);
        self.accepted = self.offered & Features::VERSION_1;
        self.negotiate();
        for (queue, page) in self.queues.iter_mut().zip(WARM_QUEUES..) {
            queue.desc = page << 16;
            queue.driver = (page << 16) + 0x4000;
            queue.device = (page << 16) + 0x8000;
            queue.enabled = true;
        }
    }

    /// As after power-on.
    pub(crate) fn reset(&mut self) {
        self.accepted = Features::empty();
        self.status = Status::empty();
        self.isr = Isr::empty();
        self.resetting = None;
        self.config_vector = NO_VECTOR;
        self.queues.iter_mut().for_each(Queue::reset);
        self.waiting.reset();
        self.held = Held::default();
        self.blk.reset();
    }

    /// Sets bits of the ISR status.
    pub(crate) fn raise_isr(&mut self, cause: Isr) {
        self.isr |= cause;
    }

    /// Whether a bit of the ISR status is set.
    pub(crate) fn isr_pending(&self) -> bool {
        !self.isr.is_empty()
    }

    /// The ISR status, which the load clears (VIRTIO 1.4, 4.1.4.5).
    pub(crate) fn take_isr(&mut self) -> u8 {
        mem::replace(&mut self.isr, Isr::empty()).bits()
    }

    /// `config_generation`.
    pub(crate) fn generation(&self) -> u8 {
        self.generation
    }

    /// Changes the capacity, of which the driver is to be notified (5.2.6.2).
    ///
    /// # Errors
    /// The disk cannot have that size; nothing changes.
    pub(crate) fn set_capacity(&mut self, sectors: u64) -> io::Result<Option<Notification>> {
        self.blk.set_capacity(sectors)?;
        // 2.5.2: a changed field that a driver may see comes with another generation.
        self.generation = self.generation.wrapping_add(1);
        let notification = self.config_notification();
        Ok(self.status.contains(Status::DRIVER_OK).then_some(notification))
    }

    /// That the configuration changed, or that the device needs a reset.
    fn config_notification(&self) -> Notification {
        Notification { source: Vector::Config, vector: self.config_vector }
    }

    /// The block device, for its configuration.
    pub(crate) fn blk(&self) -> &Blk {
        &self.blk
    }

    /// The driver stores to a configuration register of the block device.
    ///
    /// # Errors
    /// The rule that the store breaks.
    pub(crate) fn store_blk(&mut self, register: BlockCfg, value: u32) -> Result<(), Violation> {
        self.blk.store_config(register, value)
    }
}
