//! Whole scenarios on a machine that is well, and on one that is not.

use super::{Error, SCENARIOS, run};
use crate::{
    eclipsefs::tests::sample_image,
    fake::{FakeHal, Fault, Function, Mishap},
};

/// A machine like the `modern` preset, with a file system on its disk.
fn machine() -> FakeHal {
    let hal = FakeHal::with_block();
    hal.insert(0, 0, Function::new(0x8086, 0x1237, 0x06_00_00));
    hal.machine().device.disk = sample_image();
    hal
}

/// What the disk was asked for: type and sector.
fn requests(hal: &FakeHal) -> Vec<(u32, u64)> {
    hal.machine().device.requests.clone()
}

#[test]
fn the_boot_log_is_eclipses() {
    let hal = machine();
    run(&hal, "").unwrap();
    let log = "\
[PCI] Initializing PCI subsystem...
[PCI] Found 2 PCI device(s)
[PCI]   Bus 0 Device 0 Func 0: Vendor=0x8086 Device=0x1237 Class=0x06 Type=Host Bridge
[PCI]   Bus 0 Device 4 Func 0: Vendor=0x1AF4 Device=0x1042 Class=0x01 Type=SCSI Controller [VirtIO]
[VirtIO] Initializing VirtIO devices...
[VirtIO] Found VirtIO block device on PCI
[VirtIO]   Bus=0 Device=4 Function=0
[VirtIO]   BAR0=0xFEBC1000
[VirtIO] Real PCI device initialized successfully
[FS] Attempting to mount eclipsefs...
[FS] EclipseFS signature found
[FS] Version: 2.0
[FS] Filesystem mounted successfully
[FS] /etc/motd: 20 bytes
Welcome to Eclipse.
[VirtIO] Scratch block 7: written, flushed, read back, restored";
    assert_eq!(hal.machine().log.join("\n"), log);
    // First block; header, table; old content, pattern, flush, back, old content, flush.
    let sectors = [(0, 0), (0, 0), (0, 8), (0, 56), (1, 56), (4, 0), (0, 56), (1, 56), (4, 0)];
    assert_eq!(requests(&hal), sectors);
    assert_eq!(hal.machine().device.disk, sample_image(), "nothing is changed");
    assert_eq!(hal.machine().device.status(), 0);
    assert_eq!(hal.machine().released.len(), 3);
}

#[test]
fn a_read_only_disk_has_no_scratch_block() {
    let hal = machine();
    hal.machine().device.offered |= 1 << 5;
    run(&hal, "scenario=boot path=/etc/motd").unwrap();
    let last = hal.machine().log.last().cloned().unwrap();
    assert_eq!(last, "[VirtIO] Scratch block skipped: the disk is read-only");
}

#[test]
fn a_soak_of_a_read_only_disk_writes_no_zeroes_either() {
    let hal = machine();
    // RO, WRITE_ZEROES.
    hal.machine().device.offered |= 1 << 5 | 1 << 14;
    assert_eq!(run(&hal, "scenario=soak count=200"), Ok(()));
    assert!(requests(&hal).iter().all(|(kind, _)| matches!(kind, 0 | 4 | 8)));
}

#[test]
fn a_sector_is_read_and_another_written() {
    let hal = machine();
    hal.machine().device.disk[512..1024]
        .copy_from_slice(&core::array::from_fn::<_, 512, _>(|byte| byte as u8));
    run(&hal, "scenario=read sector=1").unwrap();
    let last = hal.machine().log.last().cloned().unwrap();
    let line = "[VirtIO] Sector 1: CRC-32 0x1C613576, begins 000102030405060708090a0b0c0d0e0f";
    assert_eq!(last, line);
    assert_eq!(requests(&hal), [(0, 0), (0, 1)]);
    hal.machine().device.requests.clear();
    run(&hal, "scenario=write").unwrap();
    assert_eq!(requests(&hal), [(0, 0), (1, 63), (4, 0)]);
    assert_ne!(hal.machine().device.disk[63 * 512..], [0; 512]);
}

#[test]
fn init_ends_after_the_first_block_and_pci_before_any_register() {
    let hal = machine();
    run(&hal, "scenario=init").unwrap();
    assert_eq!(requests(&hal), [(0, 0)]);
    let hal = machine();
    run(&hal, "scenario=pci").unwrap();
    assert!(hal.machine().accesses.iter().all(|line| line.starts_with("config")));
}

#[test]
fn a_scenario_that_fails_says_where_and_leaves_the_device_reset() {
    let hal = machine();
    let error = run(&hal, "path=/etc/none").unwrap_err();
    assert_eq!(error.to_string(), "EclipseFS: `none` of path `/etc/none` does not exist");
    assert_eq!(hal.machine().device.status(), 0);
    let error = run(&hal, "scenario=read sector=64").unwrap_err();
    let text = "VirtIO block device 00:04.0: 1 sectors at 64 are not on a disk of 64 sectors";
    assert_eq!(error.to_string(), text);
    hal.machine().device.fault = Fault::Status(1);
    let error = run(&hal, "scenario=init").unwrap_err();
    let text = "VirtIO block device 00:04.0: read at sector 0: the device reports an I/O error";
    assert_eq!(error.to_string(), text);
    assert_eq!(
        run(&FakeHal::new(), "scenario=init").unwrap_err().to_string(),
        "no VirtIO block device is on the PCI bus"
    );
}

#[test]
fn the_images_own_scenarios_are_known_and_left_to_it() {
    let own = ["panic", "hang", "fault", "triple", "interrupts", "memory", "user"];
    for name in own {
        assert!(SCENARIOS.iter().any(|scenario| scenario.name == name));
        let line = format!("scenario={name}");
        assert_eq!(run(&machine(), &line), Err(Error::Image(name)));
    }
}

#[test]
fn a_device_that_goes_away_at_any_access_is_given_up() {
    let whole = machine();
    run(&whole, "").unwrap();
    let accesses = whole.machine().count;
    // Nobody can tell whether the last stores arrive: MSI-X off, bus mastering off.
    for from in 0..accesses - 2 {
        let hal = machine();
        hal.machine().mishap = Mishap::Gone(from);
        let result = run(&hal, "");
        // One that the scan did not find has not failed: the simulated disk is what there is.
        let unseen = "[VirtIO] No VirtIO block device found on PCI bus".to_string();
        let expected = hal.machine().log.contains(&unseen);
        assert_eq!(result.is_ok(), expected, "gone at access {from} of {accesses}");
        assert!(hal.machine().count < 21_000, "gone at access {from}");
    }
}

#[test]
fn no_wrong_bit_in_any_load_makes_the_driver_panic_or_go_on_for_ever() {
    let whole = machine();
    run(&whole, "scenario=init").unwrap();
    let accesses = whole.machine().count;
    for at in 0..accesses {
        for bit in 0..32 {
            let hal = machine();
            hal.machine().mishap = Mishap::Flip(at, bit);
            // It works, or it fails; the sweep is about how.
            let _ = run(&hal, "scenario=init");
            assert!(hal.machine().count < 21_000, "bit {bit} of access {at}");
        }
    }
}

#[test]
fn tasks_that_an_error_leaves_behind_do_not_keep_the_device() {
    let hal = machine();
    // The first block is good, what the queue then has room for fails, the rest never ends.
    hal.machine().on_dma = Some(Box::new(|machine, _| {
        machine.device.fault = match machine.device.requests.len() {
            0 => Fault::Nothing,
            1 => Fault::Status(1),
            _ => Fault::NeverCompletes,
        };
    }));
    let error = run(&hal, "scenario=tasks count=100").unwrap_err();
    let reason = "VirtIO block device 00:04.0: read at sector 0: the device reports an I/O error";
    assert_eq!(error.to_string(), reason);
    let machine = hal.machine();
    assert_eq!(machine.device.status(), 0, "it is reset");
    assert_eq!(machine.released.len(), machine.allocated.len());
}
