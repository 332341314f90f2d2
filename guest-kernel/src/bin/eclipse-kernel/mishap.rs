//! Scenarios in which the kernel dies, for the post-mortem of whoever runs it.

use core::{arch::asm, hint::spin_loop};

use eclipse_kernel::cmdline::CommandLine;
use x86_64::instructions::{hlt, interrupts};

use crate::arch::interrupts::triple_fault;

/// An address that is never mapped.
const UNMAPPED: u64 = 0xFFFF_D000_DEAD_0000;

/// A way to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// A Rust panic.
    Panic,
    /// An endless loop.
    Spin,
    /// A sleep that no interrupt ends.
    Sleep,
    /// A load from an address that is not mapped.
    Fault,
    /// A fault that cannot be delivered.
    Triple,
}

impl Mishap {
    /// The mishap that a scenario is, if it is one.
    pub fn asked_for(asked: &CommandLine<'_>) -> Option<Self> {
        match asked.scenario {
            "panic" => Some(Self::Panic),
            "hang" if asked.halt => Some(Self::Sleep),
            "hang" => Some(Self::Spin),
            "fault" => Some(Self::Fault),
            "triple" => Some(Self::Triple),
            _ => None,
        }
    }

    /// Dies.
    pub fn happen(self) -> ! {
        match self {
            Self::Panic => panic!("deliberate panic (scenario=panic)"),
            Self::Spin => loop {
                spin_loop();
            },
            Self::Sleep => loop {
                interrupts::disable();
                hlt();
            },
            Self::Fault => {
                // SAFETY: the load faults, and the report of the fault does not come back.
                unsafe { asm!("mov {0}, [{0}]", "ud2", in(reg) UNMAPPED, options(noreturn)) }
            }
            Self::Triple => triple_fault(),
        }
    }
}
