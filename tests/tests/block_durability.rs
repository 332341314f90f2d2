//! What is on the disk after a crash: what the guest was told, and nothing is promised beyond it.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use eclipse_devices::disk::{Abilities, CopyOnWriteDisk, Disk, FileDisk, MemoryDisk};
use eclipse_devices::virtio::{BlkConfig, Features};
use eclipse_tests::Bare;
use eclipse_tests::bare::{NEXT, WRITE};

const OUT: u32 = 1;
const FLUSH: u32 = 4;
const WRITE_ZEROES: u32 = 13;

const FLUSH_BIT: u64 = 1 << 9;
const CONFIG_WCE_BIT: u64 = 1 << 11;

/// What a disk held when all caches were lost.
#[derive(Clone)]
struct Platter(Arc<Mutex<Vec<u8>>>);

impl Platter {
    fn holds(&self, sector: usize) -> u8 {
        self.0.lock().expect("nobody panicked")[sector * 512]
    }
}

/// A disk with a cache that writes stay in until they are flushed.
struct Cached {
    cache: MemoryDisk,
    platter: Platter,
    broken: bool,
}

impl Disk for Cached {
    fn sectors(&self) -> u64 {
        self.cache.sectors()
    }

    fn read_only(&self) -> bool {
        false
    }

    fn read(&mut self, sector: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.cache.read(sector, buffer)
    }

    fn write(&mut self, sector: u64, data: &[u8]) -> io::Result<()> {
        self.cache.write(sector, data)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("the platter is stuck"));
        }
        self.platter.0.lock().expect("nobody panicked").copy_from_slice(self.cache.bytes());
        Ok(())
    }

    fn abilities(&self) -> Abilities {
        Abilities::WRITE_ZEROES
    }

    fn write_zeroes(&mut self, sector: u64, count: u64, unmap: bool) -> io::Result<()> {
        self.cache.write_zeroes(sector, count, unmap)
    }
}

/// A device over a [`Cached`] disk full of 1, whose driver accepts `accepted` of `features`.
fn cached(features: u64, accepted: u64, broken: bool) -> (Bare, Platter) {
    let bytes = vec![1; 16 * 512];
    let platter = Platter(Arc::new(Mutex::new(bytes.clone())));
    let disk = Cached { cache: MemoryDisk::new(bytes), platter: platter.clone(), broken };
    let features = Features::from_bits_retain(1 << 32 | 1 << 14 | features);
    let bare = Bare::with_block(disk, BlkConfig { features, ..BlkConfig::default() });
    bare.start(1 << 32 | 1 << 14 | accepted);
    (bare, platter)
}

/// Carries out a request with `data`; the status.
fn ask(bare: &Bare, kind: u32, sector: u64, data: &[u8]) -> u8 {
    for (address, &byte) in (Bare::DATA..).zip(data) {
        bare.write(address, byte);
    }
    bare.header(kind, sector);
    let len = data.len() as u32;
    bare.submit(&[
        (Bare::HEADER, 16, NEXT, 1),
        (Bare::DATA, len, NEXT, 2),
        (Bare::STATUS, 1, WRITE, 0),
    ]);
    bare.read(Bare::STATUS)
}

fn zeroes(sector: u64) -> Vec<u8> {
    [sector.to_le_bytes(), 1u64.to_le_bytes()].concat()
}

/// Whether a write, and a write of zeroes, is on the platter when it completes.
fn writes_through(bare: &Bare, platter: &Platter) -> bool {
    assert_eq!(ask(bare, OUT, 3, &[2; 512]), 0);
    let written = platter.holds(3);
    assert_eq!(ask(bare, WRITE_ZEROES, 0, &zeroes(4)), 0);
    match (written, platter.holds(4)) {
        (2, 0) => true,
        (1, 1) => false,
        other => panic!("one of the two writes through: {other:?}"),
    }
}

// VIRTIO 1.4, 5.2.6.2, case 3.
#[test]
fn a_write_back_cache_holds_a_write_until_the_flush() {
    let all = FLUSH_BIT | CONFIG_WCE_BIT;
    for (features, accepted) in [(FLUSH_BIT, FLUSH_BIT), (all, FLUSH_BIT), (all, all)] {
        let (bare, platter) = cached(features, accepted, false);
        assert!(!writes_through(&bare, &platter), "nothing is promised without a flush");
        assert_eq!(ask(&bare, FLUSH, 0, &[]), 0);
        assert_eq!((platter.holds(3), platter.holds(4)), (2, 0));
    }
}

// Case 1, and what the device does beyond it where it does not offer FLUSH.
#[test]
fn a_driver_that_cannot_flush_has_its_writes_on_the_disk_when_they_complete() {
    for features in [FLUSH_BIT, FLUSH_BIT | CONFIG_WCE_BIT, 0] {
        let (bare, platter) = cached(features, 0, false);
        assert!(writes_through(&bare, &platter));
    }
}

// Case 2.
#[test]
fn a_cache_that_was_switched_to_write_through_holds_nothing() {
    let all = FLUSH_BIT | CONFIG_WCE_BIT;
    let writeback = Bare::BLOCK + 0x20;
    let (bare, platter) = cached(all, all, false);
    bare.store(writeback, 1, 0);
    assert!(writes_through(&bare, &platter));

    let (bare, platter) = cached(all, all, false);
    bare.store(writeback, 1, 0);
    bare.store(writeback, 1, 1);
    assert!(!writes_through(&bare, &platter), "and back again");

    let (bare, platter) = cached(all, CONFIG_WCE_BIT, false);
    assert!(writes_through(&bare, &platter), "without FLUSH it begins so (5.2.5.2)");
}

#[test]
fn a_write_that_cannot_be_made_durable_fails_where_it_has_to_be() {
    let (bare, _) = cached(FLUSH_BIT, 0, true);
    assert_eq!(ask(&bare, OUT, 3, &[2; 512]), 1);
    assert_eq!(ask(&bare, WRITE_ZEROES, 0, &zeroes(4)), 1);
    let (bare, _) = cached(FLUSH_BIT, FLUSH_BIT, true);
    assert_eq!(ask(&bare, OUT, 3, &[2; 512]), 0);
    assert_eq!(ask(&bare, FLUSH, 0, &[]), 1);
}

/// Where the process that is to be killed finds its disk.
const DISK: &str = "ECLIPSE_TEST_DISK";

/// Runs the test `name` once more in a process of its own, which is a [`guest`] there, and kills
/// it, in the midst of a further write, when it has seen the completion of its flush.
fn run_and_kill(name: &str, path: &Path) {
    let program = env::current_exe().expect("the test runs");
    let mut child = Command::new(program)
        .args(["--exact", name, "--nocapture"])
        .env(DISK, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test runs once more");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let flushed = lines.map_while(Result::ok).any(|line| line.contains("flush completed"));
    child.kill().expect("it still runs");
    let status = child.wait().expect("it was started here");
    assert!(flushed, "the child ended before its flush: {status}");
    assert_eq!(status.signal(), Some(9));
}

/// Writes 7 to sector 5, flushes, says so, and writes to sector 6 until it is killed.
fn guest(disk: impl Disk + 'static) -> ! {
    let bare = Bare::ready(disk);
    assert_eq!(ask(&bare, OUT, 5, &[7; 512]), 0);
    assert_eq!(ask(&bare, FLUSH, 0, &[]), 0);
    assert_eq!(bare.read::<u16>(Bare::USED + 2), 2, "the driver sees both completions");
    println!("\nflush completed");
    io::stdout().flush().expect("the parent reads");
    loop {
        assert_eq!(ask(&bare, OUT, 6, &[8; 512]), 0);
    }
}

#[test]
fn a_flushed_write_survives_the_death_of_the_process() {
    if let Some(path) = env::var_os(DISK) {
        guest(FileDisk::read_write(path).expect("it is there"));
    }
    let directory = tempfile::tempdir().expect("the host has room");
    let path = directory.path().join("disk.img");
    fs::write(&path, [1; 16 * 512]).expect("the host has room");
    run_and_kill("a_flushed_write_survives_the_death_of_the_process", &path);
    let bytes = fs::read(&path).expect("it is there");
    assert_eq!(bytes.len(), 16 * 512);
    assert_eq!(bytes[5 * 512..6 * 512], [7; 512]);
    assert_eq!(bytes[..5 * 512], [1; 5 * 512]);
    assert_eq!(bytes[7 * 512..], [1; 9 * 512], "sector 6 was not promised, the others not touched");
}

#[test]
fn an_overlay_leaves_its_base_alone_whatever_becomes_of_the_process() {
    if let Some(path) = env::var_os(DISK) {
        guest(CopyOnWriteDisk::new(FileDisk::read_only(path).expect("it is there")));
    }
    let directory = tempfile::tempdir().expect("the host has room");
    let path = directory.path().join("disk.img");
    fs::write(&path, [1; 16 * 512]).expect("the host has room");
    run_and_kill("an_overlay_leaves_its_base_alone_whatever_becomes_of_the_process", &path);
    assert_eq!(fs::read(&path).expect("it is there"), [1; 16 * 512]);
}
