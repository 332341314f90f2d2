//! QEMU's devices without a processor, by its qtest protocol.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use eclipse_devices::Space;

use crate::substrate::Substrate;

/// A stopped QEMU whose devices the test accesses as its processor would.
///
/// The process ends with this value.
pub struct Qtest {
    child: Child,
    wire: RefCell<Wire>,
}

/// The two directions of the conversation.
struct Wire {
    commands: UnixStream,
    answers: BufReader<UnixStream>,
}

impl Qtest {
    const PROGRAM: &str = "qemu-system-x86_64";
    /// Until one answer is there; QEMU's start is before the first.
    const ANSWER: Duration = Duration::from_secs(20);
    /// Until a device has carried out what it was told.
    const WORK: Duration = Duration::from_secs(5);

    /// A `pc` machine without its default devices, and with `disk`, a raw image that
    /// stays as it is, behind `virtio-blk-pci` at 00:04.0. `properties` is added to
    /// that device's properties.
    ///
    /// # Panics
    /// QEMU is not installed or does not start; the message has what it says.
    pub fn virtio_blk(disk: &Path, properties: &str) -> Self {
        let device = format!("virtio-blk-pci,drive=disk,addr=04.0,{properties}");
        Self::start("pc", disk, "none,id=disk", &["-device", &device])
    }

    /// The same on a `q35`, whose host bridge has the enhanced configuration mechanism.
    ///
    /// # Panics
    /// As [`Self::virtio_blk`].
    pub fn virtio_blk_on_q35(disk: &Path) -> Self {
        let device = "virtio-blk-pci,drive=disk,addr=04.0,disable-legacy=on,ioeventfd=off";
        Self::start("q35", disk, "none,id=disk", &["-device", device])
    }

    /// The same machine with the disk as device 0 of the primary IDE channel.
    ///
    /// # Panics
    /// As [`Self::virtio_blk`].
    pub fn ide(disk: &Path) -> Self {
        Self::start("pc", disk, "ide", &[])
    }

    /// A machine of type `machine`, whose RAM is the file `ram`, with `disk` as drive `disk`
    /// for the devices that `options` add.
    ///
    /// # Panics
    /// As [`Self::virtio_blk`].
    pub fn with_memory(machine: &str, ram: &Path, disk: &Path, options: &[&str]) -> Self {
        let size = std::fs::metadata(ram).expect("the RAM is there").len();
        let ram = ram.to_str().expect("a path in UTF-8").replace(',', ",,");
        let ram = format!("memory-backend-file,id=ram,size={size},mem-path={ram},share=on");
        let machine = format!("{machine},memory-backend=ram");
        let ram = ["-object", &ram, "-m", &format!("size={size}B")];
        Self::start(&machine, disk, "none,id=disk", &[&ram[..], options].concat())
    }

    fn start(machine: &str, disk: &Path, interface: &str, options: &[&str]) -> Self {
        let (ours, its) = UnixStream::pair().expect("the host gives a socket pair");
        ours.set_read_timeout(Some(Self::ANSWER)).expect("the time is not zero");
        let end = || Stdio::from(OwnedFd::from(its.try_clone().expect("the socket is open")));
        let disk = disk.to_str().expect("a path in UTF-8").replace(',', ",,");
        let child = Command::new(Self::PROGRAM)
            .args(["-S", "-M", machine, "-m", "128", "-nodefaults", "-display", "none"])
            .args(["-qtest", "stdio", "-qtest-log", "none"])
            .args(["-drive", &format!("file={disk},format=raw,snapshot=on,if={interface}")])
            .args(options)
            .stdin(end())
            .stdout(end())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", Self::PROGRAM));
        let answers = BufReader::new(ours.try_clone().expect("the socket is open"));
        let wire = RefCell::new(Wire { commands: ours, answers });
        // Only the child's end is left open, so that its end is seen here.
        drop(its);
        let mut qtest = Self { child, wire };
        if let Err(error) = qtest.try_command("endianness") {
            // Ended by hand first: its message is only complete then.
            let _ = qtest.child.kill();
            let mut said = String::new();
            if let Some(stderr) = &mut qtest.child.stderr {
                let _ = stderr.read_to_string(&mut said);
            }
            panic!("{} gives no answer ({error}); it says: {}", Self::PROGRAM, said.trim());
        }
        qtest
    }

    fn try_command(&self, command: &str) -> std::io::Result<String> {
        let wire = &mut *self.wire.borrow_mut();
        wire.commands.write_all(format!("{command}\n").as_bytes())?;
        let mut answer = String::new();
        if wire.answers.read_line(&mut answer)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(answer)
    }

    /// What QEMU answers to `command`, without its "OK".
    fn command(&self, command: &str) -> String {
        let answer = match self.try_command(command) {
            Ok(answer) => answer,
            Err(error) => panic!("QEMU gives no answer to {command:?}: {error}"),
        };
        match answer.trim_end().strip_prefix("OK") {
            Some(value) => value.trim_start().to_string(),
            None => panic!("QEMU answers {answer:?} to {command:?}"),
        }
    }

    fn suffix(space: Space, width: u8) -> &'static str {
        match (space, width) {
            (_, 1) => "b",
            (_, 2) => "w",
            (_, 4) => "l",
            (Space::Memory, 8) => "q",
            _ => panic!("no access is {width} bytes wide there"),
        }
    }
}

impl Drop for Qtest {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Substrate for Qtest {
    fn load(&self, space: Space, address: u64, width: u8) -> u64 {
        let suffix = Self::suffix(space, width);
        // A port's name has another verb than memory has.
        let verb = if space == Space::Port { "in" } else { "read" };
        let answer = self.command(&format!("{verb}{suffix} {address:#x}"));
        let digits = answer.strip_prefix("0x").unwrap_or(&answer);
        u64::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("QEMU loads {answer:?}"))
    }

    fn store(&self, space: Space, address: u64, width: u8, value: u64) {
        let suffix = Self::suffix(space, width);
        let verb = if space == Space::Port { "out" } else { "write" };
        self.command(&format!("{verb}{suffix} {address:#x} {value:#x}"));
    }

    fn read_ram(&self, address: u64, bytes: &mut [u8]) {
        let answer = self.command(&format!("read {address:#x} {:#x}", bytes.len()));
        let digits = answer.strip_prefix("0x").unwrap_or_default();
        assert_eq!(digits.len(), 2 * bytes.len(), "QEMU reads {answer:?}");
        for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&digits[at..at + 2], 16)
                .unwrap_or_else(|_| panic!("QEMU reads {answer:?}"));
        }
    }

    fn write_ram(&self, address: u64, bytes: &[u8]) {
        let mut command = format!("write {address:#x} {:#x} 0x", bytes.len());
        for byte in bytes {
            // Writing to a String does not fail.
            let _ = write!(command, "{byte:02x}");
        }
        self.command(&command);
    }

    /// QEMU writes a message to its address as any other device would.
    fn take_message(&self, address: u64, data: u32) -> bool {
        let mut found = [0; 4];
        self.read_ram(address, &mut found);
        self.write_ram(address, &[0; 4]);
        u32::from_le_bytes(found) == data
    }

    /// Its block layer works beside the commands, so the device is asked again and again.
    fn settle(&self, done: &dyn Fn() -> bool) {
        let start = Instant::now();
        while !done() && start.elapsed() < Self::WORK {}
    }
}
