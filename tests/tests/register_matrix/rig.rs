//! The device and its model, side by side.

use std::fmt::Debug;

use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::pci::Placement;
use eclipse_devices::virtio::{Features, Transport};
use eclipse_devices::{BlockDevice, PlatformConfig};
use eclipse_tests::bare::{NEXT, WRITE};
use eclipse_tests::{Bare, Loopback};

use crate::fields::COMMON;
use crate::model::{Model, Setup};
use crate::structure::{Access, Structure};

/// How far a driver has come in the initialisation (VIRTIO 1.4, 3.1.1), or out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Reset,
    Acknowledge,
    Driver,
    FeaturesOk,
    QueueEnabled,
    DriverOk,
    NeedsReset,
    Failed,
}

impl State {
    pub const ALL: [State; 8] = [
        State::Reset,
        State::Acknowledge,
        State::Driver,
        State::FeaturesOk,
        State::QueueEnabled,
        State::DriverOk,
        State::NeedsReset,
        State::Failed,
    ];

    /// The legacy interface has no FEATURES_OK, and a queue is enabled by its address.
    pub const LEGACY: [State; 6] = [
        State::Reset,
        State::Acknowledge,
        State::Driver,
        State::DriverOk,
        State::NeedsReset,
        State::Failed,
    ];
}

/// Where the legacy interface's queue is.
const LEGACY_QUEUE: u64 = 0x10_0000;

/// A transitional device, which has every structure, and its model.
pub struct Rig {
    pub bare: Bare,
    pub model: Model,
    what: String,
}

impl Rig {
    pub fn new(setup: Setup) -> Self {
        let mut block = BlockDevice::new(Box::new(MemoryDisk::counting(64)));
        block.virtio.transport = Transport::Transitional;
        if setup.ring_reset {
            block.virtio.offer = Features::RING_RESET;
        }
        block.blk.features |= Features::CONFIG_WCE;
        let placement = Placement::default();
        let config = PlatformConfig { blocks: vec![block], placement, ata: None };
        let bare = Bare { machine: Loopback::with(config) };
        // I/O, memory, bus master.
        bare.config_store(0x04, 2, 0x0007);
        if setup.msix {
            bare.config_store(0x42, 2, 0x8000);
        }
        Self { bare, model: Model::new(setup), what: format!("{setup:?}") }
    }

    /// A device that a modern driver has brought to `state`.
    pub fn modern(setup: Setup, state: State) -> Self {
        let mut rig = Self::new(setup);
        rig.what = format!("{setup:?}, {state:?}");
        let mut store = |offset, width, value| rig.common(offset, width, value);
        if state >= State::Acknowledge {
            store(0x14, 1, 0x01);
        }
        if state >= State::Driver {
            store(0x14, 1, 0x03);
        }
        if state >= State::FeaturesOk {
            store(0x0c, 4, 0x0800_0a44);
            store(0x08, 4, 1);
            store(0x0c, 4, if setup.ring_reset { 0x101 } else { 0x001 });
            store(0x08, 4, 0);
            store(0x14, 1, 0x0b);
        }
        if state >= State::QueueEnabled {
            store(0x10, 2, 0);
            store(0x18, 2, Bare::SIZE.into());
            store(0x1a, 2, 1);
            store(0x20, 4, Bare::DESC);
            store(0x28, 4, Bare::AVAIL);
            store(0x30, 4, Bare::USED);
            store(0x1c, 2, 1);
        }
        if state >= State::DriverOk {
            store(0x14, 1, 0x0f);
            rig.flush(Bare::DESC, Bare::AVAIL);
        }
        if state == State::NeedsReset {
            rig.break_ring(Bare::AVAIL);
        }
        if state == State::Failed {
            rig.common(0x14, 1, 0x8f);
        }
        rig
    }

    /// The same by a legacy driver.
    pub fn legacy(setup: Setup, state: State) -> Self {
        let mut rig = Self::new(setup);
        rig.what = format!("legacy, {setup:?}, {state:?}");
        let mut store = |offset, width, value| rig.ports(offset, width, value);
        if state >= State::Acknowledge {
            store(18, 1, 0x01);
        }
        if state >= State::Driver {
            store(18, 1, 0x03);
        }
        if state >= State::DriverOk {
            store(4, 4, 0x0800_0a44);
            store(8, 4, LEGACY_QUEUE >> 12);
            if setup.msix {
                store(20, 2, 0);
                store(22, 2, 1);
            }
            store(18, 1, 0x07);
            rig.flush(LEGACY_QUEUE, LEGACY_QUEUE + 0x1000);
        }
        if state == State::NeedsReset {
            rig.break_ring(LEGACY_QUEUE + 0x1000);
        }
        if state == State::Failed {
            rig.ports(18, 1, 0x87);
        }
        rig
    }

    fn common(&mut self, offset: u64, width: u8, value: u64) {
        let store = Some(value);
        assert!(self.access(Access { structure: Structure::Common, offset, width, store }));
    }

    fn ports(&mut self, offset: u64, width: u8, value: u64) {
        let store = Some(value);
        assert!(self.access(Access { structure: Structure::Legacy, offset, width, store }));
    }

    /// One request, so that there is an interrupt to be seen: with MSI-X a pending one,
    /// as every vector is masked, and without it in the ISR status.
    fn flush(&mut self, desc: u64, avail: u64) {
        self.bare.header(4, 0);
        for (index, addr, len, flags, next) in
            [(0, Bare::HEADER, 16u32, NEXT, 1u16), (1, Bare::STATUS, 1, WRITE, 0)]
        {
            self.bare.write(desc + 16 * index, addr);
            self.bare.write(desc + 16 * index + 8, len);
            self.bare.write(desc + 16 * index + 12, flags);
            self.bare.write(desc + 16 * index + 14, next);
        }
        self.bare.write(avail + 2, 1u16);
        self.bare.store(Bare::NOTIFY, 2, 0);
        assert_eq!(self.bare.read::<u8>(Bare::STATUS), 0);
        self.model.chains = 1;
        match self.model.setup.msix {
            true => self.model.pending = 1 << 1,
            false => self.model.isr = 1,
        }
    }

    /// An available index that jumps, which leaves the device in need of a reset.
    fn break_ring(&mut self, avail: u64) {
        self.bare.write(avail + 2, 0x8000u16);
        self.bare.store(Bare::NOTIFY, 2, 0);
        self.model.status |= 0x40;
        // 4.1.4.5.1: a configuration change shows in the ISR status even with MSI-X.
        self.model.isr |= 2;
        if self.model.setup.msix {
            self.model.pending |= 1 << 0;
        }
    }

    /// Makes the access on both and compares the answer and all that was recorded;
    /// returns whether it reached a register.
    pub fn access(&mut self, access: Access) -> bool {
        let Access { structure, offset, width, store } = access;
        let (space, base) = structure.at();
        let from = self.bare.machine.recorded();
        let answer = match store {
            None => self.bare.machine.load(space, base + offset, width),
            Some(value) => {
                self.bare.machine.store(space, base + offset, width, value);
                0
            }
        };
        let expected = self.model.access(access);
        let what = &self.what;
        if store.is_none() {
            assert_eq!(answer, expected.answer, "{what}: {access:x?}");
        }
        self.compare(from, &expected.lines, access);
        expected.accepted
    }

    /// Compares what was recorded since `from`: the guest's own accesses are told whole,
    /// of each other line a part.
    pub fn compare(&self, from: usize, expected: &[String], access: impl Debug) {
        let entries = self.bare.machine.entries_from(from);
        let lines: Vec<String> = entries.iter().map(ToString::to_string).collect();
        let is = |line: &String, expected: &String| match expected.starts_with("guest") {
            true => line == expected,
            false => line.contains(expected.as_str()),
        };
        let same = lines.len() == expected.len()
            && lines.iter().zip(expected).all(|(line, expected)| is(line, expected));
        assert!(same, "{}: {access:x?}\nrecorded {lines:#?}\nexpected {expected:#?}", self.what);
    }

    /// Every register that can be loaded without an effect is the model's.
    pub fn check_registers(&mut self) {
        let access = |structure, offset, width| Access { structure, offset, width, store: None };
        for field in COMMON.iter().filter(|field| field.offset < 0x38) {
            self.access(access(Structure::Common, field.offset, field.width));
        }
        for (offset, width) in [(0, 4), (4, 4), (0x0c, 4), (0x14, 4), (0x20, 1)] {
            self.access(access(Structure::Block, offset, width));
        }
        for offset in (0..32).step_by(4) {
            self.access(access(Structure::MsixTable, offset, 4));
        }
        self.access(access(Structure::MsixPba, 0, 8));
        self.access(access(Structure::Legacy, 14, 2));
        let control = if self.model.setup.msix { 0x8001 } else { 0x0001 };
        assert_eq!(self.bare.config_load(0x42, 2), control, "{}", self.what);
        assert_eq!(self.bare.config_load(0x04, 2), 0x0007, "{}", self.what);
        let pin = self.model.isr != 0 && !self.model.setup.msix;
        assert_eq!(self.bare.machine.line(10), pin, "{}", self.what);
    }
}
