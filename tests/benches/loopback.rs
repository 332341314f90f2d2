//! The device side without KVM: `cargo bench -p eclipse-tests`.
//!
//! What is promised for one core, and the rows that show it:
//!
//! | promise | rows |
//! |---|---|
//! | 1,000,000 reads of 4 KiB a second without a record | `4 KiB reads/record off` |
//! | 400,000 with one | `4 KiB reads/record on` |
//! | without faults nothing asks for them, and faults that never strike cost little | `4 KiB reads/faults that never strike`; `access`, without and with |
//! | a doorbell costs by the chain | `chains a doorbell`: the same time an element |
//! | an event costs 100 ns at most | `record one event` |
//!
//! The reads come from a memory disk, a queue full at a time; beside them stand the
//! same chains walked by rust-vmm's `virtio-queue` with the same copies.

use std::hint::black_box;
use std::sync::atomic::Ordering;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use eclipse_devices::disk::{Disk, MemoryDisk, SECTOR_SIZE};
use eclipse_devices::fault::{Action, Fault, RegisterName, Trigger, Vector};
use eclipse_devices::{Host, Platform, Preset, Space, Wires};
use eclipse_trace::{Access, Actor, Event, Recorder, Register};
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

const RAM: usize = 16 << 20;
const COMMON: u64 = 0xfe00_0000;
const NOTIFY: u64 = 0xfe00_3000;
const DESC: u64 = 0x1_0000;
const AVAIL: u64 = 0x2_0000;
const USED: u64 = 0x3_0000;
const HEADERS: u64 = 0x4_0000;
const DATA: u64 = 0x10_0000;
const SIZE: u16 = 256;
/// Chains of three descriptors that fit the queue.
const BATCH: u16 = SIZE / 3;
const BLOCK: u32 = 4096;
const SECTORS: u64 = 8192;

struct Nobody;

impl Wires for Nobody {
    fn msi(&mut self, _address: u64, _data: u32) {}
    fn line(&mut self, _gsi: u32, _level: bool) {}
    fn console(&mut self, _bytes: &[u8]) {}
}

/// RAM with the chains of `BATCH` reads in it.
fn memory() -> GuestMemoryMmap<()> {
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), RAM)]).expect("RAM");
    let put = |address: u64, bytes: &[u8]| {
        memory.write_slice(bytes, GuestAddress(address)).expect("it is in RAM");
    };
    for chain in 0..BATCH {
        let (at, head) = (u64::from(chain), 3 * chain);
        let header = HEADERS + 32 * at;
        // Type IN at a sector of its own.
        put(header + 8, &(8 * at).to_le_bytes());
        let descriptors = [
            (header, 16, 1u16, head + 1),
            (DATA + u64::from(BLOCK) * at, BLOCK, 3, head + 2),
            (header + 16, 1, 2, 0),
        ];
        for (index, (addr, len, flags, next)) in (u64::from(head)..).zip(descriptors) {
            put(DESC + 16 * index, &addr.to_le_bytes());
            put(DESC + 16 * index + 8, &len.to_le_bytes());
            put(DESC + 16 * index + 12, &flags.to_le_bytes());
            put(DESC + 16 * index + 14, &next.to_le_bytes());
        }
    }
    memory
}

/// Makes all chains available once more.
fn refill(memory: &GuestMemoryMmap<()>, idx: &mut u16) {
    for chain in 0..BATCH {
        let slot = u64::from(idx.wrapping_add(chain) % SIZE);
        memory.write_obj(3 * chain, GuestAddress(AVAIL + 4 + 2 * slot)).expect("RAM");
    }
    *idx = idx.wrapping_add(BATCH);
    memory.store(*idx, GuestAddress(AVAIL + 2), Ordering::Release).expect("RAM");
}

struct Machine {
    platform: Platform,
    memory: GuestMemoryMmap<()>,
    recorder: Recorder,
    idx: u16,
}

impl Machine {
    fn new(recorder: Recorder) -> Self {
        let disk = MemoryDisk::counting(SECTORS as u32);
        let platform = Platform::new(Preset::Modern, Box::new(disk));
        let mut machine = Self { platform, memory: memory(), recorder, idx: 0 };
        machine.store(Space::Port, 0xcf8, 4, 0x8000_2004);
        machine.store(Space::Port, 0xcfc, 2, 0x0406);
        let stores = [
            (0x14, 1, 1),
            (0x14, 1, 3),
            (0x08, 4, 1),
            (0x0c, 4, 1),
            (0x14, 1, 0x0b),
            (0x18, 2, SIZE.into()),
            (0x20, 4, DESC),
            (0x28, 4, AVAIL),
            (0x30, 4, USED),
            (0x1c, 2, 1),
            (0x14, 1, 0x0f),
        ];
        for (offset, width, value) in stores {
            machine.store(Space::Memory, COMMON + offset, width, value);
        }
        machine
    }

    fn store(&mut self, space: Space, address: u64, width: u8, value: u64) {
        let mut nobody = Nobody;
        let mut host = Host::new(&self.memory, &mut nobody, &mut self.recorder);
        self.platform.store(&mut host, space, address, width, value);
    }

    fn load(&mut self, space: Space, address: u64, width: u8) -> u64 {
        let mut nobody = Nobody;
        let mut host = Host::new(&self.memory, &mut nobody, &mut self.recorder);
        self.platform.load(&mut host, space, address, width)
    }

    /// The same with a schedule of faults, of which each is looked at and none strikes.
    fn with_idle_faults(mut self) -> Self {
        let triggers = [
            Trigger::Exit,
            Trigger::Load(RegisterName::Any),
            Trigger::Store(RegisterName::Any, None),
            Trigger::Notify(0),
            Trigger::Completion(None),
        ];
        let never = |trigger| Fault::new(trigger, Action::Interrupt(Vector::Config)).nth(u64::MAX);
        let mut nobody = Nobody;
        let mut host = Host::new(&self.memory, &mut nobody, &mut self.recorder);
        let schedule = triggers.map(never).to_vec();
        self.platform.set_faults(&mut host, schedule).expect("each can strike");
        self
    }

    fn batch(&mut self) {
        refill(&self.memory, &mut self.idx);
        self.store(Space::Memory, NOTIFY, 2, 0);
    }

    /// Panics unless the last batch was read.
    fn check(&self) {
        let used: u16 = self.memory.read_obj(GuestAddress(USED + 2)).expect("RAM");
        assert_eq!(used, self.idx);
        let last = DATA + u64::from(BLOCK) * u64::from(BATCH - 1);
        let word: u64 = self.memory.read_obj(GuestAddress(last)).expect("RAM");
        assert_eq!(word, u64::from(BATCH - 1) * 8 * 64);
    }
}

fn reads(c: &mut Criterion) {
    let mut group = c.benchmark_group("4 KiB reads");
    group.throughput(Throughput::Elements(BATCH.into()));
    for (name, mut machine) in [
        ("record off", Machine::new(Recorder::off())),
        ("record on", Machine::new(Recorder::keeping_last(4096, None))),
        ("faults that never strike", Machine::new(Recorder::off()).with_idle_faults()),
    ] {
        group.bench_function(name, |b| b.iter(|| machine.batch()));
        machine.check();
    }
    let (memory, mut queue, mut disk, mut idx) = peer();
    let mut scratch = vec![0; BLOCK as usize];
    group.bench_function("virtio-queue", |b| {
        b.iter(|| {
            refill(&memory, &mut idx);
            while let Some(mut chain) = queue.pop_descriptor_chain(&memory) {
                let head = chain.head_index();
                let header = chain.next().expect("a header");
                let sector: u64 = memory.read_obj(GuestAddress(header.addr().0 + 8)).expect("RAM");
                let data = chain.next().expect("data");
                disk.read(sector, &mut scratch).expect("it is on the disk");
                memory.write_slice(&scratch, data.addr()).expect("RAM");
                let status = chain.next().expect("a status");
                memory.write_obj(0u8, status.addr()).expect("RAM");
                queue.add_used(&memory, head, data.len() + 1).expect("RAM");
            }
        });
    });
    group.finish();
}

fn peer() -> (GuestMemoryMmap<()>, Queue, MemoryDisk, u16) {
    let mut queue = Queue::new(SIZE).expect("a queue of this size");
    queue.set_size(SIZE);
    queue.set_desc_table_address(Some(DESC as u32), Some(0));
    queue.set_avail_ring_address(Some(AVAIL as u32), Some(0));
    queue.set_used_ring_address(Some(USED as u32), Some(0));
    queue.set_ready(true);
    let disk = MemoryDisk::counting(SECTORS as u32);
    assert_eq!(disk.sectors() as usize * SECTOR_SIZE, SECTORS as usize * 512);
    (memory(), queue, disk, 0)
}

/// A register access, recorded.
fn access(c: &mut Criterion) {
    let mut group = c.benchmark_group("access");
    let recorded = || Machine::new(Recorder::keeping_last(4096, None));
    for (faults, mut machine) in
        [("no faults", recorded()), ("faults that never strike", recorded().with_idle_faults())]
    {
        machine.store(Space::Port, 0xcf8, 4, 0x8000_2000);
        let mut bench = |what: &str, each: &dyn Fn(&mut Machine)| {
            group.bench_function(format!("{what}, {faults}"), |b| b.iter(|| each(&mut machine)));
        };
        bench("configuration load", &|machine| {
            black_box(machine.load(Space::Port, 0xcfc, 4));
        });
        bench("device_status load", &|machine| {
            black_box(machine.load(Space::Memory, COMMON + 0x14, 1));
        });
        bench("queue_select store", &|machine| {
            machine.store(Space::Memory, COMMON + 0x16, 2, black_box(0));
        });
    }
    group.finish();
}

/// Work for one doorbell is linear in the chains that it finds.
fn linear(c: &mut Criterion) {
    let mut group = c.benchmark_group("chains a doorbell");
    for chains in [1u16, 8, 64] {
        let mut machine = Machine::new(Recorder::off());
        group.throughput(Throughput::Elements(chains.into()));
        group.bench_function(chains.to_string(), |b| {
            b.iter(|| {
                machine.idx = machine.idx.wrapping_add(chains);
                let idx = machine.idx;
                machine.memory.store(idx, GuestAddress(AVAIL + 2), Ordering::Release).expect("RAM");
                machine.store(Space::Memory, NOTIFY, 2, 0);
            });
        });
    }
    group.finish();
}

fn record(c: &mut Criterion) {
    let event = |value| Event::Register {
        register: Register::ConfigAddress,
        access: Access::Store { width: 4, value },
    };
    let mut recorder = Recorder::keeping_last(4096, None);
    let mut value = 0;
    c.bench_function("record one event", |b| {
        b.iter(|| {
            value += 1;
            recorder.record(Actor::Guest, event(value));
        });
    });
}

criterion_group!(benches, reads, access, linear, record);
criterion_main!(benches);
