use std::fmt;

use crate::Bdf;

/// What a log does not show although the driver did it, or how it was read for want of better.
///
/// A judge of such a record says nothing about the rules that need what is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// QEMU's trace shows registers. Rings, descriptors, requests and barriers are in memory.
    RegistersOnly,
    /// An access of 8 bytes to a structure in a BAR is shown as two of 4.
    Halves,
    /// Which accesses QEMU refused is not shown: they do not stand in the log.
    RefusedUnseen,
    /// That the device interrupts is not shown: `-trace virtio_* -trace virtqueue_*` is missing,
    /// or no queue ever was.
    InterruptsUnseen,
    /// The log does not say that it is whole: it was not kept by `qemu --record`.
    EndUnseen {
        /// The last there is.
        line: u64,
    },
    /// The driver did not read the capability that says where a structure is, in what is
    /// recorded; it is taken to be where QEMU has it.
    PlaceAssumed {
        /// The first access to it.
        line: u64,
        /// Whose.
        function: Bdf,
    },
    /// A virtio device that is no block device is left out.
    NoBlockDevice {
        /// The first access to it.
        line: u64,
        /// Which.
        function: Bdf,
        /// What QEMU calls it.
        name: Box<str>,
    },
    /// SeaBIOS drove devices before the guest did.
    Firmware {
        /// The last access that is its.
        line: u64,
    },
    /// The guest's processor is not the only one: their accesses stand in the order in which
    /// QEMU carried them out.
    Processors {
        /// The first access of another than the first.
        line: u64,
    },
}

/// The rules about what lies in memory, by what their names begin with. What a driver tells the
/// device of it by registers, such as where a queue is, is judged.
const IN_MEMORY: &[&str] = &[
    "D2.7.4",
    "D2.7.5",
    "D2.7.6",
    "D2.7.7",
    "D2.7.8",
    "D2.7.10",
    "D2.7.13",
    "I2.7.13",
    "I2.7.14",
    "D2.8.16",
    "D2.8.17",
    "D2.8.19",
    "D2.8.21",
    "D3.3.1",
    "D5.2.5.1-a",
    "D5.2.5.1-b",
    "D5.2.6.1-b",
    "D5.2.6.1-d",
    "D5.2.6.1-e",
    "D5.2.6.1-f",
    "D5.2.6.1-g",
    "D5.2.6.1-h",
    "D5.2.6.1-i",
    "D5.2.6.1-j",
    "D5.2.6.1-k",
    "D5.2.6.1-l",
    "D5.2.6.1-z",
    "I5.2.6",
    "I5.2.4-a",
    "D6.1-c",
    "D6.1-e",
    "L5.2.6",
];

impl Note {
    /// Whether it says that a part of the record is not judged for being the firmware's.
    pub fn is_firmware(&self) -> bool {
        matches!(self, Note::Firmware { .. })
    }

    /// The rules about which nothing can be said for this, by their identifiers or by what
    /// these begin with.
    pub fn not_judged(&self) -> &'static [&'static str] {
        match self {
            Note::RegistersOnly => IN_MEMORY,
            Note::Halves => &["D4.1.3.1-a"],
            Note::InterruptsUnseen => &["D4.1.4.5.2-a", "P26"],
            Note::RefusedUnseen
            | Note::EndUnseen { .. }
            | Note::PlaceAssumed { .. }
            | Note::NoBlockDevice { .. }
            | Note::Firmware { .. }
            | Note::Processors { .. } => &[],
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::RegistersOnly => f.write_str(
                "half a record: it shows registers; what the driver stored to the queues and to \
                 buffers, and so every rule about rings, descriptors, requests, store order and \
                 barriers, is not judged",
            ),
            Note::Halves => f.write_str(
                "QEMU shows an access of 8 bytes as two of 4, so a 64-bit field accessed at once \
                 (VIRTIO 1.4, 4.1.3.1) is not noticed",
            ),
            Note::RefusedUnseen => f.write_str(
                "what no device answers is not in the log: neither accesses to memory that nobody \
                 decodes, nor those of a width that QEMU refuses",
            ),
            Note::InterruptsUnseen => f.write_str(
                "no interrupt is shown; if the device sent any, `-trace virtio_*` is missing, and \
                 rules about interrupts are not judged",
            ),
            Note::EndUnseen { line } => write!(
                f,
                "the log does not say that line {line} is its last: what may have come after it is \
                 not judged, nor how the guest ended"
            ),
            Note::PlaceAssumed { line, function } => write!(
                f,
                "line {line}: the capability of {function} that says where this structure is was \
                 not read before; it is taken to be where QEMU 7 to 10 have it"
            ),
            Note::NoBlockDevice { line, function, name } => {
                write!(f, "line {line}: {function} is {name}, no block device, and left out")
            }
            Note::Firmware { line } => write!(
                f,
                "up to line {line} SeaBIOS drives the devices, before the guest does; that is \
                 followed and not judged"
            ),
            Note::Processors { line } => write!(
                f,
                "line {line}: the guest has several processors; their accesses stand in QEMU's \
                 order"
            ),
        }
    }
}
