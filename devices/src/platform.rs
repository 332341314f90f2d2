use std::fmt;
use std::str::FromStr;

use eclipse_trace::{Access, Refusal, Register, Space};

use crate::debug_exit::DebugExit;
use crate::disk::Disk;
use crate::pci::PciBus;
use crate::serial::Serial;
use crate::{Host, virtio};

/// A machine's set of devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// Five functions of a PC, with a modern virtio block device at 00:04.0.
    #[default]
    Modern,
}

impl Preset {
    /// Every preset.
    pub const ALL: &'static [Preset] = &[Preset::Modern];

    /// The name, as [`FromStr`] takes it.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Modern => "modern",
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|preset| preset.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|preset| preset.name()).collect();
            format!("there is no preset {text:?}; there are: {}", names.join(", "))
        })
    }
}

/// How the guest asked to end the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It left through the debug exit with this code.
    Exit(u8),
    /// It pulsed the reset line through the keyboard controller.
    Reset,
}

/// All devices of a machine, and the decoding of addresses to them.
pub struct Platform {
    pci: PciBus,
    serial: Serial,
    debug_exit: DebugExit,
    reset: bool,
}

impl Platform {
    /// The devices of `preset`, with `disk` behind the block device.
    pub fn new(preset: Preset, disk: Box<dyn Disk>) -> Self {
        let pci = match preset {
            Preset::Modern => virtio::modern_preset(disk),
        };
        Self { pci, serial: Serial::new(), debug_exit: DebugExit::default(), reset: false }
    }

    /// Answers a load of `width` bytes (1 to 8); the value is in the low bytes.
    ///
    /// What no device answers reads as all ones.
    pub fn load(&mut self, host: &mut Host<'_>, space: Space, address: u64, width: u8) -> u64 {
        match (space, address) {
            (Space::Port, SERIAL_FIRST..=SERIAL_LAST) if width == 1 => {
                self.serial.load(host, (address - SERIAL_FIRST) as u8).into()
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
        match (space, address) {
            (Space::Port, SERIAL_FIRST..=SERIAL_LAST) if width == 1 => {
                self.serial.store(host, (address - SERIAL_FIRST) as u8, value as u8);
            }
            (Space::Port, DEBUG_EXIT) => self.debug_exit.store(host, width, value),
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
const DEBUG_EXIT: u64 = DebugExit::PORT as u64;
const KEYBOARD_COMMAND: u64 = 0x64;
const KEYBOARD_PULSE_RESET: u64 = 0xfe;

/// The value of a load that nothing answers, 1 to 8 bytes wide.
///
/// Not only powers of two: KVM cuts an access that crosses a page into pieces.
pub(crate) const fn all_ones(width: u8) -> u64 {
    assert!(width >= 1 && width <= 8, "no access has this width");
    u64::MAX >> (64 - 8 * width as u32)
}
