//! Driver and devices in one process, without KVM.

mod drivers;
mod raised;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use eclipse_devices::disk::Disk;
use eclipse_devices::fault::Fault;
use eclipse_devices::virtio::BlkConfig;
use eclipse_devices::watch::{Watch, Watching};
use eclipse_devices::{Completion, Host, Platform, PlatformConfig, Preset, Ram, Space, Stop};
#[cfg(feature = "mutants")]
use eclipse_kernel::mutant::Mutant;
use eclipse_trace::{Actor, Bdf, Entry, Event, MemoryKind, Recorder, Summary, text};
use vm_memory::{GuestAddress, GuestMemoryMmap};

use crate::dma::DmaMap;
use raised::Raised;

/// A machine without a processor: the emulated devices, RAM, and a record.
///
/// The test is the processor. It accesses the machine directly, or runs a driver
/// over it; clones are the same machine.
#[derive(Clone)]
pub struct Loopback {
    machine: Rc<RefCell<Machine>>,
    /// What of RAM is watched, beside the machine: a driver's accesses to memory are many.
    watching: Rc<Cell<Watching>>,
}

struct Machine {
    memory: GuestMemoryMmap<()>,
    platform: Platform,
    recorder: Recorder,
    wires: Raised,
    dma: DmaMap,
    vectors: u32,
    /// Virtual time: it passes with accesses and with waits, never by itself.
    clock: Duration,
    /// Whether the drivers' marks are said.
    marks: bool,
    /// Which mistake the drivers over it make.
    #[cfg(feature = "mutants")]
    mutant: Option<Mutant>,
}

impl Loopback {
    const RAM: usize = 16 << 20;

    /// A machine with the devices of `preset`, and `disk` behind its block device.
    pub fn new(preset: Preset, disk: impl Disk + 'static) -> Self {
        Self::with_block(preset, disk, BlkConfig::default())
    }

    /// The same, with a block device that says of itself what `block` says.
    pub fn with_block(preset: Preset, disk: impl Disk + 'static, block: BlkConfig) -> Self {
        let mut config = preset.config(Box::new(disk));
        for device in &mut config.blocks {
            device.blk = block.clone();
        }
        Self::with(config)
    }

    /// A machine with the devices of `config`.
    ///
    /// # Panics
    /// They cannot be like that.
    pub fn with(config: PlatformConfig) -> Self {
        Self::with_faults(config, Vec::new(), Ram::Direct)
    }

    /// A machine with the devices of `config` and the faults of `schedule`, from power-on.
    ///
    /// The guest's drivers access their rings through pointers, which nobody sees: for them
    /// `ram` is [`Ram::Direct`]. With [`Ram::Watched`] the test has to go through
    /// [`Loopback::load_ram`] and [`Loopback::store_ram`].
    ///
    /// # Panics
    /// They cannot be like that.
    pub fn with_faults(config: PlatformConfig, schedule: Vec<Fault>, ram: Ram) -> Self {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), Self::RAM)])
            .expect("the host gives the guest its RAM");
        let machine = Machine {
            memory,
            platform: Platform::with_faults(config, &schedule, ram)
                .unwrap_or_else(|error| panic!("{error}")),
            recorder: Recorder::new(),
            wires: Raised::default(),
            dma: DmaMap::default(),
            vectors: 0,
            clock: Duration::ZERO,
            marks: false,
            #[cfg(feature = "mutants")]
            mutant: None,
        };
        let machine = Rc::new(RefCell::new(machine));
        let machine = Self { machine, watching: Rc::default() };
        machine.inject(schedule);
        machine
    }

    /// The same machine with `recorder` in place of one that keeps everything, for what goes on
    /// too long for that or for a judge, who is told what is RAM.
    pub fn recorded_by(self, mut recorder: Recorder) -> Self {
        if recorder.is_witness() {
            let (kind, len) = (MemoryKind::Ram, Self::RAM as u64);
            recorder.record(Actor::Guest, Event::Memory { kind, start: 0, len });
        }
        let mut machine = self.machine.borrow_mut();
        // What faults did to the machine before it was there.
        for Entry { by, event, .. } in machine.recorder.entries() {
            recorder.record(*by, event.clone());
        }
        machine.recorder = recorder;
        drop(machine);
        self
    }

    /// Records these accesses of the guest's drivers to DMA memory from now on, and the barriers
    /// among them. A copy is recorded in the pieces in which the bootable image makes it.
    pub fn watch(&self, watching: Watching) {
        let Machine { memory, platform, recorder, wires, .. } = &mut *self.machine.borrow_mut();
        platform.watch(&Host::new(memory, wires, recorder), watching);
        self.watching.set(watching);
    }

    /// The same machine, whose drivers say at the debug mark what no access shows, as the image
    /// does with `marks=on`.
    pub fn marking(self) -> Self {
        self.machine.borrow_mut().marks = true;
        self
    }

    /// Has the drivers over it make this mistake.
    #[cfg(feature = "mutants")]
    pub fn make(&self, mutant: Option<Mutant>) {
        self.machine.borrow_mut().mutant = mutant;
    }

    /// What was recorded so far, in numbers.
    pub fn summary(&self) -> Summary {
        self.machine.borrow().recorder.summary().clone()
    }

    /// Puts `disk` on the primary channel of the IDE controller.
    pub fn attach_ata(&self, disk: impl Disk + 'static) {
        self.machine.borrow_mut().platform.attach_ata(Box::new(disk));
    }

    /// Gives the disk of `function` another size while it is in use.
    pub fn set_capacity(&self, function: Bdf, sectors: u64) -> io::Result<()> {
        let Machine { memory, platform, recorder, wires, .. } = &mut *self.machine.borrow_mut();
        platform.set_capacity(&mut Host::new(memory, wires, recorder), function, sectors)
    }

    /// Whether and how the test asked to end the run.
    pub fn stop(&self) -> Option<Stop> {
        self.machine.borrow().platform.stop()
    }

    /// Loads from a port or from device memory, `width` bytes wide.
    pub fn load(&self, space: Space, address: u64, width: u8) -> u64 {
        let Machine { memory, platform, recorder, wires, .. } = &mut *self.machine.borrow_mut();
        platform.load(&mut Host::new(memory, wires, recorder), space, address, width)
    }

    /// Stores to a port or to device memory, `width` bytes wide.
    pub fn store(&self, space: Space, address: u64, width: u8, value: u64) {
        let Machine { memory, platform, recorder, wires, .. } = &mut *self.machine.borrow_mut();
        platform.store(&mut Host::new(memory, wires, recorder), space, address, width, value);
    }

    /// Loads from RAM, as a guest does that leaves its processor for it where a fault wants
    /// to see that.
    pub fn load_ram(&self, address: u64, width: u8) -> u64 {
        let Machine { memory, platform, recorder, wires, .. } = &mut *self.machine.borrow_mut();
        platform.load_ram(&mut Host::new(memory, wires, recorder), address, width)
    }

    /// Stores to RAM in the same way.
    pub fn store_ram(&self, address: u64, width: u8, value: u64) {
        let Machine { memory, platform, recorder, wires, .. } = &mut *self.machine.borrow_mut();
        platform.store_ram(&mut Host::new(memory, wires, recorder), address, width, value);
    }

    /// The parts of RAM that faults want to see accesses to.
    pub fn watches(&self) -> Vec<Watch> {
        self.machine.borrow().platform.watches().to_vec()
    }

    /// Has every device complete its requests by `completion` from now on.
    pub fn complete_by(&self, completion: Completion) {
        self.machine.borrow_mut().platform.set_completion(completion);
    }

    /// Puts a schedule of faults to work.
    ///
    /// # Panics
    /// One of them can never strike.
    pub fn inject(&self, faults: Vec<Fault>) {
        let Machine { memory, platform, recorder, wires, .. } = &mut *self.machine.borrow_mut();
        let injected = platform.set_faults(&mut Host::new(memory, wires, recorder), faults);
        injected.unwrap_or_else(|(number, why)| panic!("fault {number}: {why}"));
    }

    /// The guest halts; whether a device completed something.
    pub fn halt(&self) -> bool {
        let Machine { memory, platform, recorder, wires, .. } = &mut *self.machine.borrow_mut();
        platform.idle(&mut Host::new(memory, wires, recorder))
    }

    /// Says that the run is to end, so that devices break off what takes long.
    pub fn end_run(&self) {
        self.machine.borrow_mut().wires.stopping = true;
    }

    /// The machine's RAM.
    pub fn memory(&self) -> GuestMemoryMmap<()> {
        self.machine.borrow().memory.clone()
    }

    /// Everything recorded so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.machine.borrow().recorder.entries().to_vec()
    }

    /// How much was recorded so far.
    pub fn recorded(&self) -> usize {
        self.machine.borrow().recorder.entries().len()
    }

    /// What was recorded from entry `from` on.
    pub fn entries_from(&self, from: usize) -> Vec<Entry> {
        self.machine.borrow().recorder.entries()[from..].to_vec()
    }

    /// The transcript from entry `from` on, memory named by what lies there.
    pub fn transcript_from(&self, from: usize) -> String {
        let entries = self.entries();
        text::symbolic(&entries[from..], &entries)
    }

    /// What was printed on the console.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&self.machine.borrow().wires.console).into_owned()
    }

    /// Takes one interrupt with this message data; `false` when none was raised.
    pub fn take_interrupt(&self, data: u32) -> bool {
        match self.machine.borrow_mut().wires.messages.get_mut(&data) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }

    /// Whether interrupt line `gsi` is high.
    pub fn line(&self, gsi: u32) -> bool {
        self.machine.borrow().wires.lines.get(&gsi).copied().unwrap_or(false)
    }

    /// Bytes of DMA memory that are allocated now.
    pub fn dma_allocated(&self) -> usize {
        self.machine.borrow().dma.allocated()
    }
}
