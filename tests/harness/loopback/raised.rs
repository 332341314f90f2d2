//! Where interrupts and the console end without a processor.

use std::collections::BTreeMap;

use eclipse_devices::Wires;

/// What the devices raised and nobody has taken yet.
#[derive(Default)]
pub(super) struct Raised {
    /// By message data.
    pub(super) messages: BTreeMap<u32, u32>,
    /// The level of each interrupt line that was ever driven.
    pub(super) lines: BTreeMap<u32, bool>,
    pub(super) console: Vec<u8>,
    /// The run is to end.
    pub(super) stopping: bool,
}

impl Wires for Raised {
    fn msi(&mut self, _address: u64, data: u32) {
        *self.messages.entry(data).or_default() += 1;
    }

    fn line(&mut self, gsi: u32, level: bool) {
        self.lines.insert(gsi, level);
    }

    fn console(&mut self, bytes: &[u8]) {
        self.console.extend_from_slice(bytes);
    }

    fn stopping(&self) -> bool {
        self.stopping
    }
}
