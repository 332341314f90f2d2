//! A block device that does what it is told, right or wrong.
//!
//! It is written for these tests only: the emulated devices of this project are
//! another reading of the specification, and have tests of their own with this driver.

use super::{FakeHal, Function, Machine};

/// Where its structures are.
const BASE: u64 = 0xfe00_0000;
/// Where its MSI-X table is.
const TABLE: u64 = 0xfebc_1000;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    Nothing,
    /// The status never becomes 0 again.
    NeverResets,
    /// FEATURES_OK is not kept.
    RefusesFeatures,
    /// `queue_msix_vector` is not kept.
    RefusesVector,
    /// `queue_enable` stays 0.
    NeverEnables,
    /// Requests are taken and never completed.
    NeverCompletes,
    /// So, and the status says NEEDS_RESET.
    NeedsReset,
    /// It completes, but no interrupt comes.
    LosesInterrupts,
    /// Interrupts come before the completion does.
    SpuriousInterrupts,
    /// The used element has this ID.
    UsedId(u32),
    /// The used element has this length.
    UsedLen(u32),
    /// `used.idx` moves by this more.
    UsedIndex(u16),
    /// The status byte is this one.
    Status(u8),
    /// The status byte is not written.
    NoStatus,
    /// `used.flags` says that notifications are not wanted.
    NoNotify,
}

pub struct FakeBlock {
    pub fault: Fault,
    /// How often it goes wrong until it is well again; `None`: for ever.
    pub faults_left: Option<u32>,
    /// Requests are taken and never completed.
    pub hold: bool,
    pub offered: u64,
    pub sectors: u64,
    pub seg_max: u32,
    pub blk_size: u32,
    pub queue_size: u16,
    pub notify_off: u16,
    pub disk: Vec<u8>,
    /// The header of each request: type and sector.
    pub requests: Vec<(u32, u64)>,
    /// Each change of the configuration generation yet to come.
    pub changes: u32,
    /// ISR status.
    pub isr: u8,
    pub(super) vectors: u32,
    /// A request went past the end of the disk.
    outside: bool,
    striking: Fault,
    common: [u8; 64],
    accepted: [u32; 2],
    seen: u16,
    queue: u16,
}

/// Which structure an address is in, and where.
pub(super) fn place(address: u64) -> (&'static str, u64) {
    let within = |base: u64, len: u64| address.checked_sub(base).filter(|offset| *offset < len);
    let structures = [
        ("table", TABLE, 0x800),
        ("common", BASE, 0x38),
        ("isr", BASE + 0x1000, 1),
        ("device", BASE + 0x2000, 0x1000),
        ("notify", BASE + 0x3000, 0x1000),
    ];
    structures
        .into_iter()
        .find_map(|(what, base, len)| Some((what, within(base, len)?)))
        .unwrap_or(("nothing", 0))
}

impl FakeBlock {
    pub fn new() -> Self {
        Self {
            fault: Fault::Nothing,
            faults_left: None,
            hold: false,
            offered: 1 << 32 | 1 << 9 | 1 << 6 | 1 << 2,
            sectors: 64,
            seg_max: 14,
            blk_size: 512,
            queue_size: 256,
            notify_off: 0,
            disk: (0..64 * 512).map(|byte| (byte / 512) as u8).collect(),
            requests: Vec::new(),
            changes: 0,
            isr: 0,
            vectors: 0,
            outside: false,
            striking: Fault::Nothing,
            common: [0; 64],
            accepted: [0; 2],
            seen: 0,
            queue: 0,
        }
    }

    fn word(&self, offset: usize, width: u8) -> u32 {
        let bytes = self.common[offset..].iter().take(usize::from(width));
        bytes.rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
    }

    fn set(&mut self, offset: usize, bytes: &[u8]) {
        self.common[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// What goes wrong with the requests of this notification.
    fn strikes(&mut self) -> Fault {
        self.striking = match &mut self.faults_left {
            Some(0) => Fault::Nothing,
            Some(left) => {
                *left -= 1;
                self.fault
            }
            None => self.fault,
        };
        self.striking
    }

    fn accepts_what_it_did_not_offer(&self) -> bool {
        let [low, high] = self.accepted.map(u64::from);
        (high << 32 | low) & !self.offered != 0
    }

    pub fn status(&self) -> u8 {
        self.common[0x14]
    }

    pub(super) fn load(&mut self, what: &str, offset: u64, width: u8) -> u32 {
        match (what, offset) {
            ("common", 0x04) => match self.word(0, 4) {
                0 => self.offered as u32,
                1 => (self.offered >> 32) as u32,
                _ => 0,
            },
            ("common", 0x12) => 1,
            ("common", 0x15) => {
                self.changes = self.changes.saturating_sub(1);
                self.changes
            }
            ("common", 0x18) if self.queue == 0 => self.queue_size.into(),
            ("common", 0x18) => self.queue.into(),
            ("common", 0x1e) => self.notify_off.into(),
            ("common", _) => self.word(offset as usize, width),
            ("isr", _) => core::mem::take(&mut self.isr).into(),
            ("device", 0x00) => self.sectors as u32,
            ("device", 0x04) => (self.sectors >> 32) as u32,
            ("device", 0x0c) => self.seg_max,
            ("device", 0x14) => self.blk_size,
            _ => u32::MAX,
        }
    }
}

/// Takes a store.
pub(super) fn store(machine: &mut Machine, what: &str, offset: u64, value: u32) {
    let device = &mut machine.device;
    match (what, offset) {
        ("common", 0x14) => store_status(device, value as u8),
        ("common", 0x0c) => {
            let half = device.word(8, 4) as usize;
            device.accepted[half] = value;
        }
        ("common", 0x18) => device.queue = value as u16,
        ("common", 0x1a) if device.fault == Fault::RefusesVector => device.set(0x1a, &[255; 2]),
        ("common", 0x1c) if device.fault == Fault::NeverEnables => {}
        ("common", 0x10 | 0x16 | 0x1a | 0x1c) => {
            device.set(offset as usize, &(value as u16).to_le_bytes());
        }
        ("common", _) => device.set(offset as usize, &value.to_le_bytes()),
        ("notify", _) => notified(machine),
        _ => {}
    }
}

fn store_status(device: &mut FakeBlock, value: u8) {
    match (device.fault, value) {
        (Fault::NeverResets, 0) if device.common[0x14] != 0 => {}
        (_, 0) => {
            device.common = [0; 64];
            device.accepted = [0; 2];
            device.seen = 0;
            device.queue = 0;
        }
        (Fault::RefusesFeatures, _) => device.common[0x14] = value & !0x08,
        _ if device.accepts_what_it_did_not_offer() => device.common[0x14] = value & !0x08,
        _ => device.common[0x14] = value,
    }
}

/// Serves all requests that are available.
pub fn notified(machine: &mut Machine) {
    if machine.device.hold {
        return;
    }
    match machine.device.strikes() {
        Fault::NeverCompletes => return,
        Fault::NeedsReset => {
            machine.device.common[0x14] |= 0x40;
            return;
        }
        _ => {}
    }
    while serve_next(machine) {}
}

/// Serves the next request that is available; whether there was one.
pub fn serve_next(machine: &mut Machine) -> bool {
    let head = machine.heads().into_iter().next();
    head.is_some_and(|head| {
        serve(machine, head);
        true
    })
}

/// A descriptor: address, length, and whether the device writes.
pub type Descriptor = (u64, u32, bool);

impl Machine {
    /// The address of an area of the queue, by its register.
    fn area(&self, register: usize) -> u64 {
        let half = |at| u64::from(self.device.word(at, 4));
        half(register + 4) << 32 | half(register)
    }

    /// Descriptor table, available ring, used ring, as the device was told.
    pub fn areas(&self) -> [u64; 3] {
        [0x20, 0x28, 0x30].map(|register| self.area(register))
    }

    /// The heads of the chains that are available and were not taken.
    fn heads(&self) -> Vec<u16> {
        let [_, driver, _] = self.areas();
        let word = |at| u16::from_le_bytes(self.ram(at));
        let count = word(driver + 2).wrapping_sub(self.device.seen);
        let place = |step| self.device.seen.wrapping_add(step) % self.device.queue;
        (0..count).map(|step| word(driver + 4 + 2 * u64::from(place(step)))).collect()
    }

    /// The chains that are available and were not taken.
    pub fn chains(&self) -> Vec<Vec<Descriptor>> {
        self.heads().into_iter().map(|head| self.chain(head)).collect()
    }

    fn chain(&self, head: u16) -> Vec<Descriptor> {
        let [table, ..] = self.areas();
        let mut chain = vec![];
        let mut next = Some(head);
        while let Some(index) = next {
            let descriptor: [u8; 16] = self.ram(table + 16 * u64::from(index));
            let value = u128::from_le_bytes(descriptor);
            let flags = (value >> 96) as u16;
            chain.push((value as u64, (value >> 64) as u32, flags & 2 != 0));
            next = (flags & 1 != 0).then_some((value >> 112) as u16);
        }
        chain
    }
}

/// Serves one chain.
fn serve(machine: &mut Machine, head: u16) {
    let chain = machine.chain(head);
    let (header, 16, false) = chain[0] else { panic!("no header: {chain:?}") };
    let Some(&(status, 1, true)) = chain.last() else { panic!("no status: {chain:?}") };
    assert_eq!(machine.ram(status), [0xff], "the status byte is pre-set");
    let header = u128::from_le_bytes(machine.ram(header));
    let (kind, sector) = (header as u32, (header >> 64) as u64);
    machine.device.requests.push((kind, sector));
    let mut at = (sector as usize).saturating_mul(512);
    let mut written = 1;
    for &(address, len, writes) in &chain[1..chain.len() - 1] {
        let len = len as usize;
        if at.saturating_add(len) > machine.device.disk.len() {
            machine.device.outside = true;
        } else if writes {
            let data = machine.device.disk[at..at + len].to_vec();
            machine.set_ram(address, &data);
            written += len as u32;
        } else {
            for byte in 0..len {
                let [data] = machine.ram(address + byte as u64);
                machine.device.disk[at + byte] = data;
            }
        }
        at += len;
    }
    complete(machine, head, status, written);
}

fn complete(machine: &mut Machine, head: u16, status: u64, written: u32) {
    let [_, _, used] = machine.areas();
    let fault = machine.device.striking;
    let code = match fault {
        _ if core::mem::take(&mut machine.device.outside) => 1,
        Fault::Status(code) => code,
        Fault::NoStatus => 0xff,
        _ => 0,
    };
    machine.set_ram(status, &[code]);
    let id = if let Fault::UsedId(id) = fault { id } else { head.into() };
    let len = if let Fault::UsedLen(len) = fault { len } else { written };
    let slot = u64::from(machine.device.seen % machine.device.queue);
    machine.set_ram(used + 4 + 8 * slot, &id.to_le_bytes());
    machine.set_ram(used + 8 + 8 * slot, &len.to_le_bytes());
    machine.device.seen = machine.device.seen.wrapping_add(1);
    let more = if let Fault::UsedIndex(more) = fault { more } else { 0 };
    let index = machine.device.seen.wrapping_add(more);
    machine.set_ram(used + 2, &index.to_le_bytes());
    machine.set_ram(used, &u16::from(fault == Fault::NoNotify).to_le_bytes());
    if !machine.msix() {
        machine.device.isr |= 1;
    }
    let [_, driver, _] = machine.areas();
    let unwanted = machine.ram(driver) == [1, 0];
    machine.pending += match fault {
        _ if unwanted => 0,
        Fault::LosesInterrupts => 0,
        Fault::SpuriousInterrupts => 3,
        _ => 1,
    };
}

/// One vendor capability.
pub fn capability(cfg_type: u8, next: u8, bar: u8, offset: u32, length: u32) -> [u8; 16] {
    let mut bytes = [0x09, next, 16, cfg_type, bar, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes[8..12].copy_from_slice(&offset.to_le_bytes());
    bytes[12..].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// The configuration space of a block device, as the `modern` preset has it.
pub fn function() -> Function {
    let mut function = Function::new(0x1af4, 0x1042, 0x01_00_00);
    function.register(0x10, 0xfebc_1000, 0xffff_f000);
    function.register(0x20, 0xfe00_000c, 0xffff_c000);
    function.register(0x24, 0, 0xffff_ffff);
    function.set(0x3c, &[11, 1]);
    function.capabilities(0x40);
    function.set(0x40, &[0x11, 0x50, 1, 0, 0, 0, 0, 0, 0, 8, 0, 0]);
    function.writable[0x43] = 0xc0;
    function.set(0x50, &capability(1, 0x60, 4, 0, 0x38));
    function.set(0x60, &capability(3, 0x70, 4, 0x1000, 1));
    function.set(0x70, &capability(4, 0x80, 4, 0x2000, 0x1000));
    function.set(0x80, &capability(2, 0, 4, 0x3000, 0x1000));
    function.set(0x82, &[20]);
    function.set(0x90, &4_u32.to_le_bytes());
    function
}

impl FakeHal {
    /// A machine with a block device at 00:04.0.
    pub fn with_block() -> Self {
        let hal = Self::new();
        hal.insert(4, 0, function());
        hal
    }
}
