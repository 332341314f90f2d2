use std::{fmt, io};

/// Why a log is no record of what a driver did.
///
/// Lines are counted from 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Read(#[from] io::Error),
    /// No line is one that QEMU's trace prints.
    #[error(
        "no line is of QEMU's trace; run QEMU with `-trace memory_region_ops_*` and the others, \
         and its `log` trace backend"
    )]
    NoTrace,
    /// Bytes that are no text, or a line of which there is no end.
    #[error("line {line}: this is no text; QEMU's `simple` trace backend writes another format")]
    NoText {
        /// Which.
        line: u64,
    },
    /// The last line has no end.
    #[error("line {line}: the log is cut off inside of {event}")]
    Truncated {
        /// Which.
        line: u64,
        /// What the line begins with.
        event: &'static str,
    },
    /// A line begins inside of another.
    #[error(
        "line {line}: {event} begins inside of another line, so two wrote into this log at once; \
         give QEMU a file of its own with `-D`"
    )]
    Interleaved {
        /// Which.
        line: u64,
        /// What begins there.
        event: &'static str,
    },
    /// Lines are missing.
    #[error("line {line}: the log ends here and says that it had {lines} lines before")]
    Shortened {
        /// Its last line.
        line: u64,
        /// How many there were.
        lines: u64,
    },
    /// Something stands behind the end.
    #[error("line {line}: the log ended before this line; give QEMU a file of its own with `-D`")]
    BehindTheEnd {
        /// Which.
        line: u64,
    },
    /// Two machines' accesses are in one log.
    #[error(
        "line {line}: {region} is another one than before, so two machines wrote into this log"
    )]
    TwoMachines {
        /// Which.
        line: u64,
        /// Of what a machine has only one.
        region: &'static str,
    },
    /// The line is in the form of a QEMU that is too old.
    #[error("line {line}: {event} without {lacking}, as QEMU 5 and older print it")]
    OldVersion {
        /// Which.
        line: u64,
        /// What the line begins with.
        event: &'static str,
        /// What later versions say.
        lacking: &'static str,
    },
    /// The line is in no form that is known here.
    #[error("line {line}: {event} is not in the form of QEMU 7 to 10, or the line is damaged")]
    Form {
        /// Which.
        line: u64,
        /// What the line begins with.
        event: &'static str,
    },
    /// The log has not the events without which it says nothing.
    #[error("line {line}: {lacking}")]
    Lacking {
        /// The first line that shows it.
        line: u64,
        /// What.
        lacking: Lacking,
    },
}

/// What a log would have if QEMU had been asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lacking {
    /// The driver's accesses.
    Accesses,
    /// The stores that notify a queue.
    Notifications,
    /// Where a function's BARs are.
    Configuration,
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lacking::Accesses => {
                "the device acts and no access of the driver is shown; \
                 `-trace memory_region_ops_*` is missing"
            }
            Lacking::Notifications => {
                "a queue is notified and the store that did it is not shown; \
                 `ioeventfd=off` is missing from the device's properties"
            }
            Lacking::Configuration => {
                "an access to a virtio device, and no BAR is known to be there: the log begins too \
                 late, or `-trace memory_region_ops_*` was not on while the bus was set up"
            }
        })
    }
}
