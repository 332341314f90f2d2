use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use super::bus::{Bus, Claim, Owner, unclaimed};
use super::firmware::Firmware;
use super::line::{Line, RegionAccess};
use super::serial::Serial;
use super::virtio::Part;
use super::{Error, Lacking, Note, Recording};
use crate::register::{LegacyCfg, Structure};
use crate::{Access, Actor, Bdf, Entry, Event, Register};

/// Reads a log, line by line.
#[derive(Default)]
pub(super) struct Reader {
    /// The line that is read, from 1.
    line: u64,
    entries: Vec<Entry>,
    lines: Vec<u64>,
    notes: Vec<Note>,
    bus: Bus,
    serial: Serial,
    firmware: Firmware,
    /// The region of CONFIG_ADDRESS, of which a machine has one.
    config_region: Option<u64>,
    /// QEMU's queues to ours.
    queues: BTreeMap<u64, (Bdf, u16)>,
    /// QEMU's virtio devices to functions.
    devices: BTreeMap<u64, Bdf>,
    /// The function that was accessed last.
    last: Option<Bdf>,
    /// The function whose doorbell was stored to, if that was last.
    rung: Option<Bdf>,
    /// What became of the guest, if the log says so.
    outcome: Option<String>,
    /// Virtio devices that are no block devices.
    others: BTreeSet<Bdf>,
    seen: Seen,
}

/// Which of the events there were.
#[derive(Default)]
struct Seen {
    any: bool,
    access: bool,
    notification: bool,
    interrupt: bool,
    processors: bool,
}

impl Reader {
    /// No line of QEMU's trace is so long; a binary file may be one line.
    const LINE_LIMIT: u64 = 1 << 16;

    pub(super) fn read(mut self, mut log: impl BufRead) -> Result<Recording, Error> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let limited = &mut std::io::Read::take(&mut log, Self::LINE_LIMIT);
            if limited.read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            self.line += 1;
            let ended = bytes.ends_with(b"\n");
            if bytes.contains(&0) || !ended && bytes.len() as u64 == Self::LINE_LIMIT {
                return Err(Error::NoText { line: self.line });
            }
            self.take(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']), ended)?;
        }
        self.finish()
    }

    fn take(&mut self, text: &str, ended: bool) -> Result<(), Error> {
        if self.outcome.is_some() {
            return Err(Error::BehindTheEnd { line: self.line });
        }
        self.seen.any |= Line::begins_event(text);
        match Line::parse(text, self.line, ended)? {
            Line::Region(access) => self.region(access),
            Line::Config { device, function } => {
                // "empty" is what QEMU calls a function that is not there.
                let config = &mut self.bus.function(function).config;
                config.device.get_or_insert_with(|| device.into());
                Ok(())
            }
            Line::SetStatus { vdev } => {
                if let Some(function) = self.last {
                    self.devices.insert(vdev, function);
                }
                Ok(())
            }
            Line::QueueNotify { vdev, queue, vq } => self.notified(vdev, queue, vq),
            Line::Pop if !self.seen.notification && self.others.is_empty() => Err(self.unnoticed()),
            Line::Notify { vq } => {
                self.interrupt(vq);
                Ok(())
            }
            Line::End { lines, outcome } if lines == self.line - 1 => {
                self.outcome = Some(outcome.into());
                Ok(())
            }
            Line::End { lines, .. } => Err(Error::Shortened { line: self.line, lines }),
            Line::Pop | Line::Other => Ok(()),
        }
    }

    fn region(&mut self, found: RegionAccess<'_>) -> Result<(), Error> {
        self.seen.access = true;
        let RegionAccess { cpu, region, address, access, name } = found;
        // QEMU gives no number where no processor runs: when a device sends a message, but also
        // when a test makes accesses in a processor's place (qtest).
        if cpu > 0 && !self.seen.processors {
            self.seen.processors = true;
            self.notes.push(Note::Processors { line: self.line });
        }
        let event = match name {
            "pci-conf-idx" => {
                if *self.config_region.get_or_insert(region) != region {
                    return Err(Error::TwoMachines { line: self.line, region: "CONFIG_ADDRESS" });
                }
                self.bus.access_address(address, access)
            }
            "pci-conf-data" => self.bus.access_data(address, access),
            "pcie-mmcfg-mmio" => self.bus.access_ecam(address, access),
            "serial" => {
                if let Some(line) = self.serial.access(address, access) {
                    self.record(Actor::Guest, Event::Console { line });
                }
                return Ok(());
            }
            "io" | "isa-debugcon" if address == Firmware::PORT => {
                self.firmware.says(access);
                return Ok(());
            }
            "isa-debug-exit" => Event::Register { register: Register::DebugExit, access },
            // The ports that no device has.
            "io" if address == 0xe0 && access.is_store() && access.width() == 4 => {
                Event::Register { register: Register::DebugMark, access }
            }
            "io" if self.bus.has_port(address) => unclaimed(address, access),
            _ => match Part::of(name) {
                Some((part, model)) => return self.part(found, part, model),
                None => return Ok(()),
            },
        };
        let function = configured(&event);
        (self.rung, self.last) = (None, function);
        self.record(Actor::Guest, event);
        if let Some(function) = function {
            // Message Control may have lifted a mask.
            let of = self.bus.function(function);
            let sent = of.device.deliver(&of.config);
            self.consequences(function, sent);
        }
        Ok(())
    }

    fn part(&mut self, found: RegionAccess<'_>, part: Part, model: &str) -> Result<(), Error> {
        let RegionAccess { region, address, access, .. } = found;
        match self.bus.access_part(region, part, model, address, access) {
            Owner::Block(claim) => self.claimed(claim),
            Owner::Other(function) => self.other(function),
            // Other devices have such a table, too, and their BARs are not of interest.
            Owner::Unknown if matches!(part, Part::MsixTable | Part::MsixPba) => {}
            Owner::Unknown => return Err(self.lacking(Lacking::Configuration)),
        }
        Ok(())
    }

    fn claimed(&mut self, claim: Claim) {
        let Claim { function, event, consequences, assumed } = claim;
        self.rung = rings(&event).then_some(function);
        self.last = Some(function);
        self.seen.notification |= self.rung.is_some();
        if assumed {
            let note = |note: &Note| matches!(note, Note::PlaceAssumed { function: of, .. } if *of == function);
            if !self.notes.iter().any(note) {
                self.notes.push(Note::PlaceAssumed { line: self.line, function });
            }
        }
        self.record(Actor::Guest, event);
        self.consequences(function, consequences);
    }

    /// A virtio device that is no block device; others are passed over in silence.
    fn other(&mut self, function: Bdf) {
        (self.rung, self.last) = (None, Some(function));
        let config = &self.bus.function(function).config;
        if config.is_virtio() && self.others.insert(function) {
            let name = config.device.clone().unwrap_or_else(|| "a virtio device".into());
            self.notes.push(Note::NoBlockDevice { line: self.line, function, name });
        }
    }

    /// The device looks into a queue, which the driver's last access must have asked for.
    fn notified(&mut self, vdev: u64, queue: u16, vq: u64) -> Result<(), Error> {
        if self.devices.get(&vdev).is_some_and(|function| self.others.contains(function)) {
            return Ok(());
        }
        match self.rung {
            Some(function) => {
                self.queues.insert(vq, (function, queue));
                Ok(())
            }
            None => Err(self.unnoticed()),
        }
    }

    /// A queue was notified, and by what is not shown.
    fn unnoticed(&self) -> Error {
        let seen = self.seen.access;
        self.lacking(if seen { Lacking::Notifications } else { Lacking::Accesses })
    }

    fn interrupt(&mut self, vq: u64) {
        let Some(&(function, queue)) = self.queues.get(&vq) else { return };
        self.seen.interrupt = true;
        let of = self.bus.function(function);
        let sent = of.device.interrupt(queue, &of.config);
        self.consequences(function, sent);
    }

    fn consequences(&mut self, function: Bdf, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.record(Actor::Device(function), event);
        }
    }

    fn record(&mut self, by: Actor, event: Event) {
        let seq = self.entries.len() as u64;
        let entry = Entry { seq, rip: None, by, event };
        self.firmware.take(&entry, &self.entries);
        self.entries.push(entry);
        self.lines.push(self.line);
    }

    fn lacking(&self, lacking: Lacking) -> Error {
        Error::Lacking { line: self.line, lacking }
    }

    fn finish(mut self) -> Result<Recording, Error> {
        if !self.seen.any {
            return Err(Error::NoTrace);
        }
        if !self.seen.access {
            return Err(self.lacking(Lacking::Accesses));
        }
        if let Some(line) = self.serial.finish() {
            self.record(Actor::Guest, Event::Console { line });
        }
        self.name_capabilities();
        let mut notes = vec![Note::RegistersOnly, Note::Halves, Note::RefusedUnseen];
        if !self.seen.interrupt {
            notes.push(Note::InterruptsUnseen);
        }
        let by_firmware = self.firmware.entries;
        if let Some(last) = by_firmware.iter().rposition(|firmware| *firmware) {
            notes.push(Note::Firmware { line: self.lines[last] });
        }
        if self.outcome.is_none() {
            notes.push(Note::EndUnseen { line: self.line });
        }
        notes.append(&mut self.notes);
        let Self { entries, lines, outcome, .. } = self;
        Ok(Recording { entries, lines, by_firmware, notes, outcome })
    }

    /// Capabilities do not move, so what the driver found in the end was there from the start.
    fn name_capabilities(&mut self) {
        let functions = self.bus.functions().iter();
        let known: BTreeMap<_, _> = functions
            .map(|(bdf, of)| (*bdf, (of.config.header(), of.config.capabilities())))
            .collect();
        for entry in &mut self.entries {
            let (Event::Register { register, .. } | Event::Refused { register, .. }) =
                &mut entry.event
            else {
                continue;
            };
            let Register::Config { function, header, offset, capability, .. } = register else {
                continue;
            };
            let Some((layout, capabilities)) = known.get(function) else { continue };
            *header = *layout;
            *capability = capabilities.iter().find_map(|&(found, length)| {
                let start = u16::from(found.at);
                (start..start + u16::from(length)).contains(offset).then_some(found)
            });
        }
    }
}

/// The function whose configuration space was stored to.
fn configured(event: &Event) -> Option<Bdf> {
    match event {
        Event::Register {
            register: Register::Config { function, .. },
            access: Access::Store { .. },
        } => Some(*function),
        _ => None,
    }
}

/// Whether the access was to a doorbell.
fn rings(event: &Event) -> bool {
    let (Event::Register { register, access } | Event::Refused { register, access, .. }) = event
    else {
        return false;
    };
    let doorbell = matches!(
        register,
        Register::Notify { .. }
            | Register::Legacy { register: LegacyCfg::QueueNotify, .. }
            | Register::None { structure: Structure::Notify, .. }
    );
    doorbell && access.is_store()
}
