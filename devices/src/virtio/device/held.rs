//! What faults make of completions, and of the device as a whole.

use eclipse_trace::Violation;

use super::{Notification, VirtioDevice};
use crate::Host;
use crate::fault::{Command, Fate, Forgery, Vector};
use crate::pci::NO_VECTOR;
use crate::schedule::Occasion;
use crate::virtio::queue::Chain;
use crate::virtio::status::Status;

/// The chains that faults hold back.
#[derive(Debug, Default)]
pub(super) struct Held {
    late: Vec<Late>,
    /// Given back when a fault says so.
    kept: Vec<Late>,
    /// Given back when the next chain has been.
    swapped: Option<Late>,
}

/// A chain whose request was carried out.
#[derive(Debug)]
struct Late {
    chain: Chain,
    /// Bytes written to it.
    written: u32,
    /// How faults have it given back.
    forgery: Forgery,
    /// How many accesses are still to end.
    exits: u64,
}

impl Held {
    /// Whether no chain is held back.
    pub(super) fn is_empty(&self) -> bool {
        self.late.is_empty() && self.kept.is_empty() && self.swapped.is_none()
    }

    /// Whether a chain waits for something that may not come before the guest halts.
    pub(super) fn waits(&self) -> bool {
        self.swapped.is_some() || !self.kept.is_empty()
    }

    /// The chains that are held back.
    pub(super) fn chains(&self) -> impl Iterator<Item = &Chain> {
        self.late.iter().chain(&self.kept).chain(&self.swapped).map(|late| &late.chain)
    }

    /// Drops what is not to be given back any more.
    pub(super) fn forget(&mut self, what: impl Fn(&Chain) -> bool) {
        self.late.retain(|late| !what(&late.chain));
        self.kept.retain(|late| !what(&late.chain));
        self.swapped.take_if(|late| what(&late.chain));
    }
}

impl VirtioDevice {
    /// Does what a fault wants of it.
    pub(crate) fn obey(&mut self, host: &mut Host<'_>, command: Command) -> Vec<Notification> {
        let config = self.config_notification();
        match command {
            // The bus takes it away.
            Command::Remove => Vec::new(),
            Command::Interrupt(Vector::Config) => vec![config],
            Command::Interrupt(Vector::Queue(queue)) => {
                let vector = self.queue(queue).map_or(NO_VECTOR, |queue| queue.vector);
                vec![Notification { source: Vector::Queue(queue), vector }]
            }
            Command::Release => {
                let kept = std::mem::take(&mut self.held.kept);
                self.held.late.extend(kept);
                self.give_late(host)
            }
            Command::NeedsReset => self.need_reset(host).into_iter().collect(),
            Command::Poll(queue) => {
                let live = self.status.contains(Status::DRIVER_OK)
                    && self.queue(queue).is_some_and(|queue| queue.enabled);
                if live { self.notify(host, queue) } else { Vec::new() }
            }
            Command::Capacity(sectors) => {
                self.set_capacity(sectors).ok().flatten().into_iter().collect()
            }
        }
    }

    /// Carries out the request in `chain` and gives it back, unless a fault has it otherwise.
    pub(super) fn finish(&mut self, host: &mut Host<'_>, chain: Chain) -> Result<(), Violation> {
        if host.is_witness() {
            self.existing(chain.queue())?.witness_altered(host, &chain);
        }
        let written = self.blk.carry_out(host, &chain)?;
        let fate = host.fate(chain.head());
        let forgery = host.forgery();
        if matches!(fate, Fate::GivenBack | Fate::Twice(_)) {
            self.existing(chain.queue())?.give_back(host, &chain, written)?;
            if fate == Fate::Twice(0) {
                self.existing(chain.queue())?.give_back(host, &chain, written)?;
            }
            if let Some(Late { chain, written, forgery, .. }) = self.held.swapped.take() {
                host.forge(forgery);
                self.existing(chain.queue())?.give_back(host, &chain, written)?;
            }
        }
        host.done();
        match fate {
            Fate::GivenBack | Fate::Dropped | Fate::Twice(0) => {
                self.existing(chain.queue())?.reuse(chain);
            }
            // The access that rang ends first.
            Fate::Late(exits) | Fate::Twice(exits) => {
                let exits = exits.saturating_add(1);
                self.held.late.push(Late { chain, written, forgery, exits });
            }
            Fate::Held => self.held.kept.push(Late { chain, written, forgery, exits: 0 }),
            Fate::Swapped => {
                // Of two that wait for the next one, the first has waited long enough.
                let exits = 1;
                let before = self.held.swapped.replace(Late { chain, written, forgery, exits });
                self.held.late.extend(before);
            }
        }
        Ok(())
    }

    /// Gives back what faults held back until now, and says so.
    pub(super) fn release(&mut self, host: &mut Host<'_>, occasion: Occasion) -> Vec<Notification> {
        match occasion {
            Occasion::Doorbell => {}
            Occasion::Exit => {
                for late in &mut self.held.late {
                    late.exits = late.exits.saturating_sub(1);
                }
            }
            // There may be no next one: an order of completions is no loss of one.
            Occasion::Halt => {
                let waiting = self.held.swapped.take().into_iter();
                let waiting = waiting.chain(std::mem::take(&mut self.held.kept));
                self.held.late.extend(waiting.map(|late| Late { exits: 0, ..late }));
            }
        }
        self.give_late(host)
    }

    /// Gives back the chains whose time has come.
    fn give_late(&mut self, host: &mut Host<'_>) -> Vec<Notification> {
        let mut notifications = Vec::new();
        while let Some(at) = self.held.late.iter().position(|late| late.exits == 0) {
            let Late { chain, written, forgery, .. } = self.held.late.remove(at);
            let queue = chain.queue();
            host.forge(forgery);
            let given = self.existing(queue).and_then(|q| q.give_back(host, &chain, written));
            host.forge(Forgery::default());
            let signalled = self.signal(host, queue, &mut notifications);
            if let Err(violation) = given.and(signalled) {
                host.violation(violation);
                notifications.extend(self.need_reset(host));
            }
        }
        notifications
    }
}
