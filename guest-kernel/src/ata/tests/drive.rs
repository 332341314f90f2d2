//! A controller with up to four drives, by the text of ATA/ATAPI-6, slow and with mishaps.

use std::{
    cell::{RefCell, RefMut},
    collections::{BTreeMap, VecDeque},
    fmt,
    rc::Rc,
    time::Duration,
};

use crate::hal::{DeviceMemory, DmaMemory, Hal, HalError, Interrupt, Vector, Word};

const READY: u8 = 0x50;
const DATA_REQUEST: u8 = 0x58;
const BUSY: u8 = 0x80;
/// The loads of a status for which a drive still shows the one before.
const LAG: usize = 4;
/// The loads of a status for which it is then busy.
const WORK: usize = 3;

/// What goes wrong with the commands after IDENTIFY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trouble {
    #[default]
    None,
    /// BSY stays set.
    Busy,
    /// DRDY stays clear.
    NotReady,
    /// DRQ stays clear.
    NoData,
    /// DRQ stays set.
    Endless,
    /// The status and the Error register at the end.
    Ends(u8, u8),
    /// Nobody drives the bus any more.
    Gone,
}

pub struct Drive {
    pub sectors: u64,
    words: BTreeMap<usize, u16>,
    packet: bool,
    pub trouble: Trouble,
    pub written: BTreeMap<u64, Vec<u16>>,
    /// What the next loads of the status show; the last one stays.
    shows: VecDeque<u8>,
    error: u8,
    input: VecDeque<u16>,
    /// The sector that the words go to, how many are left, and the words.
    output: Option<(u64, u32, Vec<u16>)>,
}

impl Drive {
    pub fn new(sectors: u64) -> Self {
        Self {
            sectors,
            words: BTreeMap::new(),
            packet: false,
            trouble: Trouble::None,
            written: BTreeMap::new(),
            shows: VecDeque::from([READY]),
            error: 0,
            input: VecDeque::new(),
            output: None,
        }
    }

    /// The word at `index` of sector `sector`, if nobody wrote it.
    pub fn word(sector: u64, index: u64) -> u16 {
        (sector * 0x101 + index * 7) as u16
    }

    /// With some words of its identity as `words` says.
    pub fn with_words(self, words: impl IntoIterator<Item = (usize, u16)>) -> Self {
        Self { words: words.into_iter().collect(), ..self }
    }

    /// One that takes packets.
    pub fn packet() -> Self {
        Self { packet: true, ..Self::new(0) }
    }

    fn identify(&self) -> Vec<u16> {
        let mut words = vec![0; 256];
        words[0] = 0x0040;
        for (place, pair) in words[27..47].iter_mut().zip("Fake disk\0  ".as_bytes().chunks(2)) {
            *place = u16::from_be_bytes([pair[0], pair[1]]);
        }
        words[32..47].fill(0x2020);
        words[49] = 0x0200;
        let short = self.sectors.min(0x0fff_ffff);
        (words[60], words[61]) = (short as u16, (short >> 16) as u16);
        words[83] = 0x7400;
        for word in 0..4 {
            words[100 + word] = (self.sectors >> (16 * word)) as u16;
        }
        words[255] = 0x00a5;
        let sum = |words: &[u16]| {
            words.iter().flat_map(|word| word.to_le_bytes()).fold(0, u8::wrapping_add)
        };
        words[255] |= u16::from(sum(&words).wrapping_neg()) << 8;
        for (index, word) in &self.words {
            words[*index] = *word;
        }
        words
    }

    fn status(&mut self) -> u8 {
        let now = self.shows.front().copied().unwrap_or(READY);
        if self.shows.len() > 1 {
            self.shows.pop_front();
        }
        now
    }

    /// Comes to `end` after a while in which the status is the old one, and then BSY.
    fn comes_to(&mut self, end: u8) {
        let old = self.shows.back().copied().unwrap_or(READY);
        let work = std::iter::repeat_n(BUSY, WORK);
        self.shows = std::iter::repeat_n(old, LAG).chain(work).chain([end]).collect();
    }

    fn command(&mut self, code: u8, lba: u64, count: u32) {
        self.error = 0;
        self.input.clear();
        self.output = None;
        let trouble = if code == 0xec { Trouble::None } else { self.trouble };
        match trouble {
            Trouble::None | Trouble::Endless => {}
            Trouble::Busy => return self.comes_to(BUSY),
            Trouble::NotReady | Trouble::NoData => return self.comes_to(READY),
            Trouble::Gone => return self.comes_to(0xff),
            Trouble::Ends(status, error) => {
                self.error = error;
                return self.comes_to(status);
            }
        }
        match code {
            0xec => self.input = self.identify().into(),
            0x20 | 0x24 => {
                let sectors = lba..lba + u64::from(count);
                self.input = sectors.flat_map(|sector| self.sector(sector)).collect();
            }
            0x30 | 0x34 => self.output = Some((lba, count, vec![])),
            0xe7 | 0xea => {}
            _ => {
                self.error = 0x04;
                return self.comes_to(READY | 1);
            }
        }
        let data = matches!(code, 0xec | 0x20 | 0x24 | 0x30 | 0x34);
        self.comes_to(if data { DATA_REQUEST } else { READY });
    }

    fn sector(&self, sector: u64) -> Vec<u16> {
        let fresh = || (0..256).map(|index| Self::word(sector, index)).collect();
        self.written.get(&sector).cloned().unwrap_or_else(fresh)
    }

    fn at_end(&self) -> u8 {
        if self.trouble == Trouble::Endless { DATA_REQUEST } else { READY }
    }

    fn load_word(&mut self) -> u16 {
        assert_eq!(self.shows, [DATA_REQUEST], "data is loaded before the device says it is there");
        let word = self.input.pop_front().expect("no more words than the device has");
        if self.input.is_empty() {
            self.comes_to(self.at_end());
        } else if self.input.len().is_multiple_of(256) {
            self.comes_to(DATA_REQUEST);
        }
        word
    }

    fn store_word(&mut self, word: u16) {
        assert_eq!(self.shows, [DATA_REQUEST], "data is stored before the device asks for it");
        let (sector, left, words) = self.output.as_mut().expect("the device takes data");
        words.push(word);
        if words.len() == 256 {
            self.written.insert(*sector, std::mem::take(words));
            (*sector, *left) = (*sector + 1, *left - 1);
            let end = if *left == 0 { self.at_end() } else { DATA_REQUEST };
            self.comes_to(end);
        }
    }
}

#[derive(Default)]
struct Channel {
    drives: [Option<Drive>; 2],
    /// Count and LBA, with what was stored before.
    registers: [(u8, u8); 4],
    device: u8,
    control: u8,
}

#[derive(Default)]
pub struct Controller {
    channels: [Channel; 2],
    clock: Duration,
    pub log: Vec<String>,
    /// Code, address, sectors.
    pub commands: Vec<(u8, u64, u32)>,
    pub resets: u32,
}

impl Controller {
    pub fn drive(&mut self, channel: usize, device: usize) -> &mut Drive {
        self.channels[channel].drives[device].as_mut().expect("a drive of the test")
    }
}

/// The machine around the controller; clones are the same one.
#[derive(Clone, Default)]
pub struct Machine(Rc<RefCell<Controller>>);

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Machine")
    }
}

impl Machine {
    pub fn with(drives: impl IntoIterator<Item = (usize, usize, Drive)>) -> Self {
        let machine = Self::default();
        for (channel, device, drive) in drives {
            machine.controller().channels[channel].drives[device] = Some(drive);
        }
        machine
    }

    pub fn controller(&self) -> RefMut<'_, Controller> {
        self.0.borrow_mut()
    }
}

/// The channel and the register of a port; register 8 is Device Control.
fn place(port: u16) -> Option<(usize, usize)> {
    match port {
        0x1f0..=0x1f7 => Some((0, usize::from(port - 0x1f0))),
        0x170..=0x177 => Some((1, usize::from(port - 0x170))),
        0x3f6 => Some((0, 8)),
        0x376 => Some((1, 8)),
        _ => None,
    }
}

impl Channel {
    fn selected(&self) -> usize {
        usize::from(self.device >> 4 & 1)
    }

    fn load(&mut self, register: usize) -> u32 {
        if self.drives.iter().all(Option::is_none) {
            return u32::MAX;
        }
        let selected = self.selected();
        let value = match (&mut self.drives[selected], register) {
            (None, _) => 0,
            (Some(drive), 0) => return drive.load_word().into(),
            (Some(drive), 1) => drive.error,
            (Some(drive), 7 | 8) => drive.status(),
            (Some(drive), 4 | 5) if drive.packet => [0x14, 0xeb][register - 4],
            (Some(_), 6) => self.device,
            (Some(_), _) => self.registers[register - 2].0,
        };
        value.into()
    }

    /// The command that a store gave.
    fn store(&mut self, register: usize, value: u32) -> Option<(u8, u64, u32)> {
        let byte = value as u8;
        match register {
            0 => {
                let selected = self.selected();
                self.drives[selected].as_mut()?.store_word(value as u16);
            }
            2..=5 => {
                let old = &mut self.registers[register - 2];
                *old = (byte, old.0);
            }
            6 => {
                self.device = byte;
                let selected = self.selected();
                let drive = self.drives[selected].as_mut()?;
                if drive.trouble == Trouble::NotReady && !drive.written.is_empty() {
                    drive.shows = [0x10].into();
                }
            }
            7 => return self.command(byte),
            8 => self.control = byte,
            _ => {}
        }
        None
    }

    fn command(&mut self, code: u8) -> Option<(u8, u64, u32)> {
        assert_eq!(self.control & 2, 2, "interrupts are off");
        let extended = matches!(code, 0x24 | 0x34 | 0xea);
        let [count, low, mid, high] = self.registers;
        let lba = u64::from_le_bytes([low.0, mid.0, high.0, 0, 0, 0, 0, 0]);
        let (lba, count, all) = match extended {
            true => {
                let upper = u64::from_le_bytes([0, 0, 0, low.1, mid.1, high.1, 0, 0]);
                (lba | upper, u16::from_le_bytes([count.0, count.1]).into(), 0x1_0000)
            }
            false => (lba | u64::from(self.device & 0xf) << 24, u32::from(count.0), 0x100),
        };
        let count = if count == 0 { all } else { count };
        let linear = self.device & 0x40 != 0;
        let selected = self.selected();
        let drive = self.drives[selected].as_mut()?;
        assert!(linear || matches!(code, 0xec | 0xe7 | 0xea), "linear addresses");
        drive.command(code, lba, count);
        Some((code, lba, count))
    }
}

impl Hal for Machine {
    fn port_load<T: Word>(&self, port: u16) -> T {
        let mut controller = self.controller();
        controller.clock += Duration::from_nanos(100);
        T::truncate(place(port).map_or(u32::MAX, |(channel, register)| {
            assert_eq!(T::WIDTH, if register == 0 { 2 } else { 1 });
            controller.channels[channel].load(register)
        }))
    }

    fn port_store<T: Word>(&self, port: u16, value: T) {
        let Some((channel, register)) = place(port) else { return };
        assert_eq!(T::WIDTH, if register == 0 { 2 } else { 1 });
        let controller = &mut *self.controller();
        let value = value.into();
        if register == 8 && value & 4 != 0 {
            controller.resets += 1;
            for drive in controller.channels[channel].drives.iter_mut().flatten() {
                (drive.shows, drive.input, drive.output) = ([READY].into(), [].into(), None);
            }
        }
        let command = controller.channels[channel].store(register, value);
        controller.commands.extend(command);
    }

    fn now(&self) -> Duration {
        self.controller().clock
    }

    fn pause(&self) {
        self.controller().clock += Duration::from_micros(1);
    }

    fn sleep(&self, limit: Duration) {
        self.controller().clock += limit;
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        self.controller().log.push(line.to_string());
    }

    fn map_device(&self, address: u64, _: u64) -> Result<DeviceMemory, HalError> {
        Err(HalError::CannotMap(address))
    }

    fn device_load<T: Word>(&self, _: DeviceMemory, _: u64) -> T {
        unreachable!("there is no device memory")
    }

    fn device_store<T: Word>(&self, _: DeviceMemory, _: u64, _: T) {
        unreachable!("there is no device memory")
    }

    fn allocate_dma(&self, _: usize, _: usize) -> Option<DmaMemory> {
        None
    }

    unsafe fn release_dma(&self, _: DmaMemory, _: usize, _: usize) {}

    fn virt_to_phys(&self, address: u64) -> Result<u64, HalError> {
        Err(HalError::NotMapped(address))
    }

    fn allocate_vector(&self) -> Option<Vector> {
        None
    }

    fn connect_line(&self, _: u8) -> Option<Interrupt> {
        None
    }

    fn wait_for_interrupt(&self, _: Interrupt, _: Duration) -> Result<(), HalError> {
        Err(HalError::TimedOut)
    }

    fn take_interrupt(&self, _: Interrupt) -> bool {
        false
    }
}
