mod faults;
mod ram;

use std::io;

use eclipse_trace::{Access, Bdf, Refusal, Register, Setting, Space};

use crate::Host;
use crate::ata::Ata;
use crate::config::{ConfigError, PlatformConfig, Preset};
use crate::debug_exit::DebugExit;
use crate::disk::Disk;
use crate::fault::{Fault, Injector, Machine, Target};
use crate::pci::PciBus;
use crate::schedule::{Completion, Occasion};
use crate::serial::Serial;
use crate::watch::{Watch, Watcher};

/// How the guest asked to end the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It left through the debug exit with this code.
    Exit(u8),
    /// It reset the machine, through the keyboard controller or the reset control register.
    Reset,
}

/// All devices of a machine, and the decoding of addresses to them.
pub struct Platform {
    pci: PciBus,
    serial: Serial,
    debug_exit: DebugExit,
    /// The disk for programmed I/O, if there is one.
    ata: Option<Ata>,
    reset: bool,
    reset_control: u8,
    completion: Completion,
    /// What faults can name here.
    target: Target,
    /// How a schedule had it put together.
    settings: Vec<(Bdf, Setting, u64)>,
    faults: Option<Box<Injector>>,
    watcher: Watcher,
    /// What the faults at work and the watcher have to see of the guest's memory.
    watches: Vec<Watch>,
}

/// Who carries out the guest's accesses to its own memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ram {
    /// The guest itself: nobody sees them.
    #[default]
    Direct,
    /// The machine, where they meet [`Platform::watches`]: by [`Platform::load_ram`] and
    /// [`Platform::store_ram`].
    Watched,
}

impl Platform {
    /// The port at which a guest tells the record something, 32 bits wide.
    pub const DEBUG_MARK: u64 = 0xe0;

    /// The devices of `preset`, with `disk` behind the block device.
    pub fn new(preset: Preset, disk: Box<dyn Disk>) -> Self {
        Self::with(preset.config(disk)).expect("a preset can be put together")
    }

    /// The devices of `config`.
    ///
    /// # Errors
    /// They cannot be like that.
    pub fn with(config: PlatformConfig) -> Result<Self, ConfigError> {
        Self::with_faults(config, &[], Ram::Direct)
    }

    /// The devices of `config` as `schedule` has them put together; it is to be put to
    /// work by [`Platform::set_faults`].
    ///
    /// # Errors
    /// They cannot be like that, or a fault can never strike.
    pub fn with_faults(
        mut config: PlatformConfig,
        schedule: &[Fault],
        ram: Ram,
    ) -> Result<Self, ConfigError> {
        let machine = Machine::of(&mut config, schedule, ram == Ram::Watched)
            .map_err(|(number, why)| ConfigError::Fault { number, why })?;
        let completion = config
            .blocks
            .iter()
            .map(|block| block.completion)
            .max_by_key(|completion| *completion != Completion::Immediate);
        let ata = config.ata.take();
        let mut platform = Self {
            pci: config.build(machine.others)?,
            serial: Serial::new(),
            debug_exit: DebugExit::default(),
            ata: None,
            reset: false,
            reset_control: 0,
            completion: completion.unwrap_or_default(),
            target: machine.target,
            settings: machine.settings,
            faults: None,
            watcher: Watcher::default(),
            watches: Vec::new(),
        };
        if let Some(disk) = ata {
            platform.attach_ata(disk);
        }
        Ok(platform)
    }

    /// Puts `disk` on the IDE controller, as the master of the primary channel.
    pub fn attach_ata(&mut self, disk: Box<dyn Disk>) {
        self.pci.switch_io_on(Ata::FUNCTION);
        self.ata = Some(Ata::new(disk));
    }

    /// The drive, if `address` is one of its ports and the controller decodes ports
    /// (COMMAND bit 0 of 00:01.1).
    fn ata(&mut self, space: Space, address: u64) -> Option<&mut Ata> {
        let claimed = space == Space::Port && Ata::claims(address);
        let decoded = claimed && self.pci.decodes_io(Ata::FUNCTION);
        self.ata.as_mut().filter(|_| decoded)
    }

    /// Answers a load of `width` bytes (1 to 8); the value is in the low bytes.
    ///
    /// What no device answers reads as all ones.
    pub fn load(&mut self, host: &mut Host<'_>, space: Space, address: u64, width: u8) -> u64 {
        self.watcher.leave_passage();
        let Some(mut faults) = self.faults.take() else {
            let value = self.answer(host, space, address, width);
            self.exit(host);
            return value;
        };
        self.enter(host, &mut faults);
        let value = self.answer(&mut host.injecting(Some(&mut faults)), space, address, width);
        let value = faults.answer().unwrap_or(value) & all_ones(width);
        self.leave(host, faults);
        value
    }

    fn answer(&mut self, host: &mut Host<'_>, space: Space, address: u64, width: u8) -> u64 {
        if let Some(ata) = self.ata(space, address) {
            return ata.load(host, address, width);
        }
        match (space, address) {
            (Space::Port, SERIAL_FIRST..=SERIAL_LAST) if width == 1 => {
                self.serial.load(host, (address - SERIAL_FIRST) as u8).into()
            }
            (Space::Port, RESET_CONTROL) if width == 1 => {
                let value = self.reset_control.into();
                host.accessed(Register::ResetControl, Access::Load { width, value });
                value
            }
            (Space::Port, KEYBOARD_COMMAND) if width == 1 => {
                // Both buffers empty: the controller takes the next command at once.
                let value = 0;
                host.accessed(Register::KeyboardCommand, Access::Load { width, value });
                value
            }
            _ => self.pci.load(host, space, address, width).unwrap_or_else(|| {
                let value = all_ones(width);
                let register = Register::Unclaimed { space, address };
                host.refused(register, Access::Load { width, value }, Refusal::Unclaimed);
                value
            }),
        }
    }

    /// Carries out a store of the low `width` bytes (1 to 8) of `value`.
    pub fn store(
        &mut self,
        host: &mut Host<'_>,
        space: Space,
        address: u64,
        width: u8,
        value: u64,
    ) {
        let value = value & all_ones(width);
        self.watcher.leave_passage();
        let Some(mut faults) = self.faults.take() else {
            self.carry_out(host, space, address, width, value);
            return self.exit(host);
        };
        self.enter(host, &mut faults);
        let mut injecting = host.injecting(Some(&mut faults));
        self.carry_out(&mut injecting, space, address, width, value);
        self.leave(host, faults);
    }

    fn carry_out(
        &mut self,
        host: &mut Host<'_>,
        space: Space,
        address: u64,
        width: u8,
        value: u64,
    ) {
        if let Some(ata) = self.ata(space, address) {
            return ata.store(host, address, width, value);
        }
        match (space, address) {
            (Space::Port, SERIAL_FIRST..=SERIAL_LAST) if width == 1 => {
                self.serial.store(host, (address - SERIAL_FIRST) as u8, value as u8);
            }
            // It only tells the record something.
            (Space::Port, DEBUG_MARK) if width == 4 => {
                host.accessed(Register::DebugMark, Access::Store { width, value });
            }
            (Space::Port, DEBUG_EXIT) => self.debug_exit.store(host, width, value),
            (Space::Port, RESET_CONTROL) if width == 1 => {
                host.accessed(Register::ResetControl, Access::Store { width, value });
                // A rising bit 2 resets, bit 1 says how hard.
                let rises = value as u8 & !self.reset_control;
                self.reset |= rises & RESET_CONTROL_CPU != 0;
                self.reset_control = value as u8 & RESET_CONTROL_WRITABLE;
            }
            (Space::Port, KEYBOARD_COMMAND) if width == 1 => {
                host.accessed(Register::KeyboardCommand, Access::Store { width, value });
                self.reset |= value == KEYBOARD_PULSE_RESET;
            }
            _ => {
                if self.pci.store(host, space, address, width, value).is_none() {
                    let register = Register::Unclaimed { space, address };
                    host.refused(register, Access::Store { width, value }, Refusal::Unclaimed);
                }
            }
        }
    }

    /// An access is over.
    fn exit(&mut self, host: &mut Host<'_>) {
        if self.may_defer() {
            self.pci.resume(host, Occasion::Exit);
        }
        self.look(host);
    }

    /// Has every device complete its requests by `completion` from now on.
    pub fn set_completion(&mut self, completion: Completion) {
        self.completion = completion;
        self.pci.set_completion(completion);
    }

    /// Whether a device may ever wait until the guest halts.
    pub fn may_defer(&self) -> bool {
        let minds = self.faults.as_ref().is_some_and(|faults| faults.minds_halts());
        minds || self.completion != Completion::Immediate
    }

    fn waits_for_halt(&self) -> bool {
        self.faults.as_ref().is_some_and(|faults| faults.waits_for_halt())
    }

    /// Whether a device took requests that it has not completed.
    pub fn has_deferred(&self) -> bool {
        self.waits_for_halt() || self.may_defer() && self.pci.defers()
    }

    /// The guest halted: what waits is completed. Returns whether there was anything.
    pub fn idle(&mut self, host: &mut Host<'_>) -> bool {
        let deferred = self.has_deferred();
        let Some(mut faults) = self.faults.take() else {
            if deferred {
                self.pci.resume(host, Occasion::Halt);
                self.look(host);
            }
            return deferred;
        };
        if let Some((faults, mut stage)) = host.injecting(Some(&mut faults)).stage() {
            faults.halt(&mut stage);
        }
        self.obey(host, &mut faults);
        self.pci.resume(&mut host.injecting(Some(&mut faults)), Occasion::Halt);
        self.obey(host, &mut faults);
        self.lay_down(host, faults);
        deferred
    }

    /// Gives the disk of the block device `function` another size while it is in use;
    /// its driver is notified (VIRTIO 1.4, 5.2.6.2).
    ///
    /// # Errors
    /// There is no such device, or its disk cannot have that size.
    pub fn set_capacity(
        &mut self,
        host: &mut Host<'_>,
        function: Bdf,
        sectors: u64,
    ) -> io::Result<()> {
        self.pci.set_capacity(host, function, sectors)
    }

    /// Whether and how the guest asked to end the run; to be looked at after each store.
    pub fn stop(&self) -> Option<Stop> {
        let exit = self.debug_exit.code().map(Stop::Exit);
        exit.or(self.reset.then_some(Stop::Reset))
    }

    /// Gives COM1 what the user typed; returns how many bytes it had room for.
    pub fn serial_input(&mut self, host: &mut Host<'_>, bytes: &[u8]) -> usize {
        self.serial.receive(host, bytes)
    }

    /// Ends the record: a console line that was begun and not ended is recorded.
    pub fn finish(&mut self, host: &mut Host<'_>) {
        self.serial.finish(host);
    }
}

const SERIAL_FIRST: u64 = Serial::PORT as u64;
const SERIAL_LAST: u64 = SERIAL_FIRST + 7;
const DEBUG_MARK: u64 = Platform::DEBUG_MARK;
const DEBUG_EXIT: u64 = DebugExit::PORT as u64;
/// The reset control register of a PIIX3, which lies among the bytes of CONFIG_ADDRESS.
const RESET_CONTROL: u64 = 0xcf9;
const RESET_CONTROL_CPU: u8 = 1 << 2;
const RESET_CONTROL_WRITABLE: u8 = 0x06;
const KEYBOARD_COMMAND: u64 = 0x64;
const KEYBOARD_PULSE_RESET: u64 = 0xfe;

/// The value of a load that nothing answers, 1 to 8 bytes wide.
///
/// Not only powers of two: KVM cuts an access that crosses a page into pieces.
pub(crate) const fn all_ones(width: u8) -> u64 {
    assert!(width >= 1 && width <= 8, "no access has this width");
    u64::MAX >> (64 - 8 * width as u32)
}
