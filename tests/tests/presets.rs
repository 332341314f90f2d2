//! The guest's drivers on every machine that there is, as it is found: by firmware set up, bare, or
//! warm; with messages, with the line, with neither.

use std::time::Duration;

use eclipse_devices::disk::{MemoryDisk, default_image};
use eclipse_devices::pci::{ECAM, Placement};
use eclipse_devices::{PlatformConfig, Preset, Space};
use eclipse_kernel::{
    hal::Hal,
    pci::{Bar, ConfigAccess, Pci},
    scenario,
    virtio::{
        features::Features,
        transport::{Signalling, Transport},
    },
};
use eclipse_tests::Loopback;
use eclipse_trace::Event;

/// A machine, its configuration changed.
fn machine(preset: Preset, change: impl FnOnce(&mut PlatformConfig)) -> Loopback {
    let mut config = preset.config(Box::new(MemoryDisk::new(default_image())));
    change(&mut config);
    Loopback::with(config)
}

/// Boots it to the end: a file was read, a block was written, and nothing was broken.
fn boots(preset: Preset, change: impl FnOnce(&mut PlatformConfig)) -> Loopback {
    let machine = machine(preset, change);
    let result = scenario::run(&machine, "scenario=boot");
    assert_eq!(result, Ok(()), "{preset}: {}", machine.console());
    assert_eq!(machine.dma_allocated(), 0, "DMA memory that was not given back");
    let broken: Vec<_> = machine
        .entries()
        .into_iter()
        .filter(|entry| matches!(entry.event, Event::Violation { .. }))
        .collect();
    assert!(broken.is_empty(), "{broken:?}");
    // A time-out would find the completion all the same, and hide that.
    let console = machine.console();
    assert!(!console.contains("without its interrupt"), "{preset}: {console}");
    machine
}

fn logged(machine: &Loopback, line: &str) -> bool {
    machine.console().lines().any(|own| own == line)
}

/// How the boot says that it does without MSI-X.
fn interrupts(machine: &Loopback) -> Vec<String> {
    let console = machine.console();
    let lines = console.lines().filter_map(|line| line.strip_prefix("[VirtIO]   Interrupts: "));
    lines.map(str::to_string).collect()
}

#[test]
fn every_preset_boots_as_firmware_leaves_it() {
    for &preset in Preset::ALL {
        let machine = boots(preset, |_| ());
        assert_eq!(interrupts(&machine), [""; 0], "{preset}");
    }
}

#[test]
fn every_preset_boots_bare_and_warm() {
    for placement in [Placement::Unassigned, Placement::Warm] {
        for &preset in Preset::ALL {
            boots(preset, |config| config.placement = placement);
        }
    }
}

#[test]
fn the_log_of_each_preset_names_its_device_and_its_first_bar() {
    let cases = [
        (Preset::Modern, "Bus 0 Device 4 Func 0: Vendor=0x1AF4 Device=0x1042", "FEBC1000"),
        (Preset::Transitional, "Bus 0 Device 4 Func 0: Vendor=0x1AF4 Device=0x1001", "0000C001"),
        (Preset::Legacy, "Bus 0 Device 4 Func 0: Vendor=0x1AF4 Device=0x1001", "0000C001"),
        (Preset::Bridge, "Bus 1 Device 0 Func 0: Vendor=0x1AF4 Device=0x1042", "FD000000"),
    ];
    for (preset, device, bar) in cases {
        let machine = boots(preset, |_| ());
        let device = format!("[PCI]   {device} Class=0x01 Type=SCSI Controller [VirtIO]");
        assert!(logged(&machine, &device), "{}", machine.console());
        assert!(logged(&machine, &format!("[VirtIO]   BAR0=0x{bar}")), "{}", machine.console());
    }
}

#[test]
fn without_msix_the_line_is_used_and_without_a_line_the_rings_are_looked_at() {
    for preset in [Preset::Modern, Preset::Transitional, Preset::Legacy, Preset::Bridge] {
        let without = |config: &mut PlatformConfig| config.blocks[0].virtio.vectors = 0;
        let machine = boots(preset, without);
        let line = 10;
        assert_eq!(interrupts(&machine), [format!("INTx line {line} (no MSI-X)")], "{preset}");
        assert!(!machine.line(line), "the line is let go");
        let machine = boots(preset, |config| {
            without(config);
            // Nobody has written the interrupt line.
            config.placement = Placement::Unassigned;
        });
        assert_eq!(interrupts(&machine), ["polling (no MSI-X, no line)"], "{preset}");
    }
}

#[test]
fn nobody_waits_for_an_interrupt_that_does_not_come() {
    for &preset in Preset::ALL {
        for interrupts in ["msix", "intx"] {
            let machine = machine(preset, |_| ());
            let start = machine.now();
            let cmdline = format!("scenario=boot interrupts={interrupts}");
            assert_eq!(scenario::run(&machine, &cmdline), Ok(()), "{}", machine.console());
            let took = machine.now() - start;
            assert!(took < Duration::from_millis(1), "{preset}, {interrupts}: {took:?}");
        }
    }
}

#[test]
fn one_vector_is_enough() {
    for preset in [Preset::Modern, Preset::Legacy] {
        let machine = boots(preset, |config| config.blocks[0].virtio.vectors = 1);
        assert_eq!(interrupts(&machine), [""; 0], "{preset}");
    }
}

#[test]
fn doorbells_are_where_the_multiplier_and_the_offset_say() {
    for multiplier in [0, 2, 4, 4096] {
        for permuted in [false, true] {
            boots(Preset::Modern, |config| {
                config.blocks[0].virtio.notify_multiplier = multiplier;
                config.blocks[0].virtio.notify_permuted = permuted;
                config.blocks[0].blk.queues = 4;
            });
        }
    }
}

#[test]
fn a_device_that_resets_slowly_is_waited_for() {
    boots(Preset::Modern, |config| config.blocks[0].virtio.reset_loads = 100);
    boots(Preset::Legacy, |config| config.blocks[0].virtio.reset_loads = 100);
}

#[test]
fn both_access_mechanisms_find_the_same() {
    for &preset in Preset::ALL {
        let found = |access| {
            let machine = machine(preset, |_| ());
            let pci = Pci::with_access(&machine, access);
            (pci.devices().to_vec(), machine.console())
        };
        let ecam = ConfigAccess::Ecam { base: ECAM.start, first_bus: 0, last_bus: 255 };
        assert_eq!(found(ecam), found(ConfigAccess::Cam), "{preset}");
        // A bus that the window does not have is said to be out of reach.
        let ecam = ConfigAccess::Ecam { base: ECAM.start, first_bus: 0, last_bus: 0 };
        let (_, console) = found(ecam);
        let line = "[PCI] bus 1 is not reached by the configuration access mechanism";
        assert_eq!(console.lines().any(|own| own == line), preset == Preset::Bridge);
    }
}

#[test]
fn a_device_is_driven_by_memory_mapped_configuration_space() {
    let machine = machine(Preset::Bridge, |config| config.placement = Placement::Unassigned);
    let ecam = ConfigAccess::Ecam { base: ECAM.start, first_bus: 0, last_bus: 255 };
    let pci = Pci::with_access(&machine, ecam);
    let device = pci.find_virtio_block_device().expect("the device behind the bridge");
    let mut transport = Transport::open(&pci, device).expect("it can be driven");
    let features = transport.negotiate(Features::VERSION_1).expect("it takes the features");
    assert_eq!(features, Features::VERSION_1);
    let ports = machine.entries().iter().any(|entry| entry.to_string().contains("config_address"));
    assert!(!ports, "nothing went by the ports");
}

#[test]
fn a_transitional_device_can_be_driven_by_its_legacy_interface() {
    let machine = machine(Preset::Transitional, |config| config.placement = Placement::Unassigned);
    let pci = Pci::init(&machine);
    let device = pci.find_virtio_block_device().unwrap();
    assert!(!Transport::open(&pci, device.clone()).unwrap().is_legacy());
    let mut transport = Transport::open_legacy(&pci, device).unwrap();
    assert!(transport.is_legacy());
    let Bar::Port { base, .. } = transport.device().bar(0) else { panic!("no I/O ports") };
    assert!(base >= 0xc000, "{base:#x}");
    assert!(transport.negotiate(Features::all()).unwrap().contains(Features::FLUSH));
    assert_eq!(transport.queues(), 1);
    assert_eq!(transport.select_queue(0), Ok(256));
    let modern = Loopback::new(Preset::Modern, MemoryDisk::counting(8));
    let pci = Pci::init(&modern);
    let device = pci.find_virtio_block_device().unwrap();
    let error = Transport::open_legacy(&pci, device).err().map(|error| error.to_string());
    assert_eq!(error.unwrap(), "a device 0x1042 of revision 1 has no legacy interface");
}

#[test]
fn interrupts_are_set_up_again_after_a_reset_with_the_same_vectors() {
    for signalling in [Signalling::Best, Signalling::Line, Signalling::Polling] {
        let machine = machine(Preset::Modern, |config| config.blocks[0].virtio.vectors = 3);
        let pci = Pci::init(&machine);
        let device = pci.find_virtio_block_device().unwrap();
        let mut transport = Transport::open(&pci, device).unwrap();
        let mut rounds = Vec::new();
        for _ in 0..3 {
            transport.negotiate(Features::all()).unwrap();
            transport.set_up_interrupts(1, signalling);
            transport.unmask_interrupts();
            transport.driver_ok();
            rounds.push((transport.queue_interrupt(0), transport.config_interrupt()));
        }
        assert!(rounds.iter().all(|round| *round == rounds[0]), "{rounds:?}");
        assert_eq!(rounds[0].0.is_some(), signalling != Signalling::Polling);
        assert_eq!(rounds[0].0 == rounds[0].1, signalling != Signalling::Best);
        // A configuration change comes through, whichever way.
        machine.set_capacity("00:04.0".parse().unwrap(), 16).unwrap();
        if let Some(interrupt) = transport.config_interrupt() {
            assert!(Hal::take_interrupt(&machine, interrupt), "{signalling:?}");
            transport.acknowledge();
        }
        assert!(!machine.line(10), "acknowledged, or never raised");
        transport.shut_down().unwrap();
        assert_eq!(machine.load(Space::Port, 0xcfc, 2) & 0x404, 0x400, "silent");
    }
}
