//! A machine: put together, run once, and what came of it.

use std::{
    fs::File,
    io,
    ops::Range,
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use eclipse_devices::{
    Platform, PlatformConfig, Preset, Ram,
    disk::{MemoryDisk, default_image},
    fault::Fault,
    watch::Watching,
};
use eclipse_trace::{MemoryKind, Recorder};
use kvm_ioctls::{Cap, SyncReg, VcpuFd, VmFd};

use crate::{
    Death, Error, Kernel, Outcome, PostMortem, Signals, Timing,
    board::Board,
    boot::pvh,
    host_loop::{self, Control, Ended, ExitFlag, Kick, Sources},
    irq::Lines,
    kvm, memory,
    slots::Slots,
    stepping::Stepping,
    vcpu::{Cpu, Halt},
};

/// What a machine is made of.
pub struct Config {
    /// The guest's kernel.
    pub kernel: Kernel,
    /// Bytes of RAM: see [`memory::check_size`].
    pub memory: u64,
    /// The guest's command line.
    pub cmdline: String,
    /// Which devices there are, and their disks.
    pub devices: PlatformConfig,
    /// What the devices do wrong.
    pub faults: Vec<Fault>,
    /// Which of the guest's accesses to its own memory are recorded.
    pub watching: Watching,
    /// KVM's device.
    pub kvm: PathBuf,
}

impl Default for Config {
    /// The embedded kernel and the default disk in 64 MiB of RAM.
    fn default() -> Self {
        Self {
            kernel: Kernel::embedded(),
            memory: memory::DEFAULT_SIZE,
            cmdline: String::new(),
            devices: Preset::default().config(Box::new(MemoryDisk::new(default_image()))),
            faults: Vec::new(),
            watching: Watching::default(),
            kvm: "/dev/kvm".into(),
        }
    }
}

/// Takes what the guest prints, as it prints it.
pub trait Console: Send {
    /// Prints `bytes`. An implementation that may wait for its reader gives up when `stopping`.
    fn print(&mut self, bytes: &[u8], stopping: &dyn Fn() -> bool) -> io::Result<()>;
}

/// How a machine is run.
pub struct RunOptions<'a> {
    /// A guest that has not ended by then hangs.
    pub timeout: Duration,
    /// Takes what the guest prints; it is also kept in [`Run::console`].
    pub console: Option<Box<dyn Console>>,
    /// What goes to the guest's serial port.
    pub input: Option<File>,
    /// Signals that end the run.
    pub signals: Option<&'a Signals>,
    /// Keeps what happens.
    pub recorder: Recorder,
}

impl RunOptions<'_> {
    /// The time that a guest has when nothing else is said.
    pub const TIMEOUT: Duration = Duration::from_secs(30);
}

impl Default for RunOptions<'_> {
    /// Nobody listens and nobody types; everything is recorded.
    fn default() -> Self {
        Self {
            timeout: Self::TIMEOUT,
            console: None,
            input: None,
            signals: None,
            recorder: Recorder::new(),
        }
    }
}

/// A machine that is ready to run.
pub struct Machine {
    kernel: Kernel,
    /// What memory is for, as far as that is known before the guest runs.
    map: Vec<(MemoryKind, Range<u64>)>,
    vm: Arc<VmFd>,
    slots: Slots,
    vcpu: VcpuFd,
    /// Whether KVM tells the vCPU's registers at each exit.
    tells_registers: bool,
    /// Whether the vCPU's state at each exit is to be kept.
    keeps_state: bool,
    memory: vm_memory::GuestMemoryMmap<()>,
    platform: Platform,
    faults: Vec<Fault>,
    watching: Watching,
}

/// What came of a run.
pub struct Run {
    /// What became of the guest.
    pub outcome: Outcome,
    /// What happened.
    pub recorder: Recorder,
    /// What the guest printed, the first MiB of it.
    pub console: Vec<u8>,
    /// Where the time went.
    pub timing: Timing,
    /// What is left of a guest that died.
    pub post_mortem: Option<PostMortem>,
    /// What ran: it has the names for the addresses of instructions.
    pub kernel: Kernel,
}

impl Machine {
    /// Puts a machine together: checks everything, then creates it and loads the kernel.
    pub fn new(config: Config) -> Result<Self, Error> {
        memory::check_size(config.memory).map_err(Error::MemorySize)?;
        pvh::check_command_line(&config.cmdline)?;
        let image = config.kernel.check(config.memory)?;
        let platform = Platform::with_faults(config.devices, &config.faults, Ram::Watched)
            .map_err(Error::devices)?;
        let host = kvm::open(&config.kvm)?;

        let memory = memory::create(config.memory)?;
        config.kernel.load(&memory)?;
        pvh::write_boot_info(&memory, config.memory, &config.cmdline)?;

        let vm = host.create_vm().map_err(Error::kvm("create a virtual machine"))?;
        let vm = Arc::new(vm);
        // RAM comes first: once there are chips, KVM takes 5 ms to add a slot.
        let slots = Slots::new(Arc::clone(&vm), memory.clone())?;
        slots.check(config.watching)?;
        Stepping::check(&vm, config.watching)?;
        kvm::create_chips(&vm)?;
        let mut vcpu = vm.create_vcpu(0).map_err(Error::kvm("create a vCPU"))?;
        let features = kvm::features(&host)?;
        vcpu.set_cpuid2(&features).map_err(Error::kvm("set the vCPU's features"))?;
        pvh::enter(&vcpu, image.entry)?;
        let tells_registers = vm.check_extension(Cap::SyncRegs);
        let keeps_state = kvm::resets_at_triple_fault(&features) && tells_registers;
        if keeps_state {
            vcpu.set_sync_valid_reg(SyncReg::Register);
            vcpu.set_sync_valid_reg(SyncReg::SystemRegister);
        }
        let ram = memory::ram(config.memory).into_iter().map(|range| (MemoryKind::Ram, range));
        let text = image.text.into_iter().map(|range| (MemoryKind::Text, range));
        Ok(Self {
            kernel: config.kernel,
            map: ram.chain(text).collect(),
            vm,
            slots,
            vcpu,
            tells_registers,
            keeps_state,
            memory,
            platform,
            faults: config.faults,
            watching: config.watching,
        })
    }

    /// Runs the guest to its end, which comes with the timeout at the latest.
    pub fn run(self, options: RunOptions<'_>) -> Result<Run, Error> {
        let RunOptions { timeout, console, input, signals, recorder } = options;
        Kick::prepare()?;
        let control = Arc::new(Control::new()?);
        let flag = ExitFlag::new(&self.vcpu)?;
        let mut board = Board {
            memory: self.memory,
            platform: self.platform,
            lines: Lines::new(self.vm, console, Arc::clone(&control)),
            slots: self.slots,
            recorder,
        };
        board.tell_memory(&self.map);
        board.watch(self.watching);
        board.inject(self.faults)?;
        let defers = board.platform.may_defer();
        let witness = board.recorder.is_witness() && self.tells_registers;
        let mut cpu = Cpu::new(self.vcpu, board, Arc::clone(&control), self.keeps_state);
        if witness {
            cpu.tell_instructions();
        }
        let thread = spawn(cpu)?;
        let kick = Kick::new(flag, &thread);
        let sources = Sources { timeout, defers, input, signals };
        let ended = host_loop::watch(&control, &kick, sources).inspect_err(|_| {
            control.stop();
            // There is nothing more to do about a thread that cannot be reached.
            let _ = kick.kick();
        });
        drop(kick);
        let (cpu, halt) = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let outcome = match (halt?, ended?) {
            (Halt::Guest(outcome), _) => outcome,
            (Halt::Asked, Ended::Signal(signal)) => Outcome::Interrupted { signal },
            (Halt::Asked, _) => Outcome::Died(Death::Hang(timeout)),
        };
        close(cpu, outcome, self.kernel)
    }
}

/// The processor after its thread's end, and why it stopped.
type Stopped = (Cpu, Result<Halt, Error>);

fn spawn(mut cpu: Cpu) -> Result<JoinHandle<Stopped>, Error> {
    /// Wakes the host loop however the thread ends.
    struct Finish(Arc<Control>);
    impl Drop for Finish {
        fn drop(&mut self) {
            self.0.finish();
        }
    }
    let finish = Finish(Arc::clone(&cpu.control));
    thread::Builder::new()
        .name("vcpu".into())
        .spawn(move || {
            let _finish = finish;
            let halt = cpu.run();
            (cpu, halt)
        })
        .map_err(Error::host("start a thread"))
}

fn close(mut cpu: Cpu, outcome: Outcome, kernel: Kernel) -> Result<Run, Error> {
    cpu.board.finish();
    let post_mortem = match &outcome {
        Outcome::Died(death) => {
            cpu.settle(death);
            let events = cpu.board.recorder.entries();
            let symbols = kernel.symbols();
            let death = death.clone();
            Some(PostMortem::new(death, cpu.state()?, &cpu.board.memory, &symbols, events))
        }
        _ => None,
    };
    Ok(Run {
        outcome,
        recorder: cpu.board.recorder,
        console: cpu.board.lines.printed,
        timing: cpu.timing,
        post_mortem,
        kernel,
    })
}
