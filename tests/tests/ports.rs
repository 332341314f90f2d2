//! The ports beside PCI: keyboard controller, debug exit, serial port.

use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::{Host, Platform, Preset, Space, Stop, Wires};
use eclipse_trace::{Event, Recorder};
use vm_memory::{GuestAddress, GuestMemoryMmap};

/// The platform by itself, and what leaves it.
struct Ports {
    platform: Platform,
    memory: GuestMemoryMmap<()>,
    recorder: Recorder,
    wires: Seen,
}

#[derive(Default)]
struct Seen {
    console: Vec<u8>,
    /// Rising edges, by interrupt line.
    edges: Vec<u32>,
}

impl Wires for Seen {
    fn msi(&mut self, _address: u64, _data: u32) {}

    fn line(&mut self, gsi: u32, level: bool) {
        self.edges.extend(level.then_some(gsi));
    }

    fn console(&mut self, bytes: &[u8]) {
        self.console.extend_from_slice(bytes);
    }
}

impl Ports {
    fn new() -> Self {
        let ranges = [(GuestAddress(0), 4096)];
        Self {
            platform: Platform::new(Preset::Modern, Box::new(MemoryDisk::counting(8))),
            memory: GuestMemoryMmap::from_ranges(&ranges).expect("a page of RAM"),
            recorder: Recorder::new(),
            wires: Seen::default(),
        }
    }

    fn store(&mut self, port: u64, width: u8, value: u64) {
        let mut host = Host::new(&self.memory, &mut self.wires, &mut self.recorder);
        self.platform.store(&mut host, Space::Port, port, width, value);
    }

    fn load(&mut self, port: u64) -> u64 {
        let mut host = Host::new(&self.memory, &mut self.wires, &mut self.recorder);
        self.platform.load(&mut host, Space::Port, port, 1)
    }

    fn type_in(&mut self, bytes: &[u8]) -> usize {
        let mut host = Host::new(&self.memory, &mut self.wires, &mut self.recorder);
        self.platform.serial_input(&mut host, bytes)
    }

    fn print(&mut self, text: &[u8]) {
        for byte in text {
            self.store(0x3f8, 1, (*byte).into());
        }
    }

    fn lines(&mut self) -> Vec<String> {
        let mut host = Host::new(&self.memory, &mut self.wires, &mut self.recorder);
        self.platform.finish(&mut host);
        let console = |event: &Event| match event {
            Event::Console { line } => Some(line.to_string()),
            _ => None,
        };
        self.recorder.entries().iter().filter_map(|entry| console(&entry.event)).collect()
    }
}

#[test]
fn the_keyboard_controller_resets_the_machine_on_one_command() {
    let mut ports = Ports::new();
    assert_eq!(ports.load(0x64), 0, "ready for a command");
    ports.store(0x64, 1, 0xff);
    assert_eq!(ports.platform.stop(), None);
    ports.store(0x64, 1, 0xfe);
    assert_eq!(ports.platform.stop(), Some(Stop::Reset));
}

#[test]
fn the_first_code_at_the_debug_exit_counts() {
    let mut ports = Ports::new();
    ports.store(0xf4, 4, 0x11);
    ports.store(0xf4, 1, 0x10);
    assert_eq!(ports.platform.stop(), Some(Stop::Exit(0x11)));
}

#[test]
fn the_console_is_recorded_by_the_line_and_passed_on_by_the_byte() {
    let mut ports = Ports::new();
    ports.print(b"one\r\n\ntwo \xff");
    assert_eq!(ports.wires.console, b"one\r\n\ntwo \xff");
    assert_eq!(ports.lines(), ["one", "", "two \u{fffd}"]);
}

#[test]
fn a_line_without_end_is_ended() {
    let mut ports = Ports::new();
    ports.print(&[b'x'; 5000]);
    let lengths: Vec<_> = ports.lines().iter().map(String::len).collect();
    assert_eq!(lengths, [4096, 904]);
}

#[test]
fn what_is_typed_interrupts_once_and_is_read_in_order() {
    let mut ports = Ports::new();
    // Interrupt Enable: received data.
    ports.store(0x3f9, 1, 1);
    assert_eq!(ports.type_in(b"hi"), 2);
    assert_eq!(ports.wires.edges, [4]);
    assert_eq!(ports.load(0x3fd) & 1, 1, "data is ready");
    assert_eq!((ports.load(0x3f8), ports.load(0x3f8)), (b'h'.into(), b'i'.into()));
    assert_eq!(ports.load(0x3fd) & 1, 0);
    assert!(ports.type_in(&[b'x'; 1000]) < 1000, "the FIFO is finite");
}
