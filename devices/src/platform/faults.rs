use eclipse_trace::{Effect, Event};

use super::{Platform, all_ones};
use crate::Host;
use crate::fault::{Action, Fault, Impossible, Injector, Watch};
use crate::schedule::Occasion;

/// Faults at work.
impl Platform {
    /// Puts a schedule of faults to work, in place of another one.
    ///
    /// # Errors
    /// The number of the fault that can never strike, from 0, and why.
    pub fn set_faults(
        &mut self,
        host: &mut Host<'_>,
        schedule: Vec<Fault>,
    ) -> Result<(), (usize, Impossible)> {
        for (number, fault) in schedule.iter().enumerate() {
            self.target.check(fault).map_err(|why| (number, why))?;
            if let Action::Machine(setting, value) = fault.action
                && !self.settings.contains(&(fault.device, setting, value))
            {
                return Err((number, Impossible::Built));
            }
        }
        for (number, fault) in schedule.iter().enumerate() {
            let effects = match &fault.action {
                Action::Edit(edit) => self.pci.edit(fault.device, edit),
                &Action::Machine(setting, value) => vec![Effect::Machine { setting, value }],
                _ => continue,
            };
            let name = fault.name.clone().unwrap_or_else(|| number.to_string());
            for effect in effects {
                let event = Event::Fault { fault: name.as_str().into(), effect: effect.into() };
                host.lend(fault.device, false).record(event);
            }
        }
        self.watches.clear();
        self.faults = None;
        if !schedule.is_empty() {
            self.lay_down(Box::new(Injector::new(schedule)));
        }
        Ok(())
    }

    /// Puts the schedule back that was taken up for an access; queues may have moved.
    pub(super) fn lay_down(&mut self, mut faults: Box<Injector>) {
        faults.learn(self.pci.queues());
        self.watches = faults.watches();
        self.faults = Some(faults);
    }

    /// The parts of guest memory whose accesses the faults at work have to see, as it is
    /// after the last access.
    pub fn watches(&self) -> &[Watch] {
        &self.watches
    }

    /// Carries out a load of `width` bytes (1 to 8) of the guest from its own memory.
    ///
    /// It counts for no fault that counts accesses: how many there are depends on what
    /// else lies in a page.
    pub fn load_ram(&mut self, host: &mut Host<'_>, address: u64, width: u8) -> u64 {
        let Some(mut faults) = self.faults.take() else { return host.load_ram(address, width) };
        let value = host.injecting(Some(&mut faults)).load_ram(address, width);
        self.obey(host, &mut faults);
        self.lay_down(faults);
        value
    }

    /// Carries out a store of the low `width` bytes (1 to 8) of `value` of the guest to its
    /// own memory.
    pub fn store_ram(&mut self, host: &mut Host<'_>, address: u64, width: u8, value: u64) {
        let value = value & all_ones(width);
        let Some(mut faults) = self.faults.take() else {
            return host.store_ram(address, width, value);
        };
        host.injecting(Some(&mut faults)).store_ram(address, width, value);
        self.obey(host, &mut faults);
        self.lay_down(faults);
    }

    /// An access begins during which faults may strike.
    pub(super) fn enter(&mut self, host: &mut Host<'_>, faults: &mut Injector) {
        if let Some((faults, mut stage)) = host.injecting(Some(faults)).stage() {
            faults.exit(&mut stage);
        }
        self.obey(host, faults);
    }

    /// It is over.
    pub(super) fn leave(&mut self, host: &mut Host<'_>, mut faults: Box<Injector>) {
        self.obey(host, &mut faults);
        self.pci.resume(&mut host.injecting(Some(&mut faults)), Occasion::Exit);
        self.obey(host, &mut faults);
        self.lay_down(faults);
    }

    /// Has the functions do what faults want of them.
    pub(super) fn obey(&mut self, host: &mut Host<'_>, faults: &mut Injector) {
        while let Some((function, command)) = faults.next_command() {
            self.pci.obey(&mut host.injecting(Some(faults)), function, command);
        }
    }
}
