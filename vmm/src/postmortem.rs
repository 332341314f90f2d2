//! What is left of a guest that died: where it was, and how it came there.

use std::fmt;

use eclipse_trace::{Entry, text};
use iced_x86::{Formatter, IntelFormatter};
use kvm_bindings::{kvm_regs, kvm_sregs};
use vm_memory::GuestMemoryMmap;

use crate::{Death, symbols::Symbols, vcpu::State, walk::View};

/// How many of the last events are shown.
const LAST_EVENTS: usize = 20;

/// A backtrace of more frames than this is cut off.
const MAX_FRAMES: usize = 32;

/// `RFLAGS.IF`: interrupts are on.
const RFLAGS_IF: u64 = 1 << 9;

/// The state of a dead guest, read once. Its text is the report to the user.
#[derive(Clone, Debug)]
pub struct PostMortem {
    /// What happened.
    pub death: Death,
    /// The general registers.
    pub regs: kvm_regs,
    /// The control and segment registers.
    pub sregs: kvm_sregs,
    /// Whether the processor slept in `hlt`.
    pub halted: bool,
    /// Whether the registers are those at the last exit before the death: KVM on AMD's processors
    /// resets them at a triple fault.
    pub earlier: bool,
    /// The instruction at RIP, or the `hlt` before it in which the processor sleeps.
    pub instruction: Instruction,
    /// Where the processor was, and the return addresses of its callers.
    pub backtrace: Vec<Frame>,
    /// The last events on record.
    pub events: Vec<Entry>,
}

/// An instruction of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Where it is.
    pub address: u64,
    /// Its bytes; none if there is nothing mapped.
    pub bytes: Vec<u8>,
    /// What it does, or why that cannot be said.
    pub text: String,
}

/// One call that had not returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where the function was.
    pub address: u64,
    /// Its name and the offset in it, if the image has symbols.
    pub symbol: Option<String>,
}

impl PostMortem {
    /// Reads what is left of a guest whose processor stopped in `state`.
    pub(crate) fn new(
        death: Death,
        state: State,
        memory: &GuestMemoryMmap<()>,
        symbols: &Symbols,
        events: &[Entry],
    ) -> Self {
        let State { regs, sregs, halted, earlier } = state;
        let view = View { memory, sregs: &sregs };
        Self {
            death,
            regs,
            halted,
            earlier,
            // The processor goes on after its `hlt`, which has one byte.
            instruction: instruction(view, regs.rip.wrapping_sub(halted.into())),
            backtrace: backtrace(view, &regs, symbols),
            events: events[events.len().saturating_sub(LAST_EVENTS)..].to_vec(),
            sregs,
        }
    }
}

fn instruction(view: View<'_>, rip: u64) -> Instruction {
    let (bytes, len) = view.fetch(rip);
    let bytes = &bytes[..len];
    let decoded = view.decode(rip);
    let (len, text) = if bytes.is_empty() {
        (0, "(nothing is mapped here)".into())
    } else if decoded.is_invalid() {
        (len, "(not an instruction)".into())
    } else {
        let mut text = String::new();
        IntelFormatter::new().format(&decoded, &mut text);
        (decoded.len(), text)
    };
    Instruction { address: rip, bytes: bytes.iter().take(len).copied().collect(), text }
}

/// Follows the frame pointers: each points to the caller's, with the return address above it.
fn backtrace(view: View<'_>, regs: &kvm_regs, symbols: &Symbols) -> Vec<Frame> {
    let frame = |address, at| Frame { address, symbol: symbols.find(at) };
    let mut frames = vec![frame(regs.rip, regs.rip)];
    let mut pointer = regs.rbp;
    while frames.len() < MAX_FRAMES {
        let (next, address) = if view.long_mode() {
            (view.number(pointer), view.number(pointer.wrapping_add(8)))
        } else {
            let word = |at| view.number::<u32>(at).map(u64::from);
            (word(pointer), word(pointer.wrapping_add(4)))
        };
        let (Some(next), Some(address)) = (next, address) else { break };
        if address == 0 {
            break;
        }
        // The call is before the address that it returns to, which may be another function's.
        frames.push(frame(address, address.wrapping_sub(1)));
        // The stack grows down, so callers are above; anything else is no chain of frames.
        if next <= pointer {
            break;
        }
        pointer = next;
    }
    frames
}

impl fmt::Display for PostMortem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the guest died: {}", self.death)?;
        if let Death::InternalError { data, .. } = &self.death {
            let words: Vec<_> = data.iter().map(|word| format!("{word:#x}")).collect();
            writeln!(f, "  KVM adds: {}", words.join(" "))?;
        }
        if self.earlier {
            writeln!(
                f,
                "  this KVM forgets the state at a triple fault: below is that at the last"
            )?;
            writeln!(f, "  exit before, when the guest last reached a device")?;
        }
        self.write_registers(f)?;
        self.write_control(f)?;
        let Instruction { address, bytes, text } = &self.instruction;
        let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(f, "instruction\n  {address:016x}  {}  {text}", bytes.join(" "))?;
        writeln!(f, "backtrace")?;
        for (number, frame) in self.backtrace.iter().enumerate() {
            let symbol = frame.symbol.as_deref().unwrap_or("?");
            writeln!(f, "  #{number:<2} {:016x}  {symbol}", frame.address)?;
        }
        if self.events.is_empty() {
            return writeln!(f, "no events");
        }
        writeln!(f, "last {} events", self.events.len())?;
        f.write_str(&text::numbered(&self.events))
    }
}

impl PostMortem {
    fn write_registers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = &self.regs;
        let registers = [
            ("rip", r.rip),
            ("rsp", r.rsp),
            ("rbp", r.rbp),
            ("rflags", r.rflags),
            ("rax", r.rax),
            ("rbx", r.rbx),
            ("rcx", r.rcx),
            ("rdx", r.rdx),
            ("rsi", r.rsi),
            ("rdi", r.rdi),
            ("r8", r.r8),
            ("r9", r.r9),
            ("r10", r.r10),
            ("r11", r.r11),
            ("r12", r.r12),
            ("r13", r.r13),
            ("r14", r.r14),
            ("r15", r.r15),
        ];
        write_columns(f, "registers", &registers)
    }

    fn write_control(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = &self.sregs;
        let registers = [
            ("cr0", s.cr0),
            ("cr2", s.cr2),
            ("cr3", s.cr3),
            ("cr4", s.cr4),
            ("efer", s.efer),
            ("gdt", s.gdt.base),
            ("idt", s.idt.base),
            ("cs", s.cs.selector.into()),
        ];
        write_columns(f, "control", &registers)?;
        let interrupts = if self.regs.rflags & RFLAGS_IF != 0 { "on" } else { "off" };
        let asleep = if self.halted { ", asleep in hlt" } else { "" };
        writeln!(f, "  interrupts {interrupts}{asleep}")?;
        Ok(())
    }
}

fn write_columns(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    registers: &[(&str, u64)],
) -> fmt::Result {
    writeln!(f, "{title}")?;
    for row in registers.chunks(4) {
        for (name, value) in row {
            write!(f, "  {name:>6} {value:016x}")?;
        }
        writeln!(f)?;
    }
    Ok(())
}
