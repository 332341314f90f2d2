//! What a run says of itself at the debug mark, and windows of a transcript by it.

use std::time::Duration;

use eclipse_devices::Preset;
use eclipse_devices::disk::{MemoryDisk, default_image};
use eclipse_devices::fault::{Action, Fault, Trigger, Value};
use eclipse_devices::{PlatformConfig, Ram};
use eclipse_kernel::hal::Hal;
use eclipse_kernel::pci::Pci;
use eclipse_kernel::scenario;
use eclipse_kernel::task::Tasks;
use eclipse_kernel::virtio::blk::{Options, SharedBlk};
use eclipse_kernel::virtio::init;
use eclipse_tests::{Loopback, kvm};
use eclipse_trace::expect::{Capture, Phase, mark, request};
use eclipse_trace::{Entry, Event, Mark, Register, RequestKind, RequestStatus};

/// The phases of a scenario, as `guest-kernel` numbers them.
const BEGIN: u32 = 1;
const SCAN: u32 = 2;
const START: u32 = 3;
const WORK: u32 = 4;
const CLOSE: u32 = 5;
const END: u32 = 6;

fn disk() -> MemoryDisk {
    MemoryDisk::new(default_image())
}

fn marks(entries: &[Entry]) -> Vec<Mark> {
    let mark = |entry: &Entry| match entry.event {
        Event::Register { register: Register::DebugMark, access } => {
            Some(Mark::of(access.value() as u32))
        }
        _ => None,
    };
    entries.iter().filter_map(mark).collect()
}

fn phases(entries: &[Entry]) -> Vec<u32> {
    let phase = |mark| match mark {
        Mark::Phase(number) => Some(number),
        _ => None,
    };
    marks(entries).into_iter().filter_map(phase).collect()
}

fn in_loopback(cmdline: &str) -> Vec<Entry> {
    let machine = Loopback::new(Preset::Modern, disk()).marking();
    scenario::run(&machine, cmdline).expect("the scenario succeeds");
    machine.entries()
}

#[test]
fn the_phases_of_a_scenario_are_windows_of_its_transcript() {
    let entries = in_loopback("scenario=write");
    assert_eq!(phases(&entries), [BEGIN, SCAN, START, WORK, CLOSE, END]);
    let capture = Capture::of(&entries);
    let phase = |number| capture.within(&Phase::marked(number));
    phase(SCAN).never("guest * common *");
    phase(START).in_order([
        "guest 00:04.0 common device_status <- 00",
        "guest 00:04.0 common device_status <- 0f",
    ]);
    phase(WORK).never("guest 00:04.0 common *");
    // Durable is what the flush came before.
    phase(WORK).in_order([
        request(RequestKind::Out).status(RequestStatus::Ok),
        request(RequestKind::Flush).status(RequestStatus::Ok),
        mark(Mark::Durable(0)),
    ]);
    capture.exactly_once("guest debug_mark <- 20000000/f0000000");
    phase(CLOSE).exactly_once("guest 00:04.0 common device_status <- 00");
    assert_eq!(phase(END).entries().len(), 1);
}

#[test]
fn no_page_is_released_before_the_device_has_said_that_it_is_reset() {
    let entries = in_loopback("scenario=write");
    let capture = Capture::of(&entries).within(&Phase::marked(CLOSE));
    let released = "guest debug_mark <- 10000000/f0000000";
    assert!(capture.try_never(released).is_err(), "pages are released at all");
    capture
        .before("guest 00:04.0 common device_status -> 00")
        .never("guest debug_mark <- 10000000/f0000000");
}

#[test]
fn every_scenario_marks_where_it_works() {
    for cmdline in [
        "scenario=boot",
        "scenario=batch count=4",
        "scenario=devices",
        "scenario=ls",
        "scenario=fsck",
        "scenario=tasks count=2",
        "scenario=servers",
    ] {
        let phases = phases(&in_loopback(cmdline));
        assert_eq!(phases, [BEGIN, SCAN, START, WORK, CLOSE, END], "{cmdline}");
    }
    assert_eq!(phases(&in_loopback("scenario=pci")), [BEGIN, SCAN, END]);
}

fn durable(entries: &[Entry]) -> Vec<Mark> {
    marks(entries).into_iter().filter(|mark| matches!(mark, Mark::Durable(_))).collect()
}

#[test]
fn what_is_durable_has_a_running_number() {
    let expected = [Mark::Durable(0), Mark::Durable(1)];
    assert_eq!(durable(&in_loopback("scenario=boot")), expected);
    assert_eq!(durable(&in_loopback("scenario=read")), []);
}

#[test]
fn a_flush_by_a_task_is_marked_too_when_it_is_done_and_if_it_is() {
    let flushed = |faults| {
        let config = Preset::Modern.config(Box::new(disk()));
        let machine = Loopback::with_faults(config, faults, Ram::Direct).marking();
        let disk = init(&Pci::init(&machine), Options::default()).expect("it works so far");
        let tasks = Tasks::new(&machine);
        let shared = SharedBlk::new(&tasks, disk);
        let task = tasks.spawn("flush", async move { shared.flush().await });
        let flushed = tasks.run_until(&task, Duration::from_secs(60)).expect("it ends");
        (flushed.is_ok(), machine.entries())
    };
    let (done, entries) = flushed(Vec::new());
    assert!(done);
    Capture::of(&entries)
        .in_order([request(RequestKind::Flush).status(RequestStatus::Ok), mark(Mark::Durable(0))]);
    let fails = Trigger::Completion(Some(RequestKind::Flush));
    let fault = Fault::new(fails, Action::Status(Some(Value::Set(1))));
    let (done, entries) = flushed(vec![fault]);
    assert!(!done);
    assert_eq!(durable(&entries), []);
    Capture::of(&entries).exactly_once(mark(Mark::Failed(0)));
}

#[test]
fn a_request_that_is_reported_as_failed_is_marked_once() {
    let config: PlatformConfig = Preset::Modern.config(Box::new(disk()));
    let fault = Fault::new(Trigger::Completion(None), Action::Status(Some(Value::Set(1))));
    let machine = Loopback::with_faults(config, vec![fault], Ram::Direct).marking();
    scenario::run(&machine, "scenario=read").expect_err("the device fails");
    let entries = machine.entries();
    let failed: Vec<_> =
        marks(&entries).into_iter().filter(|mark| matches!(mark, Mark::Failed(_))).collect();
    assert_eq!(failed, [Mark::Failed(0)]);
    assert_eq!(phases(&entries).last(), Some(&END), "the scenario is over");
}

#[test]
fn a_page_is_released_when_none_of_it_is_used_any_more() {
    let machine = Loopback::new(Preset::Modern, disk()).marking();
    let (one, two) = (machine.allocate_dma(16, 16), machine.allocate_dma(16, 16));
    let (one, two) = (one.expect("memory"), two.expect("memory"));
    assert_eq!(one.address / 4096, two.address / 4096);
    // SAFETY: it was allocated so, and no device was told of it.
    unsafe { machine.release_dma(one, 16, 16) };
    assert_eq!(marks(&machine.entries()), []);
    // SAFETY: as above.
    unsafe { machine.release_dma(two, 16, 16) };
    assert_eq!(marks(&machine.entries()), [Mark::Released((two.address / 4096) as u32)]);
}

#[test]
fn who_does_not_ask_for_marks_gets_none() {
    let machine = Loopback::new(Preset::Modern, disk());
    scenario::run(&machine, "scenario=write").expect("the scenario succeeds");
    assert_eq!(marks(&machine.entries()), []);
    assert_eq!(marks(&kvm::entries("scenario=write")), []);
}

#[test]
fn the_image_marks_what_the_drivers_mark_in_loopback() {
    let apart_from_pages = |entries: &[Entry]| {
        let marks = marks(entries).into_iter();
        marks.filter(|mark| !matches!(mark, Mark::Released(_))).collect::<Vec<_>>()
    };
    let (image, loopback) =
        (kvm::entries("scenario=write marks=on"), in_loopback("scenario=write marks=on"));
    assert_eq!(apart_from_pages(&image), apart_from_pages(&loopback));
    let capture = Capture::of(&image).within(&Phase::marked(CLOSE));
    capture.before("guest debug_mark <- 10000000/f0000000").in_order([
        "guest 00:04.0 common device_status <- 00",
        "guest 00:04.0 common device_status -> 00",
    ]);
}
