//! The guest's block driver on devices that differ: in size while they run, in their queues, in
//! what a request may have.

use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::fault::by_name;
use eclipse_devices::virtio::Features as Offer;
use eclipse_devices::{Completion, PlatformConfig, Preset};
use eclipse_kernel::pci::Pci;
use eclipse_kernel::virtio::blk::{Error, Failure, Kind, Options, VirtioBlk};
use eclipse_kernel::virtio::features::Features;
use eclipse_kernel::virtio::init;
use eclipse_kernel::virtio::transport::Signalling;
use eclipse_tests::Loopback;
use eclipse_tests::ata::counting;
use eclipse_trace::{Bdf, Event};

const FUNCTION: Bdf = Bdf::new(0, 4, 0);

/// A machine whose disk of 256 sectors counts, and its driver.
fn start(
    preset: Preset,
    signalling: Signalling,
    change: impl FnOnce(&mut PlatformConfig),
) -> (Loopback, VirtioBlk<Loopback>) {
    let mut config = preset.config(Box::new(MemoryDisk::counting(256)));
    change(&mut config);
    let machine = Loopback::with(config);
    let options = Options { signalling, ..Options::default() };
    let disk = init(&Pci::init(&machine), options)
        .unwrap_or_else(|error| panic!("{preset}, {signalling:?}: {error}"));
    (machine, disk)
}

fn no_violations(machine: &Loopback) {
    let entries = machine.entries();
    let broken = entries.iter().filter(|entry| matches!(entry.event, Event::Violation { .. }));
    let broken: Vec<_> = broken.map(ToString::to_string).collect();
    assert_eq!(broken, [""; 0]);
}

fn read(disk: &mut VirtioBlk<Loopback>, sector: u64) -> Result<(), Error> {
    let mut data = [0; 512];
    disk.read_sectors(sector, &mut data)?;
    let there = if sector < 256 { counting(sector) } else { vec![0; 512] };
    assert_eq!(data[..], there);
    Ok(())
}

/// The machines of which a change of the configuration comes by an interrupt.
fn resizable() -> Vec<(&'static str, Loopback, VirtioBlk<Loopback>)> {
    let vectors =
        |count| move |config: &mut PlatformConfig| config.blocks[0].virtio.vectors = count;
    let mut machines = Vec::new();
    for preset in [Preset::Modern, Preset::Legacy, Preset::Packed] {
        for (name, signalling, count) in [
            ("a vector of its own", Signalling::Best, 2),
            ("the vector of the queue", Signalling::Best, 1),
            ("the line", Signalling::Line, 2),
            ("the line, without MSI-X", Signalling::Best, 0),
        ] {
            let (machine, disk) = start(preset, signalling, vectors(count));
            machines.push((name, machine, disk));
        }
    }
    machines
}

#[test]
fn a_disk_that_grows_and_shrinks_is_followed() {
    for (way, machine, mut disk) in resizable() {
        assert_eq!(disk.config().sectors, 256);
        for sectors in [512, 100, 1000] {
            machine.set_capacity(FUNCTION, sectors).unwrap();
            // The next completion brings it at the latest.
            read(&mut disk, 7).unwrap();
            assert_eq!(disk.config().sectors, sectors, "by {way}");
            read(&mut disk, sectors - 1).unwrap();
            let end = Error::OutOfRange { sector: sectors, count: 1, sectors };
            assert_eq!(read(&mut disk, sectors), Err(end), "by {way}");
        }
        let said = |line: &&str| line.contains("capacity is now");
        assert_eq!(machine.console().lines().filter(said).count(), 3, "by {way}");
        assert!(!machine.line(10) && !machine.line(11), "no line stays high");
        no_violations(&machine);
        disk.close().unwrap();
        assert_eq!(machine.dma_allocated(), 0);
    }
}

#[test]
fn a_disk_that_is_polled_is_asked_for_its_size() {
    let (machine, mut disk) = start(Preset::Modern, Signalling::Polling, |_| ());
    machine.set_capacity(FUNCTION, 512).unwrap();
    read(&mut disk, 7).unwrap();
    assert_eq!(disk.config().sectors, 256, "nothing tells");
    disk.refresh().unwrap();
    assert_eq!(disk.config().sectors, 512);
    read(&mut disk, 511).unwrap();
    no_violations(&machine);
}

#[test]
fn a_disk_that_shrinks_below_what_is_in_flight_fails_that_alone() {
    for (way, machine, mut disk) in resizable() {
        machine.complete_by(Completion::Halt);
        let low = disk.submit_read(3, 512).unwrap();
        let high = disk.submit_read(200, 512).unwrap();
        disk.notify();
        machine.set_capacity(FUNCTION, 100).unwrap();
        let failed = Error::Failed { kind: Kind::Read, sector: 200, failure: Failure::Io };
        assert_eq!(disk.finish(high, &mut [0; 512]), Err(failed), "by {way}");
        let mut data = [0; 512];
        disk.finish(low, &mut data).unwrap();
        assert_eq!(data[..], counting(3));
        read(&mut disk, 99).unwrap();
        assert_eq!(disk.config().sectors, 100, "by {way}");
    }
}

#[test]
fn a_capacity_that_changes_at_a_notification_is_followed() {
    for (way, machine, mut disk) in resizable() {
        machine.inject(by_name("F52:sectors=4096,nth=2").unwrap_or_else(|e| panic!("{e}")));
        read(&mut disk, 1).unwrap();
        assert_eq!(disk.config().sectors, 256);
        read(&mut disk, 2).unwrap();
        read(&mut disk, 3).unwrap();
        assert_eq!(disk.config().sectors, 4096, "by {way}");
        read(&mut disk, 4095).unwrap();
        no_violations(&machine);
    }
}

#[test]
fn access_by_the_platform_is_accepted_where_it_is_offered() {
    for preset in [Preset::Modern, Preset::Packed, Preset::Transitional] {
        let (machine, mut disk) = start(preset, Signalling::Best, |config| {
            config.blocks[0].virtio.offer |= Offer::ACCESS_PLATFORM;
        });
        assert!(disk.features().contains(Features::ACCESS_PLATFORM), "{preset}");
        read(&mut disk, 9).unwrap();
        no_violations(&machine);
        let (_, disk) = start(preset, Signalling::Best, |_| ());
        assert!(!disk.features().contains(Features::ACCESS_PLATFORM), "{preset}");
    }
}

fn is_doorbell(line: &str) -> bool {
    line.starts_with("guest") && line.contains("notify")
}

/// How many requests each queue served, from an entry on.
fn by_queue(machine: &Loopback, from: usize) -> Vec<usize> {
    let mut served = vec![0; 4];
    for entry in machine.entries_from(from) {
        if let Event::Request { queue, .. } = entry.event {
            served[usize::from(queue)] += 1;
        }
    }
    served
}

#[test]
fn several_queues_have_their_requests_in_turn() {
    for preset in [Preset::Modern, Preset::Legacy, Preset::Packed] {
        for (signalling, vectors) in [
            (Signalling::Best, 5),
            (Signalling::Best, 3),
            (Signalling::Best, 1),
            (Signalling::Line, 5),
            (Signalling::Polling, 5),
        ] {
            let (machine, mut disk) = start(preset, signalling, |config| {
                let block = &mut config.blocks[0];
                block.blk.features |= Offer::MQ;
                (block.blk.queues, block.virtio.vectors) = (4, vectors);
            });
            assert_eq!(disk.queue_count(), 4, "{preset}");
            for completion in [Completion::Immediate, Completion::Reverse(None)] {
                machine.complete_by(completion);
                let from = machine.recorded();
                let tokens: Vec<_> =
                    (0..12).map(|sector| disk.submit_read(sector, 512).unwrap()).collect();
                for (token, sector) in tokens.into_iter().zip(0..) {
                    let mut data = [0; 512];
                    disk.finish(token, &mut data).unwrap();
                    assert_eq!(data[..], counting(sector), "{preset}, {signalling:?}, {vectors}");
                }
                assert_eq!(by_queue(&machine, from), [3, 3, 3, 3]);
                let transcript = machine.transcript_from(from);
                let rung = transcript.lines().filter(|line| is_doorbell(line)).count();
                assert_eq!(rung, 4, "one a queue");
            }
            no_violations(&machine);
            disk.close().unwrap();
            assert_eq!(machine.dma_allocated(), 0);
        }
    }
}

#[test]
fn a_disk_that_is_read_only_is_read_and_sent_no_write() {
    for preset in [Preset::Modern, Preset::Legacy, Preset::Packed] {
        let disk = MemoryDisk::counting(256).write_protected();
        let machine = Loopback::new(preset, disk);
        let mut disk = init(&Pci::init(&machine), Options::default()).unwrap();
        let from = machine.recorded();
        assert!(disk.config().read_only && disk.features().contains(Features::RO));
        assert_eq!(disk.write_sectors(5, &[0; 512]), Err(Error::ReadOnly(5)));
        assert_eq!(disk.write_bytes(5, &[0; 9]), Err(Error::ReadOnly(0)));
        assert!(disk.discard(5, 1).is_err() && disk.write_zeroes(5, 1, true).is_err());
        assert_eq!(by_queue(&machine, from), [0; 4]);
        read(&mut disk, 5).unwrap();
        no_violations(&machine);
    }
}

#[test]
fn requests_keep_the_limits_that_the_device_has_for_segments() {
    for (size_max, seg_max) in [(512, 1), (512, 3), (1000, 2), (4096, 1), (1 << 20, 1), (512, 300)]
    {
        let (machine, mut disk) = start(Preset::Modern, Signalling::Best, |config| {
            let blk = &mut config.blocks[0].blk;
            blk.features |= Offer::SIZE_MAX | Offer::SEG_MAX;
            (blk.size_max, blk.seg_max) = (size_max, seg_max);
        });
        let pattern: Vec<u8> = (0..100 * 512_u32).map(|byte| (byte / 3) as u8).collect();
        let from = machine.recorded();
        disk.write_sectors(30, &pattern).unwrap();
        let mut back = vec![0; pattern.len()];
        disk.read_sectors(30, &mut back).unwrap();
        assert_eq!(back, pattern, "{size_max}, {seg_max}");
        let mut data = 0;
        for entry in machine.entries_from(from) {
            match entry.event {
                // Header and status are no data.
                Event::Descriptor { len, .. } if len != 16 && len != 1 => {
                    data += 1;
                    assert!(len <= size_max && data <= seg_max, "{size_max}, {seg_max}");
                }
                Event::Request { .. } => data = 0,
                _ => {}
            }
        }
        no_violations(&machine);
    }
    // Room for less than a sector is none.
    let mut config = Preset::Modern.config(Box::new(MemoryDisk::counting(256)));
    config.blocks[0].blk.features |= Offer::SIZE_MAX;
    config.blocks[0].blk.size_max = 511;
    let machine = Loopback::with(config);
    let refused = init(&Pci::init(&machine), Options::default()).err();
    let error = refused.expect("no room for a sector").to_string();
    assert!(error.ends_with("segments of at most 511 bytes have not room for a block"), "{error}");
}
