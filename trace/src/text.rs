//! Transcripts as text: one event a line, as a bus analyser shows them.
//!
//! `->` is what a load or read got, `<-` what a store or write put there, and
//! the digits show the width. Who did it comes first.

use std::fmt::{self, Write};

use crate::names::Names;
use crate::register::{Mechanism, Structure};
use crate::{Access, DescriptorFlags, Direction, Entry, Event, Place, Register, Space};

/// The transcript with sequence numbers and addresses, as `show` prints it.
pub fn numbered(entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{:>6}  {entry}", entry.seq);
    }
    text
}

/// The transcript without sequence numbers and with memory named by what lies
/// there, so that it stays the same when the guest's memory layout changes.
///
/// The names come from `whole`, of which `entries` is usually a part: a queue is
/// named where it is set up, which may be long before it is used.
pub fn symbolic(entries: &[Entry], whole: &[Entry]) -> String {
    let names = Names::of(whole);
    let mut text = String::new();
    for entry in entries {
        let _ = writeln!(text, "{}", Line { entry, names: Some(&names) });
    }
    text
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Line { entry: self, names: None }, f)
    }
}

struct Line<'a> {
    entry: &'a Entry,
    names: Option<&'a Names>,
}

impl Line<'_> {
    fn address(&self, addr: u64) -> String {
        self.names.and_then(|names| names.find(addr)).unwrap_or_else(|| format!("{addr:#x}"))
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<7} ", self.entry.by)?;
        match &self.entry.event {
            Event::Register { register, access } => {
                match (self.names.and_then(|names| names.part(self.entry.seq)), access) {
                    (Some(part), Access::Load { .. }) => write!(f, "{register} -> {part}"),
                    (Some(part), Access::Store { .. }) => write!(f, "{register} <- {part}"),
                    (None, access) => write!(f, "{register} {access}"),
                }
            }
            Event::Refused { register, access, why } => {
                write!(f, "{register} {access} refused: {why}")
            }
            Event::Ring { queue, field, access } => write!(f, "q{queue} {field} {access}"),
            Event::Descriptor { queue, table, index, addr, len, flags, next } => {
                write!(f, "q{queue} {table}[{index}] -> {} len {len}", self.address(*addr))?;
                write_flags(f, *flags, *next)
            }
            Event::PackedDescriptor { queue, table, index, addr, len, id, flags } => {
                let addr = self.address(*addr);
                write!(f, "q{queue} {table}[{index}] -> {addr} len {len} id {id}")?;
                write_packed_flags(f, *flags)
            }
            Event::PackedUsed { queue, slot, id, len, flags } => {
                write!(f, "q{queue} desc[{slot}] <- id {id} len {len}")?;
                write_packed_flags(f, *flags)
            }
            Event::Buffer { queue, table, index, direction, addr, len } => {
                let verb = match direction {
                    Direction::Read => "read",
                    Direction::Write => "write",
                };
                let addr = self.address(*addr);
                write!(f, "q{queue} {table}[{index}] {verb} {len} bytes at {addr}")
            }
            Event::Segment { queue, index, sector, sectors, flags } => {
                write!(f, "q{queue} segment {index}: {sectors} sectors at {sector}")?;
                match flags {
                    0 => Ok(()),
                    1 => f.write_str(", unmap"),
                    flags => write!(f, ", flags {flags:08x}"),
                }
            }
            Event::Request { queue, head, request, sector, len, status } => {
                write!(
                    f,
                    "q{queue} request {head}: {request} sector {sector}, {len} bytes: {status}"
                )
            }
            Event::Used { queue, slot, id, len } => {
                write!(f, "q{queue} used.ring[{slot}] <- id {id} len {len}")
            }
            Event::Msix { vector, address, data } => {
                write!(f, "msix {vector}: {data:08x} to {address:x}")
            }
            Event::Intx { pin, gsi, asserted } => {
                let verb = if *asserted { "asserted" } else { "deasserted" };
                write!(f, "{pin} {verb}, gsi {gsi}")
            }
            Event::Line { gsi, asserted } => {
                let verb = if *asserted { "asserted" } else { "deasserted" };
                write!(f, "irq {gsi} {verb}")
            }
            Event::MsixPending { vector } => write!(f, "msix {vector}: pending"),
            Event::NeedsReset => f.write_str("needs reset"),
            Event::Violation { violation } => {
                write!(f, "violation of {}: {violation}", violation.clause())
            }
            Event::Fault { fault, effect } => write!(f, "fault {fault}: {effect}"),
            Event::Ram { place, addr, access } => {
                match (self.names, place) {
                    // The place says it all.
                    (Some(_), Place::Area { .. }) => write!(f, "{place} ")?,
                    _ => write!(f, "{place} at {} ", self.address(*addr))?,
                }
                // The address of a buffer, which is another one when the guest grows.
                let named = self.names.filter(|_| place.holds_address(access.width()));
                match named.and_then(|names| names.find(access.value())) {
                    Some(name) if access.is_store() => write!(f, "<- {name}"),
                    Some(name) => write!(f, "-> {name}"),
                    None => write!(f, "{access}"),
                }
            }
            Event::Barrier { function, queue, full } => {
                let found = if *full { "a full barrier" } else { "no full barrier" };
                write!(f, "{function} q{queue} {found} before the device's side is looked at")
            }
            Event::Snapshot { queue, found } => write!(f, "q{queue} {found}"),
            Event::Memory { kind, start, len } => {
                write!(f, "memory {kind}: {len:#x} bytes at {start:#x}")
            }
            Event::Console { line } => write!(f, "console {}", line.escape_debug()),
        }
    }
}

fn write_flags(f: &mut fmt::Formatter<'_>, flags: DescriptorFlags, next: u16) -> fmt::Result {
    if flags.contains(DescriptorFlags::WRITE) {
        f.write_str(" WRITE")?;
    }
    if flags.contains(DescriptorFlags::INDIRECT) {
        f.write_str(" INDIRECT")?;
    }
    if flags.contains(DescriptorFlags::NEXT) {
        write!(f, " NEXT {next}")?;
    }
    let undefined =
        flags - DescriptorFlags::NEXT - DescriptorFlags::WRITE - DescriptorFlags::INDIRECT;
    if !undefined.is_empty() {
        write!(f, " flags {:#06x}", flags.0)?;
    }
    Ok(())
}

fn write_packed_flags(f: &mut fmt::Formatter<'_>, flags: DescriptorFlags) -> fmt::Result {
    let named = [
        (DescriptorFlags::NEXT, " NEXT"),
        (DescriptorFlags::WRITE, " WRITE"),
        (DescriptorFlags::INDIRECT, " INDIRECT"),
        (DescriptorFlags::AVAIL, " AVAIL"),
        (DescriptorFlags::USED, " USED"),
    ];
    let mut rest = flags;
    for (flag, name) in named {
        if flags.contains(flag) {
            f.write_str(name)?;
        }
        rest -= flag;
    }
    match rest.is_empty() {
        true => Ok(()),
        false => write!(f, " flags {:#06x}", flags.0),
    }
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Register::ConfigAddress => f.write_str("config_address"),
            Register::Config { function, mechanism, header, offset, capability } => {
                let mechanism = match mechanism {
                    Mechanism::Cam => "config",
                    Mechanism::Ecam => "ecam",
                };
                write!(f, "{function} {mechanism} ")?;
                match (capability, header.register(offset)) {
                    (Some(capability), _) => {
                        write!(f, "{}.{}", capability.name(), capability.field(offset))
                    }
                    (None, Some((name, start))) if start == offset => f.write_str(name),
                    (None, Some((name, start))) => write!(f, "{name}+{}", offset - start),
                    (None, None) => write!(f, "+{offset:02x}"),
                }
            }
            Register::Common { function, register } => {
                write!(f, "{function} common {}", register.name())
            }
            Register::Notify { function, queue } => write!(f, "{function} notify q{queue}"),
            Register::Isr { function } => write!(f, "{function} isr"),
            Register::Block { function, register } => {
                write!(f, "{function} block {}", register.name())
            }
            Register::Legacy { function, register } => {
                write!(f, "{function} legacy {}", register.name())
            }
            Register::LegacyConfig { function, offset } => {
                write!(f, "{function} legacy config+{offset:02x}")
            }
            Register::MsixTable { function, vector, register } => {
                write!(f, "{function} msix table[{vector}].{}", register.name())
            }
            Register::MsixPba { function, offset } => write!(f, "{function} msix pba+{offset:x}"),
            Register::AtaData { function } => write!(f, "{function} ata data"),
            Register::Ata { function, register } => {
                write!(f, "{function} ata {}", register.name())
            }
            Register::DebugExit => f.write_str("debug_exit"),
            Register::DebugMark => f.write_str("debug_mark"),
            Register::ResetControl => f.write_str("reset_control"),
            Register::KeyboardCommand => f.write_str("keyboard command"),
            Register::None { function, structure, offset } => {
                let structure: &dyn fmt::Display = match structure {
                    Structure::Bar(index) => &format!("bar{index}"),
                    Structure::Common => &"common",
                    Structure::Notify => &"notify",
                    Structure::Isr => &"isr",
                    Structure::Block => &"block",
                    Structure::Legacy => &"legacy",
                    Structure::MsixTable => &"msix table",
                    Structure::MsixPba => &"msix pba",
                };
                write!(f, "{function} {structure} +{offset:x}")
            }
            Register::Unclaimed { space: Space::Port, address } => write!(f, "port {address:04x}"),
            Register::Unclaimed { space: Space::Memory, address } => {
                write!(f, "memory {address:x}")
            }
        }
    }
}
