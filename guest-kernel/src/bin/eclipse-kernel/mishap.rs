//! Scenarios in which the kernel dies, for the post-mortem of whoever runs it.

use alloc::string::{String, ToString};
use core::{arch::asm, hint::spin_loop, sync::atomic::AtomicU8};

use eclipse_kernel::{cmdline::CommandLine, hal::Hal};
use x86_64::instructions::{hlt, interrupts};

use crate::{arch::interrupts::triple_fault, metal::Metal};

/// An address that is never mapped.
const UNMAPPED: u64 = 0xFFFF_D000_DEAD_0000;

/// Bytes of DMA memory that go astray.
const LEAK: usize = 0x1000;

/// A way to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// A Rust panic.
    Panic,
    /// An endless loop.
    Spin,
    /// A sleep that no interrupt ends.
    Sleep,
    /// Something that the processor forbids.
    Fault(Fault),
    /// DMA memory that nobody gives back.
    Leak,
    /// DMA memory that is given back twice.
    Release,
    /// A fault that cannot be delivered.
    Triple,
}

/// What the processor forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A load from an address that is not mapped.
    Unmapped,
    /// A load through a null pointer.
    Null,
    /// A store to the kernel's code.
    Text,
    /// A jump to the kernel's data.
    Data,
    /// A stack that grows until it ends.
    Stack,
}

/// The kinds of `scenario=fault`, by name.
const KINDS: [(&str, Mishap); 7] = [
    ("unmapped", Mishap::Fault(Fault::Unmapped)),
    ("null", Mishap::Fault(Fault::Null)),
    ("text", Mishap::Fault(Fault::Text)),
    ("data", Mishap::Fault(Fault::Data)),
    ("stack", Mishap::Fault(Fault::Stack)),
    ("leak", Mishap::Leak),
    ("release", Mishap::Release),
];

/// There is no such kind of fault.
#[derive(Debug, thiserror::Error)]
#[error("unknown kind `{kind}`: known are {known}", known = KINDS.map(|kind| kind.0).join(", "))]
pub struct UnknownKind {
    /// What was asked for.
    pub kind: String,
}

impl Mishap {
    /// The mishap that a scenario is, if it is one.
    ///
    /// # Errors
    /// [`UnknownKind`]
    pub fn asked_for(asked: &CommandLine<'_>) -> Result<Option<Self>, UnknownKind> {
        Ok(match asked.scenario {
            "panic" => Some(Self::Panic),
            "hang" if asked.halt => Some(Self::Sleep),
            "hang" => Some(Self::Spin),
            "fault" => {
                let name = asked.kind.unwrap_or(KINDS[0].0);
                let found = KINDS.into_iter().find(|kind| kind.0 == name);
                Some(found.ok_or_else(|| UnknownKind { kind: name.to_string() })?.1)
            }
            "triple" => Some(Self::Triple),
            _ => None,
        })
    }

    /// Dies; of a leak only later.
    pub fn happen(self) {
        match self {
            Self::Panic => panic!("deliberate panic (scenario=panic)"),
            Self::Spin => loop {
                spin_loop();
            },
            Self::Sleep => loop {
                interrupts::disable();
                hlt();
            },
            Self::Fault(fault) => fault.happen(),
            Self::Leak => drop(Metal.allocate_dma(LEAK, LEAK)),
            Self::Release => {
                let memory = Metal.allocate_dma(LEAK, LEAK).expect("there is memory");
                // SAFETY: no device knows of it. The second time it is not there any more, which
                // is refused.
                unsafe {
                    Metal.release_dma(memory, LEAK, LEAK);
                    Metal.release_dma(memory, LEAK, LEAK);
                }
            }
            Self::Triple => triple_fault(),
        }
    }
}

impl Fault {
    fn happen(self) -> ! {
        let text = kernel_text as *const () as u64;
        let data = &raw const DATA as u64;
        // SAFETY: each of them faults, and the report of a fault does not come back.
        unsafe {
            match self {
                Self::Unmapped => {
                    asm!("mov {0}, [{0}]", "ud2", in(reg) UNMAPPED, options(noreturn))
                }
                Self::Null => asm!("mov {0}, [{0}]", "ud2", in(reg) 0_u64, options(noreturn)),
                Self::Text => asm!("mov byte ptr [{}], 0", "ud2", in(reg) text, options(noreturn)),
                Self::Data => asm!("jmp {}", in(reg) data, options(noreturn)),
                Self::Stack => asm!("2: push 0", "jmp 2b", options(noreturn)),
            }
        }
    }
}

/// Some code of the kernel.
extern "C" fn kernel_text() {}

/// Some data of the kernel: a return, if it were code.
static DATA: AtomicU8 = AtomicU8::new(0xC3);
