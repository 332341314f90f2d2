//! What a driver did to a virtio block device in stock QEMU, from QEMU's own trace.
//!
//! QEMU 7 to 10 print each access to a device with
//!
//! ```text
//! -trace memory_region_ops_* -trace pci_cfg_* -trace virtio_* -trace virtqueue_* -D LOG
//! ```
//!
//! and `ioeventfd=off` among the device's properties, without which the stores that notify a
//! queue are not shown. [`read`] turns such a log into a transcript in this crate's words:
//! configuration accesses of all functions, the accesses to the structures of virtio block
//! devices, the interrupts that these sent, and what was printed on COM1. Other devices are left
//! out.
//!
//! Registers are all that QEMU shows. What a driver stores to rings and buffers is not in the
//! log, nor is what QEMU refused; [`Recording::notes`] say so, and which rules cannot be judged
//! for it. An access is as wide as QEMU's device model took it: one of 8 bytes to a structure in
//! a BAR is shown as two of 4.

mod bus;
mod config;
mod error;
mod firmware;
mod line;
mod note;
mod reader;
mod serial;
mod virtio;

use std::io::BufRead;

pub use error::{Error, Lacking};
pub use line::end_line;
pub use note::Note;

use crate::Entry;
use crate::rules::{self, Judge, Rule};

/// What a log shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// What happened, in QEMU's order.
    pub entries: Vec<Entry>,
    /// For each entry the line of the log that shows it, from 1.
    pub lines: Vec<u64>,
    /// For each entry whether it is what SeaBIOS did, before the guest that it booted.
    pub by_firmware: Vec<bool>,
    /// What the log does not show.
    pub notes: Vec<Note>,
    /// What became of the guest, where the log says so ([`end_line`]).
    pub outcome: Option<String>,
}

impl Recording {
    /// The rules that such a record can show to be broken.
    pub fn judged(&self) -> impl Iterator<Item = &'static Rule> {
        let left_out: Vec<_> = self.notes.iter().flat_map(Note::not_judged).copied().collect();
        rules::all().filter(move |rule| !left_out.iter().any(|name| rule.id.starts_with(name)))
    }

    /// Shows the record to a judge, who hears of what the firmware did and does not judge it.
    pub fn show(&self, judge: &mut Judge) {
        for (entry, firmware) in self.entries.iter().zip(&self.by_firmware) {
            match firmware {
                true => judge.follow(entry),
                false => judge.see(entry),
            }
        }
    }
}

/// Reads a log of QEMU's trace.
///
/// # Errors
/// The log cannot be read, is damaged or of another version, or lacks events without which
/// nothing can be said; the error says what, and at which line.
pub fn read(log: impl BufRead) -> Result<Recording, Error> {
    reader::Reader::default().read(log)
}
