use super::Error;
use crate::{Access, Bdf};

/// What a line of the log says, as far as it is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// `memory_region_ops_read` and `memory_region_ops_write`.
    Region(RegionAccess<'a>),
    /// `pci_cfg_read` and `pci_cfg_write`, which do not say how wide the access was: the
    /// configuration space of this function was accessed, which is this device's.
    Config { device: &'a str, function: Bdf },
    /// `virtio_queue_notify`: the device looks into a queue, whose address inside of QEMU this is.
    QueueNotify { vdev: u64, queue: u16, vq: u64 },
    /// `virtqueue_pop`: the device took a chain.
    Pop,
    /// `virtio_notify`: the device interrupts for a queue.
    Notify { vq: u64 },
    /// `virtio_set_status`: a device, whose address inside of QEMU this is, has another status.
    SetStatus { vdev: u64 },
    /// `qemu --record` ends its logs so: how many lines came before, and what became of the guest.
    End { lines: u64, outcome: &'a str },
    /// Another event, or something else altogether.
    Other,
}

/// What the last line of a log begins with that `qemu --record` kept.
const END: &str = "eclipse-vmm: the end after ";

/// The last line of a log of `lines` lines, after which the guest ended as `outcome` says.
pub fn end_line(lines: u64, outcome: &str) -> String {
    format!("{END}{lines} lines: {outcome}\n")
}

fn end(text: &str) -> Option<Line<'_>> {
    let (lines, outcome) = text.strip_prefix(END)?.split_once(" lines: ")?;
    Some(Line::End { lines: lines.parse().ok()?, outcome })
}

/// An access to one of QEMU's memory regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RegionAccess<'a> {
    /// Which processor; negative when it is a device's.
    pub(super) cpu: i32,
    /// The region's address inside of QEMU, which is the same for as long as it exists.
    pub(super) region: u64,
    /// The port, or the guest-physical address.
    pub(super) address: u64,
    pub(super) access: Access,
    pub(super) name: &'a str,
}

/// The events that are read here, by the text that only they begin with.
const EVENTS: [(&str, &str); 8] = [
    ("memory_region_ops_read", " cpu "),
    ("memory_region_ops_write", " cpu "),
    ("pci_cfg_read", " "),
    ("pci_cfg_write", " "),
    ("virtio_queue_notify", " vdev "),
    ("virtqueue_pop", " vq "),
    ("virtio_notify", " vdev "),
    ("virtio_set_status", " vdev "),
];

impl<'a> Line<'a> {
    /// Reads line number `line`; `ended` says whether it has an end.
    ///
    /// # Errors
    /// It is one of the events that are read here, and not whole or not in its form.
    pub(super) fn parse(text: &'a str, line: u64, ended: bool) -> Result<Self, Error> {
        if let Some(end) = end(text).filter(|_| ended) {
            return Ok(end);
        }
        let text = without_time(text);
        let Some((event, rest)) = begins(text) else {
            return match within(text) {
                Some(event) => Err(Error::Interleaved { line, event }),
                None => Ok(Line::Other),
            };
        };
        let found = match event {
            "memory_region_ops_read" => region(rest, false),
            "memory_region_ops_write" => region(rest, true),
            "pci_cfg_read" => config(rest, "->"),
            "pci_cfg_write" => config(rest, "<-"),
            "virtio_queue_notify" => queue_notify(rest),
            "virtqueue_pop" => pop(rest),
            "virtio_notify" => notify(rest),
            _ => set_status(rest),
        };
        match found {
            // A number may have lost its last digits and still be one.
            Some(_) if !ended => Err(Error::Truncated { line, event }),
            Some(found) => Ok(found),
            None => Err(why(event, rest, line, ended)),
        }
    }

    /// Whether the line is of one of the events that are read here.
    pub(super) fn begins_event(text: &str) -> bool {
        begins(without_time(text)).is_some()
    }
}

/// With `-msg timestamp=on` each line begins with the thread and the time: `4711@1763.000042:`.
fn without_time(text: &str) -> &str {
    let stripped = || {
        let (thread, rest) = text.split_once('@')?;
        let (time, rest) = rest.split_once(':')?;
        let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (seconds, micros) = time.split_once('.')?;
        (number(thread) && number(seconds) && number(micros)).then_some(rest)
    };
    stripped().unwrap_or(text)
}

/// The event that the line is of, and what follows its name.
fn begins(text: &str) -> Option<(&'static str, &str)> {
    EVENTS.iter().find_map(|&(name, after)| {
        let rest = text.strip_prefix(name)?;
        // A name that was cut off at the end of the log is one, too.
        (rest.is_empty() || after.starts_with(rest) || rest.starts_with(after))
            .then_some((name, rest))
    })
}

/// The event that begins inside of the line.
fn within(text: &str) -> Option<&'static str> {
    EVENTS.iter().find_map(|&(name, after)| {
        let mut found = text.match_indices(name).map(|(at, _)| &text[at + name.len()..]);
        let there = match after {
            " " => found.any(|rest| config(rest, "->").or(config(rest, "<-")).is_some()),
            _ => found.any(|rest| rest.starts_with(after)),
        };
        there.then_some(name)
    })
}

fn why(event: &'static str, rest: &str, line: u64, ended: bool) -> Error {
    if let Some(event) = within(rest) {
        return Error::Interleaved { line, event };
    }
    let old = |lacking| Error::OldVersion { line, event, lacking };
    match event {
        _ if !ended => Error::Truncated { line, event },
        "memory_region_ops_read" | "memory_region_ops_write" if unnamed_region(rest) => {
            old("the region's name")
        }
        "pci_cfg_read" | "pci_cfg_write" if config_without_bus(rest) => old("the bus"),
        _ => Error::Form { line, event },
    }
}

/// `cpu 0 mr 0x55.. addr 0xcf8 value 0x80000000 size 4 name 'pci-conf-idx'`.
fn region(rest: &str, store: bool) -> Option<Line<'_>> {
    let mut fields = Fields(rest);
    let (cpu, region, address, access) = unnamed(&mut fields, store)?;
    let name = fields.last("name")?.strip_prefix('\'')?.strip_suffix('\'')?;
    (!name.contains('\'')).then_some(Line::Region(RegionAccess {
        cpu,
        region,
        address,
        access,
        name,
    }))
}

fn unnamed(fields: &mut Fields<'_>, store: bool) -> Option<(i32, u64, u64, Access)> {
    let cpu = fields.after("cpu")?.parse().ok()?;
    let region = hex(fields.after("mr")?)?;
    let address = hex(fields.after("addr")?)?;
    let value = hex(fields.after("value")?)?;
    let width: u8 = fields.after("size")?.parse().ok()?;
    // What a device answers may have more digits than the processor takes.
    let value = value & u64::MAX.checked_shr(64 - 8 * u32::from(width).min(8))?;
    let access = match store {
        true => Access::Store { width, value },
        false => Access::Load { width, value },
    };
    matches!(width, 1 | 2 | 4 | 8).then_some((cpu, region, address, access))
}

fn unnamed_region(rest: &str) -> bool {
    let mut fields = Fields(rest);
    unnamed(&mut fields, false).is_some() && fields.0.is_empty()
}

/// `virtio-blk-pci 00:04.0 @0x14 <- 0xffffffff`.
fn config<'a>(rest: &'a str, arrow: &str) -> Option<Line<'a>> {
    let mut words = rest.strip_prefix(' ')?.rsplit(' ');
    let _value = hex(words.next()?)?;
    (words.next()? == arrow).then_some(())?;
    let _offset = hex(words.next()?.strip_prefix('@')?)?;
    let function = words.next()?.parse().ok()?;
    let device = words.next().filter(|name| !name.is_empty())?;
    words.next().is_none().then_some(Line::Config { device, function })
}

/// Old: `virtio-blk-pci 04:0 @0x14 <- 0xffffffff`.
fn config_without_bus(rest: &str) -> bool {
    let mut words = rest.rsplit(' ').skip(3);
    let Some((slot, function)) = words.next().and_then(|word| word.split_once(':')) else {
        return false;
    };
    slot.parse::<u8>().is_ok() && function.parse::<u8>().is_ok()
}

/// `vdev 0x55.. n 0 vq 0x55..`.
fn queue_notify(rest: &str) -> Option<Line<'_>> {
    let mut fields = Fields(rest);
    let vdev = hex(fields.after("vdev")?)?;
    let queue = fields.after("n")?.parse().ok()?;
    let vq = hex(fields.last("vq")?)?;
    Some(Line::QueueNotify { vdev, queue, vq })
}

/// `vq 0x55.. elem 0x7f.. in_num 2 out_num 1`.
fn pop(rest: &str) -> Option<Line<'_>> {
    let mut fields = Fields(rest);
    hex(fields.after("vq")?)?;
    hex(fields.after("elem")?)?;
    fields.after("in_num")?.parse::<u32>().ok()?;
    fields.last("out_num")?.parse::<u32>().ok()?;
    Some(Line::Pop)
}

/// `vdev 0x55.. vq 0x55..`.
fn notify(rest: &str) -> Option<Line<'_>> {
    let mut fields = Fields(rest);
    hex(fields.after("vdev")?)?;
    Some(Line::Notify { vq: hex(fields.last("vq")?)? })
}

/// `vdev 0x55.. val 15`: what the store that brought it shows as well.
fn set_status(rest: &str) -> Option<Line<'_>> {
    let mut fields = Fields(rest);
    let vdev = hex(fields.after("vdev")?)?;
    fields.last("val")?.parse::<u8>().ok()?;
    Some(Line::SetStatus { vdev })
}

/// What is left of a line of ` label value` pairs.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    /// The value behind `label`, which is next.
    fn after(&mut self, label: &str) -> Option<&'a str> {
        let rest = self.last(label)?;
        let end = rest.find(' ').unwrap_or(rest.len());
        let (value, rest) = rest.split_at(end);
        self.0 = rest;
        Some(value)
    }

    /// All that stands behind `label`, which is next.
    fn last(&mut self, label: &str) -> Option<&'a str> {
        self.0.strip_prefix(' ')?.strip_prefix(label)?.strip_prefix(' ')
    }
}

/// A number as QEMU writes it: `0x1af4`.
fn hex(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x")?;
    // `from_str_radix` takes a sign.
    let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(digits, 16).ok())?
}
