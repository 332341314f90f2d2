use eclipse_trace::{Effect, Event};

use super::Platform;
use crate::Host;
use crate::fault::{Action, Fault, Impossible, Injector};
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
        self.faults = (!schedule.is_empty()).then(|| Box::new(Injector::new(schedule)));
        self.watches.clear();
        self.look(host);
        Ok(())
    }

    /// Puts the schedule back that was taken up for an access; queues may have moved.
    pub(super) fn lay_down(&mut self, host: &Host<'_>, faults: Box<Injector>) {
        self.faults = Some(faults);
        self.look(host);
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
        self.lay_down(host, faults);
    }

    /// Has the functions do what faults want of them.
    pub(super) fn obey(&mut self, host: &mut Host<'_>, faults: &mut Injector) {
        while let Some((function, command)) = faults.next_command() {
            self.pci.obey(&mut host.injecting(Some(faults)), function, command);
        }
    }
}
