use std::io;

use eclipse_trace::register::Mechanism;
use eclipse_trace::{Access, Bdf, Effect, Refusal, Register, Space};

use super::cam::{ConfigAddress, ConfigPort};
use super::ecam;
use super::intx::{self, Lines};
use super::segment::{Reached, Segment};
use super::{Function, Placement};
use crate::Host;
use crate::fault::{Command, Edit};
use crate::platform::all_ones;
use crate::schedule::{Completion, Occasion};
use crate::virtio::{Progress, QueueAreas};

/// The PCI hierarchy from bus 0 on: the two ways to configuration space, and the
/// decoding of ports and memory to BARs.
///
/// Where ranges overlap, the first of these answers, and only it: the
/// configuration ports and the ECAM window, then the functions of bus 0 in order of
/// device and function number, a bridge standing for all that is behind it, and of
/// one function the BAR with the lowest number. RAM and the fixed ports of the
/// board never come here.
pub(crate) struct PciBus {
    root: Segment,
    lines: Lines,
    config_address: ConfigAddress,
}

/// What a configuration access is directed at.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) function: Bdf,
    pub(super) mechanism: Mechanism,
    /// The first byte.
    pub(super) offset: u16,
    /// Why the access cannot be made, whatever is there.
    pub(super) refusal: Option<Refusal>,
}

impl PciBus {
    /// A bus 0 with these functions on it.
    pub(crate) fn new(functions: Vec<(Bdf, Box<dyn Function>)>) -> Self {
        let mut root = Segment::new(functions);
        root.wire(&intx::gsi);
        Self { root, lines: Lines::default(), config_address: ConfigAddress::default() }
    }

    /// The same in the state that `placement` leaves it in.
    pub(crate) fn placed(mut self, placement: Placement) -> Self {
        match placement {
            Placement::Assigned => {}
            Placement::Unassigned => self.root.reset(),
            Placement::Warm => self.root.warm(),
        }
        self
    }

    /// Switches I/O decode of `function` on.
    pub(crate) fn switch_io_on(&mut self, function: Bdf) {
        if let Some(mut reached) = self.root.reach(0, function) {
            reached.config_mut().switch_io_on();
        }
    }

    /// Whether `function` is there and decodes I/O.
    pub(crate) fn decodes_io(&mut self, function: Bdf) -> bool {
        let reached = self.root.reach(0, function);
        reached.is_some_and(|reached| reached.function().config().decodes(Space::Port))
    }

    /// Gives the disk of `function` another size.
    ///
    /// # Errors
    /// There is no such function, or its disk cannot have that size.
    pub(crate) fn set_capacity(
        &mut self,
        host: &mut Host<'_>,
        function: Bdf,
        sectors: u64,
    ) -> io::Result<()> {
        let Some(mut reached) = self.root.reach(0, function) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let (function, mut lent) = reached.reborrow().lend(host);
        function.set_capacity(&mut lent, sectors)?;
        reached.settle(host, &mut self.lines);
        Ok(())
    }

    /// Has every function complete requests by `completion` from now on.
    pub(crate) fn set_completion(&mut self, completion: Completion) {
        self.root.set_completion(completion);
    }

    /// Whether a function took something that it has not completed.
    pub(crate) fn defers(&self) -> bool {
        self.root.defers()
    }

    /// Has a function do what a fault wants of it.
    pub(crate) fn obey(&mut self, host: &mut Host<'_>, function: Bdf, command: Command) {
        if command == Command::Remove {
            self.root.remove(host, &mut self.lines, function);
        } else if let Some(mut reached) = self.root.reach(0, function) {
            let (function, mut lent) = reached.reborrow().lend(host);
            function.obey(&mut lent, command);
            reached.settle(host, &mut self.lines);
        }
    }

    /// The virtqueues that are enabled, and where they lie.
    pub(crate) fn queues(&mut self) -> Vec<(Bdf, QueueAreas)> {
        let mut queues = Vec::new();
        self.root.queues(&mut queues);
        queues
    }

    /// How far devices have come in them.
    pub(crate) fn progress(&mut self) -> Vec<(Bdf, Progress)> {
        let mut progress = Vec::new();
        self.root.progress(&mut progress);
        progress
    }

    /// Changes a function's configuration space, and returns what changed.
    pub(crate) fn edit(&mut self, function: Bdf, edit: &Edit) -> Vec<Effect> {
        let reached = self.root.reach(0, function);
        reached.map(|mut reached| reached.config_mut().edit(edit)).unwrap_or_default()
    }

    /// Has every function complete what is due on this occasion.
    pub(crate) fn resume(&mut self, host: &mut Host<'_>, occasion: Occasion) {
        self.root.resume(host, &mut self.lines, occasion, true);
    }

    /// Answers a load, or `None` where nothing on this bus claims it.
    pub(crate) fn load(
        &mut self,
        host: &mut Host<'_>,
        space: Space,
        address: u64,
        width: u8,
    ) -> Option<u64> {
        match self.config_port(space, address, width) {
            Some(ConfigPort::Address) => {
                let value = self.config_address.load().into();
                host.accessed(Register::ConfigAddress, Access::Load { width, value });
                Some(value)
            }
            Some(ConfigPort::Data(target)) => Some(self.load_config(host, target, width)),
            None => {
                let mut claim = self.root.claim(space, address, width)?;
                let (function, mut lent) = claim.reached.reborrow().lend(host);
                let value = function.load(&mut lent, claim.bar, claim.offset, width);
                claim.reached.settle(host, &mut self.lines);
                Some(value)
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
        match self.config_port(space, address, width) {
            Some(ConfigPort::Address) => {
                self.config_address.store(value as u32);
                host.accessed(Register::ConfigAddress, Access::Store { width, value });
            }
            Some(ConfigPort::Data(target)) => self.store_config(host, target, width, value),
            None => {
                let mut claim = self.root.claim(space, address, width)?;
                let (function, mut lent) = claim.reached.reborrow().lend(host);
                function.store(&mut lent, claim.bar, claim.offset, width, value);
                claim.reached.settle(host, &mut self.lines);
            }
        }
        Some(())
    }

    /// What the access means to the host bridge, if anything.
    fn config_port(&self, space: Space, address: u64, width: u8) -> Option<ConfigPort> {
        match space {
            Space::Port => self.config_address.decode(address, width),
            Space::Memory => ecam::decode(address, width).map(ConfigPort::Data),
        }
    }

    fn load_config(&mut self, host: &mut Host<'_>, target: Target, width: u8) -> u64 {
        let mut reached = self.root.reach(0, target.function);
        let register = target.register(reached.as_ref());
        if let Some(why) = target.refused(reached.as_ref()) {
            let access = Access::Load { width, value: all_ones(width) };
            host.refused(register, access, why);
            return access.value();
        }
        let value = match &mut reached {
            Some(reached) => {
                let offset = target.offset as u8;
                let (function, mut lent) = reached.reborrow().lend(host);
                function.config_loading(&mut lent, offset, width);
                function.config().load(offset, width).into()
            }
            // PCI 3.0, 6.1: what no function answers reads as all ones.
            None => all_ones(width),
        };
        host.accessed(register, Access::Load { width, value });
        if let Some(reached) = reached {
            reached.settle(host, &mut self.lines);
        }
        value
    }

    fn store_config(&mut self, host: &mut Host<'_>, target: Target, width: u8, value: u64) {
        let access = Access::Store { width, value };
        let reached = self.root.reach(0, target.function);
        let register = target.register(reached.as_ref());
        if let Some(why) = target.refused(reached.as_ref()) {
            return host.refused(register, access, why);
        }
        let value = host.accessed(register, access);
        let (Some(mut reached), Some(value)) = (reached, value) else { return };
        let offset = target.offset as u8;
        reached.config_mut().store(offset, width, value as u32);
        // Lent after the store, which may be the one that turns bus mastering on.
        let (function, mut lent) = reached.reborrow().lend(host);
        function.config_stored(&mut lent, offset, width);
        reached.settle(host, &mut self.lines);
    }
}

impl Target {
    fn register(&self, reached: Option<&Reached<'_>>) -> Register {
        let config = reached.map(|reached| reached.function().config());
        Register::Config {
            function: self.function,
            mechanism: self.mechanism,
            header: config.map(|config| config.header()).unwrap_or_default(),
            offset: self.offset,
            capability: config.and_then(|config| config.capability_at(self.offset)),
        }
    }

    /// Why the access takes no effect, if so.
    ///
    /// The functions here are conventional ones, with 256 bytes. What the enhanced
    /// mechanism reaches behind those is nothing, and reads as all ones like an
    /// absent function (an Unsupported Request: PCI Express Base 3.0, 2.3.1; to PCI
    /// Bridge 1.0, 4.1); not as zero, which would be a list of extended
    /// capabilities that is there and empty (7.9.1).
    fn refused(&self, reached: Option<&Reached<'_>>) -> Option<Refusal> {
        let beyond = reached.is_some() && self.offset > 0xff;
        self.refusal.or(beyond.then_some(Refusal::NoRegister))
    }
}
