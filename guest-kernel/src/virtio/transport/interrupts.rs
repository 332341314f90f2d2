//! How the device reaches the driver: by messages, by its line, or not at all.

use alloc::vec::Vec;
use core::fmt;

use super::interface::{Event, Interface};
use crate::{
    hal::{Hal, Interrupt, Vector},
    log,
    mutant::mutated,
    pci::{
        self, ConfigSpace,
        msix::{Msix, Table},
    },
};

/// Which kind of interrupt a driver wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signalling {
    /// MSI-X; where that cannot be, INTx#; where that cannot be, polling.
    #[default]
    Best,
    /// INTx#; where that cannot be, polling.
    Line,
    /// None: the driver looks at the rings.
    Polling,
}

/// Why MSI-X is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NoMessages {
    Absent,
    Unreachable(pci::Error),
    NoVector,
    Refused { entry: u16, answer: u16 },
}

impl fmt::Display for NoMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("no MSI-X"),
            Self::Unreachable(why) => write!(f, "no MSI-X table: {why}"),
            Self::NoVector => f.write_str("no vector left"),
            Self::Refused { entry, answer } => {
                write!(f, "MSI-X entry {entry} refused: {answer:#06x} was read back")
            }
        }
    }
}

/// What the device does when it has something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Nothing.
    Polling,
    /// It asserts its line, and says in ISR why.
    Line(Interrupt),
    /// It sends messages, by this many entries of its table.
    Messages(u16),
}

/// The interrupts of a device.
#[derive(Debug)]
pub(super) struct Interrupts<H: Hal> {
    hal: H,
    /// The pin that the function asserts, and the line that it is connected to.
    line: Option<u8>,
    table: Result<Table<H>, NoMessages>,
    /// What the machine has set aside for the entries; kept over a reset.
    vectors: Vec<Vector>,
    way: Way,
}

impl<H: Hal> Interrupts<H> {
    /// Makes the MSI-X table reachable, if there is one.
    pub fn open(hal: &H, space: &ConfigSpace<H>, device: &pci::Device, msix: Option<Msix>) -> Self {
        let table = match msix {
            None => Err(NoMessages::Absent),
            Some(msix) => msix.map(hal, space, device).map_err(|why| {
                if msix.is_enabled() {
                    msix.turn_off(space);
                }
                NoMessages::Unreachable(why)
            }),
        };
        Self {
            hal: hal.clone(),
            line: device.line(),
            table,
            vectors: Vec::new(),
            way: Way::Polling,
        }
    }

    /// Whether MSI-X is on, whoever turned it on.
    pub fn msix(&self) -> bool {
        self.table.as_ref().is_ok_and(Table::is_enabled)
    }

    /// Whether the function is to assert its line.
    pub fn uses_line(&self) -> bool {
        matches!(self.way, Way::Line(_))
    }

    /// Whether one message is for all that the device has to say.
    pub fn share_a_message(&self) -> bool {
        self.way == Way::Messages(1)
    }

    /// Sets interrupts up for a device that was just reset, with everything still masked.
    pub fn set_up(&mut self, registers: &dyn Interface<H>, queues: u16, wanted: Signalling) {
        self.way = Way::Polling;
        match wanted {
            Signalling::Best => {
                if let Err(why) = self.use_messages(registers, queues) {
                    self.fall_back(&why);
                }
            }
            Signalling::Line => {
                self.turn_msix_off();
                if !self.use_line() {
                    log!(self.hal, "[VirtIO]   Interrupts: polling (no line)");
                }
            }
            Signalling::Polling => self.turn_msix_off(),
        }
    }

    /// Maps the selected queue to its entry, where messages are used.
    pub fn map_queue(&mut self, registers: &dyn Interface<H>, queue: u16) {
        let Some(entry) = self.entry(queue) else { return };
        if mutated!(&self.hal, M85) {
            return;
        }
        let entry = if mutated!(&self.hal, M175) { 0x7ff } else { entry };
        // VIRTIO 1.4, 4.1.5.1.2.2: the driver MUST verify by reading the field back.
        let answer = registers.map_vector(Event::Queue, entry);
        if answer != entry {
            // Queues that are mapped already interrupt by the line as well, once MSI-X is off.
            self.fall_back(&NoMessages::Refused { entry, answer });
        }
    }

    /// What interrupts when a queue has used buffers.
    pub fn queue(&self, queue: u16) -> Option<Interrupt> {
        match self.way {
            Way::Polling => None,
            Way::Line(interrupt) => Some(interrupt),
            Way::Messages(_) => self.interrupt(self.entry(queue)?),
        }
    }

    /// What interrupts when the configuration changes.
    pub fn configuration(&self) -> Option<Interrupt> {
        match self.way {
            Way::Polling => None,
            Way::Line(interrupt) => Some(interrupt),
            Way::Messages(_) => self.interrupt(0),
        }
    }

    /// Unmasks the entries.
    pub fn unmask(&self) {
        if let (Way::Messages(entries), Ok(table)) = (self.way, &self.table) {
            for entry in 0..entries {
                table.unmask(entry);
            }
        }
    }

    /// Turns MSI-X off if it is on.
    pub fn turn_msix_off(&mut self) {
        if let Ok(table) = &mut self.table {
            table.disable();
        }
    }

    /// Entry 0 is for configuration changes; the queues share the others, and entry 0 too where
    /// there is no other.
    fn entry(&self, queue: u16) -> Option<u16> {
        match self.way {
            Way::Messages(1) => Some(0),
            Way::Messages(entries) => Some(1 + queue % (entries - 1)),
            _ => None,
        }
    }

    fn interrupt(&self, entry: u16) -> Option<Interrupt> {
        self.vectors.get(usize::from(entry)).map(|vector| vector.interrupt)
    }

    fn use_messages(
        &mut self,
        registers: &dyn Interface<H>,
        queues: u16,
    ) -> Result<(), NoMessages> {
        let table = self.table.as_mut().map_err(|why| *why)?;
        let wanted = table.entries().min(queues.saturating_add(1));
        while self.vectors.len() < usize::from(wanted) {
            // With fewer vectors the queues share them.
            let Some(vector) = self.hal.allocate_vector() else { break };
            self.vectors.push(vector);
        }
        let vectors = &self.vectors[..self.vectors.len().min(wanted.into())];
        if vectors.is_empty() {
            return Err(NoMessages::NoVector);
        }
        let entries = vectors.len() as u16;
        table.hold(entries);
        if mutated!(&self.hal, M86) {
            table.enable();
            table.unmask(0);
        }
        for (entry, vector) in (0..).zip(vectors) {
            table.program(entry, *vector);
        }
        table.enable();
        self.way = Way::Messages(entries);
        if mutated!(&self.hal, M85) {
            registers.map_vector(Event::Queue, 1);
        }
        match registers.map_vector(Event::Configuration, 0) {
            0 => Ok(()),
            answer => Err(NoMessages::Refused { entry: 0, answer }),
        }
    }

    /// Does without messages, and says why.
    fn fall_back(&mut self, why: &NoMessages) {
        self.turn_msix_off();
        if !self.use_line() {
            log!(self.hal, "[VirtIO]   Interrupts: polling ({why}, no line)");
        } else if let Some(line) = self.line {
            log!(self.hal, "[VirtIO]   Interrupts: INTx line {line} ({why})");
        }
    }

    /// Whether the line leads somewhere.
    fn use_line(&mut self) -> bool {
        let interrupt = self.line.and_then(|line| self.hal.connect_line(line));
        self.way = interrupt.map_or(Way::Polling, Way::Line);
        interrupt.is_some()
    }
}
