use std::collections::BTreeSet;

use eclipse_trace::register::LegacyCfg;
use eclipse_trace::{Access, Actor, Bdf, Effect, Event, Recorder, Register};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::outcome::{Met, Plan, Withheld};
use super::register::Part;
use super::{Action, Area, Fault, Place, RegisterName, Trigger, Vector};
use crate::virtio::QueueAreas;

/// A schedule at work: how often each fault's trigger came, and what is under way.
///
/// Every method is one of the points that the devices pass; it records what it
/// alters before it is altered.
#[derive(Debug)]
pub(crate) struct Injector {
    pub(super) armed: Vec<Armed>,
    /// Registers that answer what they answered once.
    stuck: Vec<(usize, RegisterName, u64)>,
    /// What the load under way is answered with, if that was altered.
    answer: Option<u64>,
    pub(super) plan: Plan,
    met: Vec<(Bdf, Met)>,
    /// The queues that are enabled.
    pub(super) queues: Vec<(Bdf, QueueAreas)>,
    /// Bytes of watched memory that the guest loaded since they were written.
    pub(super) loaded: BTreeSet<u64>,
    /// The faults that withhold the next interrupt.
    pub(super) withheld: Vec<Withheld>,
    commands: Vec<(Bdf, Command)>,
}

#[derive(Debug)]
pub(super) struct Armed {
    pub(super) fault: Fault,
    name: Box<str>,
    seen: u64,
    struck: u64,
}

impl Armed {
    /// Whether it never strikes again.
    pub(super) fn spent(&self) -> bool {
        self.fault.limit.is_some_and(|limit| self.struck >= limit)
    }
}

/// What a fault wants of a function, beside the accesses of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// It is gone.
    Remove,
    /// It raises an interrupt.
    Interrupt(Vector),
    /// It sets NEEDS_RESET.
    NeedsReset,
    /// It looks for chains in this queue.
    Poll(u16),
    /// It has this capacity, in sectors.
    Capacity(u64),
    /// It gives back the chains that were held.
    Release,
}

/// What a fault can reach besides the injector: memory, and the record.
pub(crate) struct Stage<'a> {
    pub(crate) memory: &'a GuestMemoryMmap<()>,
    pub(crate) recorder: &'a mut Recorder,
}

impl Injector {
    pub(crate) fn new(schedule: Vec<Fault>) -> Self {
        let arm = |(number, fault): (usize, Fault)| {
            let name = fault.name.clone().unwrap_or_else(|| number.to_string()).into();
            Armed { fault, name, seen: 0, struck: 0 }
        };
        Self {
            armed: schedule.into_iter().enumerate().map(arm).collect(),
            stuck: Vec::new(),
            answer: None,
            plan: Plan::default(),
            met: Vec::new(),
            queues: Vec::new(),
            loaded: BTreeSet::new(),
            withheld: Vec::new(),
            commands: Vec::new(),
        }
    }

    /// Whether a fault waits until the guest halts.
    pub(crate) fn waits_for_halt(&self) -> bool {
        self.armed.iter().any(|armed| armed.fault.trigger == Trigger::Halt && !armed.spent())
    }

    /// Whether it matters to a fault that the guest halts.
    pub(crate) fn minds_halts(&self) -> bool {
        self.armed.iter().any(|armed| {
            armed.fault.trigger == Trigger::Halt
                || matches!(armed.fault.action, Action::Swap | Action::Hold)
        })
    }

    /// The next thing that a function is to do.
    pub(crate) fn next_command(&mut self) -> Option<(Bdf, Command)> {
        (!self.commands.is_empty()).then(|| self.commands.remove(0))
    }

    /// The faults of `device` that strike now, of those that `what` triggers.
    pub(super) fn strike(
        &mut self,
        device: Option<Bdf>,
        what: impl Fn(&Trigger) -> bool,
    ) -> Vec<usize> {
        self.strike_where(|fault| {
            device.is_none_or(|device| device == fault.device) && what(&fault.trigger)
        })
    }

    /// The faults that strike now, of those that are `concerned`.
    pub(super) fn strike_where(&mut self, concerned: impl Fn(&Fault) -> bool) -> Vec<usize> {
        let mut striking = Vec::new();
        for (index, armed) in self.armed.iter_mut().enumerate() {
            if !concerned(&armed.fault) {
                continue;
            }
            armed.seen += 1;
            if armed.seen >= armed.fault.nth && !armed.spent() {
                armed.struck += 1;
                striking.push(index);
            }
        }
        striking
    }

    fn action(&self, index: usize) -> Action {
        self.armed[index].fault.action.clone()
    }

    fn device(&self, index: usize) -> Bdf {
        self.armed[index].fault.device
    }

    pub(super) fn record(&self, stage: &mut Stage<'_>, index: usize, effect: Effect) {
        let by = Actor::Device(self.device(index));
        let fault = self.armed[index].name.clone();
        stage.recorder.record(by, Event::Fault { fault, effect: effect.into() });
    }

    /// The guest began an access.
    pub(crate) fn exit(&mut self, stage: &mut Stage<'_>) {
        self.answer = None;
        for index in self.strike(None, |trigger| matches!(trigger, Trigger::Exit)) {
            self.act(stage, index);
        }
    }

    /// The guest halted.
    pub(crate) fn halt(&mut self, stage: &mut Stage<'_>) {
        for index in self.strike(None, |trigger| matches!(trigger, Trigger::Halt)) {
            self.act(stage, index);
        }
    }

    /// The guest accessed `register`. What it gets, or what the device takes; `None`:
    /// nothing of a store.
    pub(crate) fn accessed(
        &mut self,
        stage: &mut Stage<'_>,
        register: &Register,
        access: Access,
    ) -> Option<u64> {
        let Some(device) = register.function() else { return Some(access.value()) };
        match access {
            Access::Load { width, value } => {
                Some(self.loaded(stage, device, register, width, value))
            }
            Access::Store { width, value } => self.stored(stage, device, register, width, value),
        }
    }

    /// What the guest was answered, if that is not what the device answers.
    pub(crate) fn answer(&self) -> Option<u64> {
        self.answer
    }

    fn loaded(
        &mut self,
        stage: &mut Stage<'_>,
        device: Bdf,
        register: &Register,
        width: u8,
        value: u64,
    ) -> u64 {
        // A load through a window is answered with what it got behind it.
        let mut value = self.answer.unwrap_or(value);
        let part = |name: RegisterName| name.part(register, width);
        for at in 0..self.stuck.len() {
            let (index, name, stuck) = self.stuck[at];
            if let Some(part) = part(name).filter(|_| self.device(index) == device) {
                value = self.answered(stage, index, value, part.put(value, stuck));
            }
        }
        let reached = |trigger: &Trigger| match trigger {
            Trigger::Load(name) => part(*name).is_some(),
            Trigger::ConfigLoad(byte) => match register {
                Register::Config { offset, .. } => {
                    (*offset..offset.saturating_add(width.into())).contains(byte)
                }
                _ => false,
            },
            _ => false,
        };
        let whole = RegisterName::Any.part(register, width);
        for index in self.strike(Some(device), reached) {
            let (name, part) = match self.armed[index].fault.trigger {
                Trigger::Load(name) => (name, part(name)),
                _ => (RegisterName::Any, whole),
            };
            let Some(part) = part else { continue };
            match self.action(index) {
                Action::Alter(alter) => {
                    let mask =
                        if name == RegisterName::Any { all_ones(width) } else { name.mask() };
                    let new = part.put(value, alter.apply(part.get(value), mask));
                    value = self.answered(stage, index, value, new);
                }
                Action::Stick => self.stuck.push((index, name, part.get(value))),
                Action::Remove => {
                    value = all_ones(width);
                    self.answer = Some(value);
                    self.act(stage, index);
                }
                _ => self.act(stage, index),
            }
        }
        value
    }

    fn answered(&mut self, stage: &mut Stage<'_>, index: usize, value: u64, new: u64) -> u64 {
        if new != value {
            self.record(stage, index, Effect::Answer { instead_of: value, value: new });
            self.answer = Some(new);
        }
        new
    }

    fn stored(
        &mut self,
        stage: &mut Stage<'_>,
        device: Bdf,
        register: &Register,
        width: u8,
        value: u64,
    ) -> Option<u64> {
        let part = |name: RegisterName| name.part(register, width);
        let reached = |trigger: &Trigger| match (trigger, register) {
            (Trigger::Store(name, only), _) => {
                let whole = |part: Part| only.is_none_or(|only| part.get(value) == only);
                part(*name).is_some_and(whole)
            }
            (Trigger::Notify(queue), Register::Notify { queue: rung, .. }) => queue == rung,
            (Trigger::Notify(queue), Register::Legacy { register: LegacyCfg::QueueNotify, .. }) => {
                u64::from(*queue) == value
            }
            _ => false,
        };
        let mut taken = Some(value);
        for index in self.strike(Some(device), reached) {
            match (self.action(index), taken) {
                (Action::Alter(alter), Some(value)) => {
                    let Trigger::Store(name, _) = self.armed[index].fault.trigger else { continue };
                    let Some(part) = part(name) else { continue };
                    let new = part.put(value, alter.apply(part.get(value), name.mask()));
                    self.record(stage, index, Effect::Stored { instead_of: value, value: new });
                    taken = Some(new);
                }
                (Action::Ignore | Action::Remove, Some(_)) => {
                    self.record(stage, index, Effect::StoreIgnored);
                    taken = None;
                    if self.action(index) == Action::Remove {
                        self.act(stage, index);
                    }
                }
                (Action::Alter(_) | Action::Ignore, None) => {}
                _ => self.act(stage, index),
            }
        }
        taken
    }

    /// Does what needs neither a value nor a request.
    pub(super) fn act(&mut self, stage: &mut Stage<'_>, index: usize) {
        let device = self.device(index);
        let command = match self.action(index) {
            Action::Remove => Command::Remove,
            Action::Interrupt(vector) => Command::Interrupt(vector),
            Action::NeedsReset => Command::NeedsReset,
            Action::Poll(queue) => Command::Poll(queue),
            Action::Capacity(sectors) => Command::Capacity(sectors),
            Action::Release => Command::Release,
            Action::NoInterrupt(of) => return self.withheld.push((index, of)),
            Action::Memory { at, bytes } => {
                let at = self.place(device, at);
                return self.write(stage, index, at, &bytes);
            }
            Action::Descriptor { index: entry, field, value } => {
                let table = self.place(device, Place::Area(Area::Desc, 16 * u64::from(entry)));
                let (offset, width) = field.place();
                let at = table.map(|table| table.wrapping_add(offset));
                let mut bytes = [0; 8];
                let room = &mut bytes[..usize::from(width)];
                let read = at.map(|at| stage.memory.read_slice(room, GuestAddress(at)));
                if !matches!(read, Some(Ok(()))) {
                    return self.record(stage, index, Effect::Nothing);
                }
                let mask = all_ones(width);
                let new = value.apply(u64::from_le_bytes(bytes), mask).to_le_bytes();
                return self.write(stage, index, at, &new[..usize::from(width)]);
            }
            _ => return,
        };
        let effect = match command {
            Command::Remove => Effect::Removed,
            Command::NeedsReset => Effect::NeedsReset,
            Command::Poll(queue) => Effect::Polled { queue },
            Command::Capacity(sectors) => Effect::Capacity { sectors },
            Command::Interrupt(_) => Effect::Interrupt,
            Command::Release => Effect::Released,
        };
        self.record(stage, index, effect);
        self.commands.push((device, command));
    }

    fn write(&mut self, stage: &mut Stage<'_>, index: usize, at: Option<u64>, bytes: &[u8]) {
        let Some(addr) = at else { return self.record(stage, index, Effect::Nothing) };
        let value = (bytes.len() <= 8).then(|| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(word)
        });
        self.record(stage, index, Effect::Memory { addr, len: bytes.len() as u32, value });
        // A fault that aims outside RAM hits nothing, as such a write on a bus would.
        let _ = stage.memory.write_slice(bytes, GuestAddress(addr));
    }

    fn place(&self, device: Bdf, place: Place) -> Option<u64> {
        let met = self.met.iter().find(|(at, _)| *at == device).map(|(_, met)| *met);
        let met = met.unwrap_or_default();
        let (start, offset) = match place {
            Place::Address(address) => return Some(address),
            Place::Data(offset) => (met.data, offset),
            Place::Indirect(offset) => (met.indirect, offset),
            Place::Area(Area::Desc, offset) => (met.desc, offset),
            Place::Area(Area::Avail, offset) => (met.avail, offset),
            Place::Area(Area::Used, offset) => (met.used, offset),
        };
        start.map(|start| start.wrapping_add(offset))
    }

    pub(super) fn met(&mut self, device: Bdf) -> &mut Met {
        let at = match self.met.iter().position(|(at, _)| *at == device) {
            Some(at) => at,
            None => {
                self.met.push((device, Met::default()));
                self.met.len() - 1
            }
        };
        &mut self.met[at].1
    }
}

fn all_ones(width: u8) -> u64 {
    crate::platform::all_ones(width)
}
