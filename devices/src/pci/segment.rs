use eclipse_trace::{Bdf, Pin, Space};

use super::intx::Lines;
use super::{BarKind, ConfigSpace, Function};
use crate::Host;
use crate::schedule::{Completion, Occasion};
use crate::virtio::{Progress, QueueAreas};

/// One bus: what is plugged into it, in order of device and function number.
pub(super) struct Segment {
    slots: Vec<Slot>,
}

/// A function where it is plugged in.
pub(super) struct Slot {
    at: Bdf,
    function: Box<dyn Function>,
    /// Its interrupt pin, and the line that the pin ends in.
    wire: Option<(Pin, u32)>,
    /// Whether it asserts the pin.
    asserted: bool,
}

/// A function that an access reached.
pub(super) struct Reached<'a> {
    slot: &'a mut Slot,
    /// Whether all bridges above it let it master the bus.
    upstream: bool,
}

/// The place inside a BAR that an access reached.
pub(super) struct Claim<'a> {
    pub(super) reached: Reached<'a>,
    pub(super) bar: u8,
    pub(super) offset: u64,
}

impl Segment {
    pub(super) fn new(mut functions: Vec<(Bdf, Box<dyn Function>)>) -> Self {
        functions.sort_by_key(|(at, _)| *at);
        let slot = |(at, function)| Slot { at, function, wire: None, asserted: false };
        Self { slots: functions.into_iter().map(slot).collect() }
    }

    /// Ties each interrupt pin to the line that `line` gives for its device number,
    /// which Interrupt Line says from now on (PCI 3.0, 6.2.4).
    pub(super) fn wire(&mut self, line: &dyn Fn(u8, Pin) -> u32) {
        for slot in &mut self.slots {
            let device = slot.at.device();
            slot.wire = slot.function.config().interrupt_pin().map(|pin| (pin, line(device, pin)));
            if let Some((_, gsi)) = slot.wire {
                slot.function.config_mut().set_interrupt_line(gsi as u8);
            }
            if let Some(bridge) = slot.function.bridge() {
                bridge.segment().wire(&|behind, pin| line(device, pin.rotated(behind)));
            }
        }
    }

    /// The function that a configuration access to `target` reaches from this bus,
    /// which has number `bus`: here as a type 0 access, or further on as a type 1
    /// access that a bridge passes on (PCI-to-PCI Bridge 1.2, 3.1.2).
    pub(super) fn reach(&mut self, bus: u8, target: Bdf) -> Option<Reached<'_>> {
        let place = |at: Bdf| (at.device(), at.function());
        if target.bus() == bus {
            let slot = self.slots.iter_mut().find(|slot| place(slot.at) == place(target))?;
            return Some(Reached { slot, upstream: true });
        }
        self.slots.iter_mut().find_map(|slot| slot.function.bridge()?.reach(target))
    }

    /// The place that claims all `width` bytes at `address`: of several the first in
    /// order of device and function number, a bridge standing for what is behind it.
    pub(super) fn claim(&mut self, space: Space, address: u64, width: u8) -> Option<Claim<'_>> {
        self.slots.iter_mut().find_map(|slot| slot.claim(space, address, width))
    }

    /// The bus has number `bus` now, by which its functions are known.
    pub(super) fn renumber(&mut self, bus: u8) {
        for slot in &mut self.slots {
            slot.at = Bdf::new(bus, slot.at.device(), slot.at.function());
            slot.function.numbered(slot.at);
        }
    }

    /// All functions are as after RST#.
    pub(super) fn reset(&mut self) {
        for slot in &mut self.slots {
            slot.function.config_mut().reset();
            slot.function.reset();
        }
    }

    /// All functions are as firmware hands them over to a loader that used them.
    pub(super) fn warm(&mut self) {
        for slot in &mut self.slots {
            slot.function.config_mut().warm();
            slot.function.warm();
        }
    }

    /// Has every function send the messages that it can send now.
    pub(super) fn deliver(&mut self, host: &mut Host<'_>, upstream: bool) {
        for slot in &mut self.slots {
            let (function, mut host) = Reached { slot, upstream }.lend(host);
            function.deliver(&mut host);
        }
    }

    /// The least range that holds all BARs of a kind that `is` admits, here and behind bridges.
    pub(super) fn hull(&self, is: &dyn Fn(BarKind) -> bool) -> Option<(u64, u64)> {
        let bars = self.slots.iter().flat_map(|slot| slot.function.config().bar_ranges());
        let own = bars.filter(|(kind, ..)| is(*kind)).map(|(_, first, last)| (first, last));
        let behind = self.slots.iter().filter_map(|slot| slot.function.hull(is));
        own.chain(behind).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// The bus numbers here: this bus's own, and the highest behind its bridges.
    pub(super) fn numbers(&self) -> Option<(u8, u8)> {
        let own = self.slots.first()?.at.bus();
        let behind = self.slots.iter().filter_map(|slot| slot.function.config().subordinate());
        Some((own, behind.max().unwrap_or(own)))
    }

    /// Takes a function away, with what it asserts.
    pub(super) fn remove(&mut self, host: &mut Host<'_>, lines: &mut Lines, function: Bdf) {
        for slot in &mut self.slots {
            if slot.at == function
                && let (Some((_, gsi)), true) = (slot.wire, slot.asserted)
            {
                lines.change(host, gsi, false);
            }
            if let Some(bridge) = slot.function.bridge() {
                bridge.segment().remove(host, lines, function);
            }
        }
        self.slots.retain(|slot| slot.at != function);
    }

    /// Adds the virtqueues that are enabled, here and behind bridges.
    pub(super) fn queues(&mut self, queues: &mut Vec<(Bdf, QueueAreas)>) {
        for slot in &mut self.slots {
            queues.extend(slot.function.queues().into_iter().map(|areas| (slot.at, areas)));
            if let Some(bridge) = slot.function.bridge() {
                bridge.segment().queues(queues);
            }
        }
    }

    /// Adds how far devices have come in them.
    pub(super) fn progress(&mut self, progress: &mut Vec<(Bdf, Progress)>) {
        for slot in &mut self.slots {
            progress.extend(slot.function.progress().into_iter().map(|queue| (slot.at, queue)));
            if let Some(bridge) = slot.function.bridge() {
                bridge.segment().progress(progress);
            }
        }
    }

    pub(super) fn set_completion(&mut self, completion: Completion) {
        self.slots.iter_mut().for_each(|slot| slot.function.set_completion(completion));
    }

    pub(super) fn defers(&self) -> bool {
        self.slots.iter().any(|slot| slot.function.defers())
    }

    /// Whether a function holds something back that may come to be due.
    pub(super) fn holds(&self) -> bool {
        self.slots.iter().any(|slot| slot.function.holds())
    }

    /// Has every function that holds something back complete what is due on this occasion.
    pub(super) fn resume(
        &mut self,
        host: &mut Host<'_>,
        lines: &mut Lines,
        occasion: Occasion,
        upstream: bool,
    ) {
        for slot in self.slots.iter_mut().filter(|slot| slot.function.holds()) {
            let mut reached = Reached { slot, upstream };
            let (function, mut lent) = reached.reborrow().lend(host);
            function.resume(&mut lent, occasion);
            let upstream = lent.bus_master();
            if let Some(bridge) = function.bridge() {
                bridge.segment().resume(host, lines, occasion, upstream);
            }
            reached.settle(host, lines);
        }
    }
}

impl Slot {
    fn claim(&mut self, space: Space, address: u64, width: u8) -> Option<Claim<'_>> {
        if let Some((bar, offset)) = self.function.config().claims(space, address, width) {
            let reached = Reached { slot: self, upstream: true };
            return Some(Claim { reached, bar, offset });
        }
        self.function.bridge()?.claim(space, address, width)
    }

    /// Brings the interrupt line of the function into step with what it asks for, and
    /// of a bridge those of all that is behind it.
    fn settle(&mut self, host: &mut Host<'_>, lines: &mut Lines) {
        if let Some(bridge) = self.function.bridge() {
            bridge.segment().slots.iter_mut().for_each(|slot| slot.settle(host, lines));
        }
        let Some((pin, gsi)) = self.wire else { return };
        let requests = self.function.intx();
        let config = self.function.config_mut();
        // PCI 3.0, 6.8.2: with MSI-X enabled the function may not use its pin.
        let pending = requests && !config.msix_enabled();
        // 6.2.3: the status bit shows the request whether or not COMMAND lets it out.
        config.set_interrupt_status(pending);
        let asserted = pending && !config.interrupt_disabled();
        if asserted != self.asserted {
            self.asserted = asserted;
            host.lend(self.at, false).intx(pin, gsi, asserted);
            lines.change(host, gsi, asserted);
        }
    }
}

impl<'a> Reached<'a> {
    /// The same seen through a bridge that passes on what masters behind it, or not.
    pub(super) fn through(self, bus_master: bool) -> Self {
        Self { upstream: self.upstream && bus_master, ..self }
    }

    /// The function.
    pub(super) fn function(&self) -> &dyn Function {
        &*self.slot.function
    }

    /// Its configuration space, to store to.
    pub(super) fn config_mut(&mut self) -> &mut ConfigSpace {
        self.slot.function.config_mut()
    }

    /// The function, and the host lent to it. Bus mastering takes its own COMMAND
    /// register and that of every bridge above it.
    pub(super) fn lend<'h>(self, host: &'h mut Host<'_>) -> (&'a mut dyn Function, Host<'h>) {
        let bus_master = self.upstream && self.slot.function.config().bus_master();
        let host = host.lend(self.slot.at, bus_master);
        (&mut *self.slot.function, host)
    }

    /// The same for a while, so that [`Self::settle`] can follow.
    pub(super) fn reborrow(&mut self) -> Reached<'_> {
        Reached { slot: self.slot, upstream: self.upstream }
    }

    /// Brings the function's interrupt line into step, and those behind a bridge.
    pub(super) fn settle(self, host: &mut Host<'_>, lines: &mut Lines) {
        self.slot.settle(host, lines);
    }
}
