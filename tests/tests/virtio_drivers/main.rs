//! A second driver that nobody here wrote: the public `virtio-drivers` crate over
//! the emulated bus. It must find the device to be what it expects.

mod bus;
mod ports;
mod ram;

use eclipse_devices::disk::{Disk, MemoryDisk};
use eclipse_devices::virtio::{BlkConfig, Features};
use eclipse_devices::{Preset, Space};
use eclipse_tests::Loopback;
use eclipse_trace::{Event, RequestKind, Ring, Table};
use virtio_drivers::device::blk::VirtIOBlk;
use virtio_drivers::transport::{InterruptStatus, Transport};

use bus::Bus;
use ports::Ports;
use ram::{MACHINE, Ram, machine};

fn start(disk: impl Disk + 'static) -> VirtIOBlk<Ram, Bus> {
    start_with(disk, Features::empty())
}

/// The same with `features` offered as well.
fn start_with(disk: impl Disk + 'static, features: Features) -> VirtIOBlk<Ram, Bus> {
    start_on(Preset::Modern, disk, features)
}

fn start_on(preset: Preset, disk: impl Disk + 'static, features: Features) -> VirtIOBlk<Ram, Bus> {
    let default = BlkConfig::default();
    let block = BlkConfig { features: default.features | features, ..default };
    let machine = Loopback::with_block(preset, disk, block);
    let (function, base) = match preset {
        Preset::Bridge => (0x8001_0000, 0xfc00_0000),
        _ => (0x8000_2000, 0xfe00_0000),
    };
    // Bus mastering, which the driver's own PCI code is not here to set.
    machine.store(Space::Port, 0xcf8, 4, function | 0x04);
    machine.store(Space::Port, 0xcfc, 2, 0x0006);
    MACHINE.set(Some(machine.clone()));
    VirtIOBlk::new(Bus { machine, base }).expect("the device comes up")
}

#[test]
fn it_reads_what_the_disk_holds() {
    let mut blk = start(MemoryDisk::counting(64));
    assert_eq!((blk.capacity(), blk.readonly()), (64, false));
    let mut data = [0; 1024];
    blk.read_blocks(7, &mut data).expect("the read succeeds");
    let words: Vec<u64> =
        data.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    assert_eq!(words, (7 * 64..9 * 64).collect::<Vec<_>>());
}

#[test]
fn it_reads_back_what_it_wrote_and_flushed() {
    let mut blk = start(MemoryDisk::counting(64));
    let pattern: [u8; 512] = std::array::from_fn(|i| (i * 7) as u8);
    blk.write_blocks(63, &pattern).expect("the write succeeds");
    blk.flush().expect("the flush succeeds");
    let mut data = [0; 512];
    blk.read_blocks(63, &mut data).expect("the read succeeds");
    assert_eq!(data, pattern);

    let entries = machine().entries();
    let requests: Vec<_> = entries
        .iter()
        .filter_map(|entry| match entry.event {
            Event::Request { request, sector, len, .. } => Some((request, sector, len)),
            _ => None,
        })
        .collect();
    let (out, flush, inn) = (RequestKind::Out, RequestKind::Flush, RequestKind::In);
    assert_eq!(requests, [(out, 63, 512), (flush, 0, 0), (inn, 63, 512)]);
}

#[test]
fn it_is_told_the_device_id_and_that_a_read_beyond_the_end_fails() {
    let mut blk = start(MemoryDisk::counting(64));
    let mut id = [0; 20];
    let length = blk.device_id(&mut id).expect("the device has an ID");
    assert_eq!(&id[..length], b"eclipse-vmm disk");
    assert!(blk.read_blocks(64, &mut [0; 512]).is_err());
}

#[test]
fn it_puts_its_requests_into_tables_and_goes_by_the_events_where_both_are_offered() {
    let offered = Features::INDIRECT_DESC | Features::EVENT_IDX;
    let mut blk = start_with(MemoryDisk::counting(64), offered);
    let pattern: [u8; 512] = std::array::from_fn(|i| (i * 7) as u8);
    blk.write_blocks(63, &pattern).expect("the write succeeds");
    let mut data = [0; 512];
    blk.read_blocks(63, &mut data).expect("the read succeeds");
    assert_eq!(data, pattern);

    let entries = machine().entries();
    let count = |what: fn(&Event) -> bool| entries.iter().filter(|e| what(&e.event)).count();
    let indirect =
        |event: &Event| matches!(event, Event::Descriptor { table: Table::Indirect, .. });
    assert_eq!(count(indirect), 2 * 3, "header, data and status of two requests");
    let ring = |event: &Event, field| matches!(event, Event::Ring { field: f, .. } if *f == field);
    assert_eq!(entries.iter().filter(|e| ring(&e.event, Ring::UsedEvent)).count(), 2);
    assert_eq!(entries.iter().filter(|e| ring(&e.event, Ring::AvailEvent)).count(), 2);
    assert_eq!(count(|event| matches!(event, Event::Violation { .. })), 0);
}

#[test]
fn it_goes_on_past_the_index_wrap_with_tables_and_events() {
    let offered = Features::INDIRECT_DESC | Features::EVENT_IDX;
    let mut blk = start_with(MemoryDisk::counting(4), offered);
    for round in 0..66_000u64 {
        let mut data = [0; 512];
        blk.read_blocks((round % 4) as usize, &mut data).expect("the read succeeds");
        assert_eq!(data[..8], (round % 4 * 64).to_le_bytes());
    }
}

#[test]
fn it_goes_on_past_the_index_wrap() {
    let mut blk = start(MemoryDisk::counting(4));
    for round in 0..66_000u64 {
        let mut data = [0; 512];
        blk.read_blocks((round % 4) as usize, &mut data).expect("the read succeeds");
        assert_eq!(data[..8], (round % 4 * 64).to_le_bytes());
    }
}

/// Sectors written, flushed and read back, more of them than the queue has entries.
fn use_it(blk: &mut VirtIOBlk<Ram, impl Transport>) {
    for round in 0..40u8 {
        let sector = usize::from(round);
        blk.write_blocks(sector, &[round; 1024]).expect("the write succeeds");
        blk.flush().expect("the flush succeeds");
        let mut data = [0; 512];
        blk.read_blocks(sector + 1, &mut data).expect("the read succeeds");
        assert_eq!(data, [round; 512]);
    }
    assert!(blk.read_blocks(64, &mut [0; 512]).is_err());
}

fn count(what: fn(&Event) -> bool) -> usize {
    machine().entries().iter().filter(|entry| what(&entry.event)).count()
}

/// What the driver broke that is not the read beyond the end.
fn violations() -> Vec<String> {
    let entries = machine().entries();
    let broken = entries.iter().filter(|entry| matches!(entry.event, Event::Violation { .. }));
    broken.map(ToString::to_string).filter(|line| !line.contains("capacity")).collect()
}

#[test]
fn it_drives_every_preset_that_has_the_structures() {
    let both = Features::INDIRECT_DESC | Features::EVENT_IDX;
    for preset in [Preset::Modern, Preset::Transitional, Preset::Packed, Preset::Bridge] {
        for features in [Features::empty(), Features::INDIRECT_DESC, Features::EVENT_IDX, both] {
            let mut blk = start_on(preset, MemoryDisk::counting(64), features);
            use_it(&mut blk);
            // A packed queue that is offered and not accepted is a split one.
            assert_eq!(count(|event| matches!(event, Event::PackedDescriptor { .. })), 0);
            let packed = preset == Preset::Packed;
            let tables =
                count(|event| matches!(event, Event::Descriptor { table: Table::Indirect, .. }));
            assert_eq!(tables > 0, packed || features.contains(Features::INDIRECT_DESC));
            let events = count(|e| matches!(e, Event::Ring { field: Ring::UsedEvent, .. }));
            assert_eq!(events > 0, packed || features.contains(Features::EVENT_IDX));
            assert_eq!(violations(), [""; 0], "{preset}, {features}");
        }
    }
}

#[test]
fn it_drives_the_legacy_interface_with_its_queue_in_one_block() {
    for preset in [Preset::Legacy, Preset::Transitional] {
        for offer in [Features::empty(), Features::INDIRECT_DESC, Features::EVENT_IDX] {
            let mut config = preset.config(Box::new(MemoryDisk::counting(64)));
            // What the driver has room for: a legacy driver cannot choose.
            config.blocks[0].virtio.queue_size = 16;
            config.blocks[0].virtio.offer = offer;
            let machine = Loopback::with(config);
            machine.store(Space::Port, 0xcf8, 4, 0x8000_2004);
            machine.store(Space::Port, 0xcfc, 2, 0x0005);
            MACHINE.set(Some(machine.clone()));
            let mut blk = VirtIOBlk::<Ram, _>::new(Ports(machine)).expect("the device comes up");
            assert_eq!((blk.capacity(), blk.readonly()), (64, false));
            use_it(&mut blk);
            assert!(blk.ack_interrupt().contains(InterruptStatus::QUEUE_INTERRUPT));
            assert!(blk.ack_interrupt().is_empty(), "the load took it back");
            assert_eq!(violations(), [""; 0], "{preset}, {offer}");
        }
    }
}
