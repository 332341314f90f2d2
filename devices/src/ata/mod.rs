//! An ATA disk by programmed I/O, on the primary channel of the IDE controller.
//!
//! The ports are those of compatibility mode, 0x1F0 to 0x1F7 and 0x3F6, and the
//! interrupt is line 14. One disk is device 0; there is no device 1. A command is
//! carried out by the store that gives it, and a sector by the access that moves
//! its last word, so BSY shows during a reset only and every answer is repeatable.

mod drive;
mod identify;

use eclipse_trace::register::AtaRegister;
use eclipse_trace::{Access, Bdf, Refusal, Register};

use crate::Host;
use crate::disk::Disk;
use crate::platform::all_ones;
use drive::Drive;

/// The primary channel with a disk as device 0 (ATA/ATAPI-6).
pub(crate) struct Ata {
    drive: Drive,
    /// The Device Control register.
    control: Control,
    /// Whether device 1 is selected, which is not there.
    device_1: bool,
    /// INTRQ, as the interrupt controller sees it.
    asserted: bool,
}

bitflags::bitflags! {
    /// The Device Control register (ATA/ATAPI-6, 7).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Control: u8 {
        /// nIEN: INTRQ is released.
        const NO_INTERRUPT = 1 << 1;
        /// SRST: both devices are held in reset.
        const RESET = 1 << 2;
        /// HOB: loads show what was stored before the latest store (48-bit addresses).
        const HIGH_ORDER = 1 << 7;
        const _ = !0;
    }
}

/// What a port is.
enum Place {
    Data,
    Register(AtaRegister),
    None(Refusal),
}

impl Ata {
    /// The IDE function, whose COMMAND register lets the ports through.
    pub(crate) const FUNCTION: Bdf = Bdf::new(0, 1, 1);
    const FIRST: u64 = 0x1f0;
    const LAST: u64 = 0x1f7;
    const CONTROL: u64 = 0x3f6;
    const GSI: u32 = 14;
    const DEVICE_SELECT: u8 = 1 << 4;
    const EXECUTE_DEVICE_DIAGNOSTIC: u8 = 0x90;

    pub(crate) fn new(disk: Box<dyn Disk>) -> Self {
        let drive = Drive::new(disk);
        Self { drive, control: Control::empty(), device_1: false, asserted: false }
    }

    /// Whether an access to `port` is the channel's.
    pub(crate) fn claims(port: u64) -> bool {
        (Self::FIRST..=Self::LAST).contains(&port) || port == Self::CONTROL
    }

    fn place(port: u64, width: u8) -> Place {
        let offset = port - Self::FIRST;
        match (offset, width) {
            (0, 2) => Place::Data,
            (0, _) => Place::None(Refusal::Width),
            _ => AtaRegister::decode(offset, width).map_or_else(Place::None, Place::Register),
        }
    }

    /// Answers a load from a port that it [claims](Self::claims).
    pub(crate) fn load(&mut self, host: &mut Host<'_>, port: u64, width: u8) -> u64 {
        let function = Self::FUNCTION;
        let refuse = |host: &mut Host<'_>, register, why| {
            let access = Access::Load { width, value: all_ones(width) };
            host.refused(register, access, why);
            access.value()
        };
        match Self::place(port, width) {
            Place::Data => {
                let word = if self.device_1 { None } else { self.drive.load_word() };
                let Some(word) = word else {
                    return refuse(host, Register::AtaData { function }, Refusal::NoData);
                };
                let access = Access::Load { width, value: word.into() };
                host.accessed(Register::AtaData { function }, access);
                self.drive.go_on();
                self.interrupt(host);
                word.into()
            }
            Place::Register(register) => {
                let value = self.value(register).into();
                host.accessed(Register::Ata { function, register }, Access::Load { width, value });
                if register == AtaRegister::StatusCommand && !self.device_1 {
                    // Reading Status, and not Alternate Status, ends the interrupt.
                    self.drive.end_interrupt();
                    self.interrupt(host);
                }
                value
            }
            Place::None(why) => refuse(host, Self::none(port), why),
        }
    }

    fn value(&self, register: AtaRegister) -> u8 {
        match register {
            AtaRegister::StatusCommand | AtaRegister::AlternateStatusControl => {
                match self.control.contains(Control::RESET) {
                    // Busy for as long as it is held in reset.
                    true => Drive::BUSY,
                    // Single device 0 configuration: it answers 0 for a device 1 that is not there.
                    false if self.device_1 => 0,
                    false => self.drive.status(),
                }
            }
            AtaRegister::Device => self.drive.load(register, false),
            register => self.drive.load(register, self.control.contains(Control::HIGH_ORDER)),
        }
    }

    /// Carries out a store to a port that it [claims](Self::claims).
    pub(crate) fn store(&mut self, host: &mut Host<'_>, port: u64, width: u8, value: u64) {
        let function = Self::FUNCTION;
        let access = Access::Store { width, value };
        match Self::place(port, width) {
            Place::Data if self.device_1 || !self.drive.takes_word() => {
                host.refused(Register::AtaData { function }, access, Refusal::NoData);
            }
            Place::Data => {
                host.accessed(Register::AtaData { function }, access);
                self.drive.store_word(value as u16);
                self.drive.go_on();
            }
            Place::Register(register) => {
                let address = Register::Ata { function, register };
                // Only Device Control is written to while BSY or DRQ is set.
                let control = register == AtaRegister::AlternateStatusControl;
                if !control && (self.control.contains(Control::RESET) || self.drive.transfers()) {
                    return host.refused(address, access, Refusal::Value);
                }
                host.accessed(address, access);
                self.store_register(register, value as u8);
            }
            Place::None(why) => host.refused(Self::none(port), access, why),
        }
        self.interrupt(host);
    }

    fn store_register(&mut self, register: AtaRegister, value: u8) {
        if register == AtaRegister::AlternateStatusControl {
            let new = Control::from_bits_retain(value);
            let ends = self.control.contains(Control::RESET) && !new.contains(Control::RESET);
            self.control = new;
            if new.contains(Control::RESET) || ends {
                // A reset selects device 0, which shows its signature afterwards.
                self.drive.reset();
                self.device_1 = false;
            }
            return;
        }
        // A store to any other register takes HOB back.
        self.control.remove(Control::HIGH_ORDER);
        match register {
            AtaRegister::StatusCommand if value == Self::EXECUTE_DEVICE_DIAGNOSTIC => {
                // EXECUTE DEVICE DIAGNOSTIC: both devices carry it out, whichever is selected.
                self.device_1 = false;
                self.drive.command(value);
            }
            // Single device 0 configuration: what is meant for device 1 is ignored.
            AtaRegister::StatusCommand if self.device_1 => {}
            AtaRegister::StatusCommand => self.drive.command(value),
            register => {
                if register == AtaRegister::Device {
                    self.device_1 = value & Self::DEVICE_SELECT != 0;
                }
                self.drive.store(register, value);
            }
        }
    }

    /// Brings the line into step: INTRQ is driven by the selected device while nIEN is clear.
    fn interrupt(&mut self, host: &mut Host<'_>) {
        let enabled = !self.control.contains(Control::NO_INTERRUPT) && !self.device_1;
        let asserted = enabled && self.drive.interrupts();
        if asserted != self.asserted {
            self.asserted = asserted;
            host.lend(Self::FUNCTION, false).isa_line(Self::GSI, asserted);
        }
    }

    fn none(port: u64) -> Register {
        Register::Unclaimed { space: eclipse_trace::Space::Port, address: port }
    }
}
