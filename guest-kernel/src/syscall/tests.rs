//! System calls of a task whose memory and files are a test's.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use super::{Call, DESCRIPTORS, Errno, Files, MAX_PATH, Outcome, Process, UserMemory};

/// Two pages: one that can be loaded from, and one that can be stored to as well.
struct Pages(Vec<u8>);

const READ_ONLY: u64 = 0x1000;
const WRITABLE: u64 = 0x2000;
const END: u64 = 0x3000;

impl UserMemory for Pages {
    fn load(&self, address: u64, into: &mut [u8]) -> Result<(), Errno> {
        let start = address.checked_sub(READ_ONLY).ok_or(Errno::Fault)? as usize;
        let end = start.checked_add(into.len()).ok_or(Errno::Fault)?;
        into.copy_from_slice(self.0.get(start..end).ok_or(Errno::Fault)?);
        Ok(())
    }

    fn store(&mut self, address: u64, data: &[u8]) -> Result<(), Errno> {
        self.writable(address, data.len() as u64)?;
        self.0[(address - READ_ONLY) as usize..][..data.len()].copy_from_slice(data);
        Ok(())
    }

    fn writable(&self, address: u64, len: u64) -> Result<(), Errno> {
        let end = address.checked_add(len).ok_or(Errno::Fault)?;
        if address >= WRITABLE && end <= END { Ok(()) } else { Err(Errno::Fault) }
    }
}

/// One file, `/motd`, by as many handles as were opened: where each is.
#[derive(Default)]
struct OneFile {
    places: Vec<Option<usize>>,
}

const CONTENT: &[u8] = b"Welcome to Eclipse.\n";

impl Files for OneFile {
    async fn open(&mut self, path: &str) -> Result<u32, Errno> {
        if path != "/motd" {
            return Err(Errno::NoEnt);
        }
        self.places.push(Some(0));
        Ok(self.places.len() as u32 - 1)
    }

    async fn read(&mut self, handle: u32, count: u32) -> Result<Vec<u8>, Errno> {
        let place = self.places[handle as usize].as_mut().ok_or(Errno::BadF)?;
        let rest = &CONTENT[*place..];
        let data = &rest[..rest.len().min(count as usize)];
        *place += data.len();
        Ok(data.to_vec())
    }

    async fn close(&mut self, handle: u32) -> Result<(), Errno> {
        self.places[handle as usize].take().map(drop).ok_or(Errno::BadF)
    }
}

struct Machine {
    process: Process,
    memory: Pages,
    files: OneFile,
    printed: Vec<u8>,
}

fn machine() -> Machine {
    let mut memory = Pages(vec![0; (END - READ_ONLY) as usize]);
    memory.0[..6].copy_from_slice(b"/motd\0");
    let (process, files) = (Process::new(), OneFile::default());
    Machine { process, memory, files, printed: Vec::new() }
}

/// What a future gives that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits"),
    }
}

impl Machine {
    fn outcome(&mut self, number: u64, arguments: [u64; 3]) -> Outcome {
        let Self { process, memory, files, printed } = self;
        let mut print = |bytes: &[u8]| printed.extend_from_slice(bytes);
        now(process.call(Call { number, arguments }, memory, files, &mut print))
    }

    /// What a call leaves in `rax`, as the signed number that it is.
    fn call(&mut self, number: u64, arguments: [u64; 3]) -> i64 {
        match self.outcome(number, arguments) {
            Outcome::Return(value) => value as i64,
            Outcome::Exit(status) => panic!("exit with {status}"),
        }
    }
}

#[test]
fn a_file_is_opened_read_written_to_the_console_and_closed() {
    let mut machine = machine();
    assert_eq!(machine.call(2, [READ_ONLY, 0, 0]), 3);
    assert_eq!(machine.call(0, [3, WRITABLE, 8]), 8);
    assert_eq!(machine.call(1, [1, WRITABLE, 8]), 8);
    assert_eq!(machine.call(0, [3, WRITABLE, 100]), 12);
    assert_eq!(machine.call(1, [2, WRITABLE, 12]), 12);
    assert_eq!(machine.call(0, [3, WRITABLE, 100]), 0);
    assert_eq!(machine.call(3, [3, 0, 0]), 0);
    assert_eq!(machine.printed, CONTENT);
    assert_eq!(machine.files.places, [None]);
    assert_eq!(machine.outcome(60, [7, 0, 0]), Outcome::Exit(7));
}

#[test]
fn a_pointer_that_the_task_could_not_use_is_efault_and_has_no_effect() {
    let mut machine = machine();
    assert_eq!(machine.call(2, [READ_ONLY, 0, 0]), 3);
    let kernel = 0xFFFF_8000_0000_0000;
    for bad in [0, READ_ONLY, END - 4, END, kernel, u64::MAX, u64::MAX - 3] {
        assert_eq!(machine.call(0, [3, bad, 8]), -14, "read to {bad:#x}");
    }
    for bad in [0, READ_ONLY - 1, END - 4, END, kernel, u64::MAX, u64::MAX - 3] {
        assert_eq!(machine.call(1, [1, bad, 8]), -14, "write from {bad:#x}");
    }
    for bad in [0, END, kernel, u64::MAX] {
        assert_eq!(machine.call(2, [bad, 0, 0]), -14, "open {bad:#x}");
    }
    // A path without an end runs out of memory that there is.
    machine.memory.0[0x1FFC..].fill(b'x');
    assert_eq!(machine.call(2, [END - 4, 0, 0]), -14);
    assert!(machine.printed.is_empty());
    assert_eq!(machine.call(0, [3, WRITABLE, 100]), 20, "the file did not move on");
}

#[test]
fn an_unknown_number_is_enosys() {
    for number in [4, 59, 61, 231, 1 << 32, u64::MAX] {
        assert_eq!(machine().call(number, [1, WRITABLE, 1]), -38, "{number}");
    }
}

#[test]
fn a_descriptor_that_is_none_is_ebadf() {
    let mut machine = machine();
    for descriptor in [3, 15, 16, 1 << 32, u64::MAX] {
        assert_eq!(machine.call(0, [descriptor, WRITABLE, 1]), -9);
        assert_eq!(machine.call(1, [descriptor, WRITABLE, 1]), -9);
        assert_eq!(machine.call(3, [descriptor, 0, 0]), -9);
    }
    assert_eq!(machine.call(0, [1, WRITABLE, 1]), -9, "output cannot be read");
    assert_eq!(machine.call(1, [0, WRITABLE, 1]), -9, "input cannot be written");
    assert_eq!(machine.call(0, [0, WRITABLE, 1]), 0, "nothing is ever typed");
    assert_eq!(machine.call(2, [READ_ONLY, 0, 0]), 3);
    assert_eq!(machine.call(1, [3, WRITABLE, 1]), -9, "a file cannot be written");
    assert_eq!(machine.call(3, [3, 0, 0]), 0);
    assert_eq!(machine.call(3, [3, 0, 0]), -9, "closed twice");
}

#[test]
fn a_path_is_there_short_enough_and_text() {
    let mut machine = machine();
    let open = |machine: &mut Machine, path: &[u8]| {
        machine.memory.0[0x1000..][..path.len()].copy_from_slice(path);
        machine.call(2, [WRITABLE, 0, 0])
    };
    assert_eq!(open(&mut machine, b"/none\0"), -2);
    assert_eq!(open(&mut machine, b"\0"), -2);
    assert_eq!(open(&mut machine, b"/\xff\0"), -22);
    let mut long = vec![b'x'; MAX_PATH as usize];
    assert_eq!(open(&mut machine, &long), -36);
    long[MAX_PATH as usize - 1] = 0;
    assert_eq!(open(&mut machine, &long), -2);
}

#[test]
fn a_file_is_opened_to_read_only() {
    let mut machine = machine();
    for flags in [1, 2, 3, 0o100, 0o1000, 0o2000] {
        assert_eq!(machine.call(2, [READ_ONLY, flags, 0]), -30, "{flags:#o}");
    }
    assert!(machine.files.places.is_empty());
}

#[test]
fn descriptors_are_bounded_reused_lowest_first_and_closed_at_the_end() {
    let mut machine = machine();
    for descriptor in 3..DESCRIPTORS as i64 {
        assert_eq!(machine.call(2, [READ_ONLY, 0, 0]), descriptor);
    }
    assert_eq!(machine.call(2, [READ_ONLY, 0, 0]), -24);
    assert_eq!(machine.call(3, [5, 0, 0]), 0);
    assert_eq!(machine.call(2, [READ_ONLY, 0, 0]), 5);
    now(machine.process.end(&mut machine.files));
    assert!(machine.files.places.iter().all(Option::is_none));
}

#[test]
fn an_error_number_is_the_same_both_ways() {
    for errno in Errno::ALL {
        assert_eq!(Errno::from_number(errno as u32), Some(errno));
    }
    assert_eq!((Errno::from_number(0), Errno::from_number(1)), (None, None));
    assert_eq!(Errno::NoSys.register(), -38_i64 as u64);
}
