use eclipse_trace::Bdf;

use super::{Action, Fault, Impossible, Trigger, Vector};

/// What of a machine a fault can name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    /// Every function, with how many queues it has if it is a virtio block device.
    pub(crate) functions: Vec<(Bdf, Option<u16>)>,
    /// Whether the machine sees the guest's accesses to watched memory.
    pub(crate) sees_rings: bool,
}

impl Target {
    /// Checks that the fault can strike in this machine.
    ///
    /// # Errors
    /// It cannot: [`Impossible`] says why.
    pub(crate) fn check(&self, fault: &Fault) -> Result<(), Impossible> {
        fault.check()?;
        let function = fault.device;
        let Some((_, queues)) = self.functions.iter().find(|(at, _)| *at == function) else {
            let there_are: Vec<_> = self.functions.iter().map(|(at, _)| at.to_string()).collect();
            return Err(Impossible::NoFunction { function, there_are: there_are.join(", ") });
        };
        let Some(queues) = *queues else {
            return if of_virtio(fault) { Err(Impossible::NotVirtio(function)) } else { Ok(()) };
        };
        match fault.trigger.queue() {
            Some(queue) if queue >= queues => {
                return Err(Impossible::NoQueue { function, queue, queues });
            }
            _ => {}
        }
        if fault.trigger.needs_sight() && !self.sees_rings {
            return Err(Impossible::RingUnseen);
        }
        match fault.action.queue() {
            Some(queue) if queue >= queues => {
                Err(Impossible::NoQueueThere { function, queue, queues })
            }
            _ => Ok(()),
        }
    }
}

/// Whether only a virtio block device has what the fault is about.
fn of_virtio(fault: &Fault) -> bool {
    let about = |trigger: &Trigger| trigger.queue().is_some();
    let registers = match fault.trigger {
        Trigger::Load(register) | Trigger::Store(register, _) => register.of_virtio(),
        Trigger::Completion(_) => true,
        _ => false,
    };
    let acts = matches!(
        fault.action,
        Action::Interrupt(_)
            | Action::NoInterrupt(_)
            | Action::Descriptor { .. }
            | Action::NeedsReset
            | Action::Poll(_)
            | Action::Release
            | Action::Capacity(_)
    );
    registers || acts || about(&fault.trigger)
}

impl Trigger {
    /// The queue that it names.
    fn queue(&self) -> Option<u16> {
        match self {
            Self::Notify(queue) => Some(*queue),
            Self::RingLoad(field)
            | Self::RingReload(field)
            | Self::RingStore(field)
            | Self::RingWrite(field) => Some(field.queue),
            _ => None,
        }
    }

    /// Whether only a machine can tell that sees what the guest does to its own memory.
    fn needs_sight(&self) -> bool {
        matches!(self, Self::RingLoad(_) | Self::RingReload(_) | Self::RingStore(_))
    }
}

impl Action {
    /// The queue that it names.
    fn queue(&self) -> Option<u16> {
        match self {
            Self::Poll(queue)
            | Self::Interrupt(Vector::Queue(queue))
            | Self::NoInterrupt(Some(Vector::Queue(queue))) => Some(*queue),
            _ => None,
        }
    }
}
