//! When requests are completed: the same chains, taken at the doorbell, given back
//! when the schedule says, and each time in the same order.

use eclipse_devices::disk::{MemoryDisk, default_image};
use eclipse_devices::{Completion, Preset};
use eclipse_kernel::pci::Pci;
use eclipse_kernel::virtio::blk::Options;
use eclipse_kernel::{scenario, virtio};
use eclipse_tests::bare::{NEXT, WRITE};
use eclipse_tests::{Bare, Loopback};
use eclipse_trace::{Entry, Event, Register, Violation, text};
use eclipse_vmm::{Config, Machine, Outcome, RunOptions};
use expect_test::{Expect, expect};

fn ready(completion: &str) -> Bare {
    let bare = Bare::ready(MemoryDisk::counting(64));
    bare.machine.complete_by(completion.parse().expect("it is a schedule"));
    bare
}

/// Writes the two descriptors of flush request `number`, at head 2 * `number`.
fn prepare(bare: &Bare, number: u16) {
    let place = Bare::HEADER + 32 * u64::from(number);
    bare.write(place, 4u32);
    bare.write(place + 8, 0u64);
    bare.write(place + 16, 0xffu8);
    let head = 2 * number;
    for (index, descriptor) in
        [(head, (place, 16, NEXT, head + 1)), (head + 1, (place + 16, 1, WRITE, 0))]
    {
        let (addr, len, flags, next) = descriptor;
        let at = Bare::DESC + 16 * u64::from(index);
        bare.write(at, addr);
        bare.write(at + 8, len as u32);
        bare.write(at + 12, flags);
        bare.write(at + 14, next);
    }
}

/// Makes one flush request available, with a doorbell of its own.
fn flush(bare: &Bare, number: u16) {
    prepare(bare, number);
    bare.make_available(2 * number);
}

/// Lines of a transcript that say what was completed.
fn completions(transcript: &str) -> String {
    let kept =
        |line: &&str| ["notify", "used", "msix", "request"].iter().any(|word| line.contains(word));
    transcript.lines().filter(kept).map(|line| format!("{line}\n")).collect()
}

fn check(bare: &Bare, accesses: impl FnOnce(), expected: Expect) {
    expected.assert_eq(&completions(&bare.transcript_of(accesses)));
}

#[test]
fn until_the_guest_halts_a_chain_is_read_and_nothing_is_done() {
    let bare = ready("halt");
    bare.header(0, 3);
    let read = [
        (Bare::HEADER, 16, NEXT, 1),
        (Bare::DATA, 512, NEXT | WRITE, 2),
        (Bare::STATUS, 1, WRITE, 0),
    ];
    expect![[r#"
        guest   00:04.0 notify q0 <- 0000
        00:04.0 q0 avail.idx -> 0001
        00:04.0 q0 avail.ring[0] -> 0000
        00:04.0 q0 desc[0] -> 0x4000 len 16 NEXT 1
        00:04.0 q0 desc[1] -> 0x5000 len 512 WRITE NEXT 2
        00:04.0 q0 desc[2] -> 0x4010 len 1 WRITE
    "#]]
    .assert_eq(&bare.submit(&read));
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0xff);
    expect![[r#"
        00:04.0 q0 desc[0] read 16 bytes at 0x4000
        00:04.0 q0 desc[1] write 512 bytes at 0x5000
        00:04.0 q0 request 0: in sector 3, 512 bytes: ok
        00:04.0 q0 desc[2] write 1 bytes at 0x4010
        00:04.0 q0 used.ring[0] <- id 0 len 513
        00:04.0 q0 used.idx <- 0001
        00:04.0 q0 avail.flags -> 0000
        00:04.0 msix 1: 00000041 to fee00000
    "#]]
    .assert_eq(&bare.transcript_of(|| assert!(bare.machine.halt())));
    assert!(!bare.machine.halt(), "there is nothing more");
    assert_eq!(bare.read::<u64>(Bare::DATA), 3 * 64, "the sector's first word");
}

#[test]
fn after_two_further_accesses_means_at_the_end_of_the_second() {
    let bare = ready("after:2");
    check(
        &bare,
        || flush(&bare, 0),
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
        "#]],
    );
    expect![[r#"
        guest   00:04.0 common device_status -> 0f
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.load_common(0x14, 1);
    }));
    expect![[r#"
        guest   00:04.0 common config_generation -> 00
        00:04.0 q0 desc[0] read 16 bytes at 0x4000
        00:04.0 q0 request 0: flush sector 0, 0 bytes: ok
        00:04.0 q0 desc[1] write 1 bytes at 0x4010
        00:04.0 q0 used.ring[0] <- id 0 len 1
        00:04.0 q0 used.idx <- 0001
        00:04.0 q0 avail.flags -> 0000
        00:04.0 msix 1: 00000041 to fee00000
    "#]]
    .assert_eq(&bare.transcript_of(|| {
        bare.load_common(0x15, 1);
    }));
}

#[test]
fn a_guest_that_halts_before_its_accesses_are_made_is_not_left_asleep() {
    let bare = ready("after:1000");
    flush(&bare, 0);
    flush(&bare, 1);
    check(
        &bare,
        || assert!(bare.machine.halt()),
        expect![[r#"
            00:04.0 q0 request 0: flush sector 0, 0 bytes: ok
            00:04.0 q0 used.ring[0] <- id 0 len 1
            00:04.0 q0 used.idx <- 0001
            00:04.0 q0 request 2: flush sector 0, 0 bytes: ok
            00:04.0 q0 used.ring[1] <- id 2 len 1
            00:04.0 q0 used.idx <- 0002
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
}

#[test]
fn a_batch_is_completed_at_once_with_one_interrupt() {
    let bare = ready("batch:2");
    check(
        &bare,
        || flush(&bare, 0),
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
        "#]],
    );
    check(
        &bare,
        || flush(&bare, 1),
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 q0 request 0: flush sector 0, 0 bytes: ok
            00:04.0 q0 used.ring[0] <- id 0 len 1
            00:04.0 q0 used.idx <- 0001
            00:04.0 q0 request 2: flush sector 0, 0 bytes: ok
            00:04.0 q0 used.ring[1] <- id 2 len 1
            00:04.0 q0 used.idx <- 0002
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
    flush(&bare, 2);
    check(
        &bare,
        || assert!(bare.machine.halt()),
        expect![[r#"
            00:04.0 q0 request 4: flush sector 0, 0 bytes: ok
            00:04.0 q0 used.ring[2] <- id 4 len 1
            00:04.0 q0 used.idx <- 0003
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
}

#[test]
fn reversed_is_last_taken_first_given_back() {
    let bare = ready("reverse");
    (0..3).for_each(|number| flush(&bare, number));
    check(
        &bare,
        || assert!(bare.machine.halt()),
        expect![[r#"
            00:04.0 q0 request 4: flush sector 0, 0 bytes: ok
            00:04.0 q0 used.ring[0] <- id 4 len 1
            00:04.0 q0 used.idx <- 0001
            00:04.0 q0 request 2: flush sector 0, 0 bytes: ok
            00:04.0 q0 used.ring[1] <- id 2 len 1
            00:04.0 q0 used.idx <- 0002
            00:04.0 q0 request 0: flush sector 0, 0 bytes: ok
            00:04.0 q0 used.ring[2] <- id 0 len 1
            00:04.0 q0 used.idx <- 0003
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
}

#[test]
fn a_shuffled_order_is_the_same_for_the_same_seed_and_gives_each_chain_back_once() {
    let ids = |schedule: &str| -> Vec<u32> {
        let bare = ready(schedule);
        (0..4).for_each(|number| flush(&bare, number));
        bare.machine.halt();
        let used = |slot: u64| bare.read::<u32>(Bare::USED + 4 + 8 * slot);
        (0..4).map(used).collect()
    };
    let orders: Vec<_> = (0..8).map(|seed| ids(&format!("shuffle:{seed}"))).collect();
    for (seed, order) in orders.iter().enumerate() {
        assert_eq!(*order, ids(&format!("shuffle:{seed}")), "seed {seed}");
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 2, 4, 6], "seed {seed}");
    }
    assert!(orders.iter().any(|order| *order != orders[0]), "{orders:?}");
    // Fisher and Yates with the published numbers of SplitMix64 for seed 0, which begin
    // e220a8397b1dcdaf (mod 4 is 3), 6e789e6aa1b965f4 (mod 3 is 2), 06c45d188009454f (mod 2 is 1).
    let batches = ids("shuffle:0:2");
    assert_eq!(batches[..2].iter().max(), Some(&2), "the first batch has the first two");
}

#[test]
fn a_reset_forgets_what_waits() {
    let bare = ready("halt");
    flush(&bare, 0);
    bare.common(0x14, 1, 0);
    assert!(!bare.machine.halt());
    assert_eq!(bare.read::<u16>(Bare::USED + 2), 0);
}

#[test]
fn a_driver_that_has_more_outstanding_than_descriptors_breaks_a_rule() {
    let bare = ready("halt");
    prepare(&bare, 0);
    // Chains of two descriptors each, so that half as many take them all.
    for _ in 0..Bare::SIZE / 2 {
        bare.make_available(0);
    }
    assert_eq!(bare.load_common(0x14, 1), 0x0f);
    bare.make_available(0);
    assert_eq!(bare.load_common(0x14, 1), 0x4f, "NEEDS_RESET");
    let violation = Event::Violation { violation: Violation::TooManyDescriptors(0) };
    assert!(bare.machine.entries().iter().any(|entry| entry.event == violation));
    assert!(!bare.machine.halt(), "nothing waits in a device that gave up");
}

#[test]
fn what_waits_needs_the_bus_as_much_as_what_does_not() {
    let bare = ready("halt");
    flush(&bare, 0);
    bare.config_store(0x04, 2, 0x0402);
    expect![[r#"
        00:04.0 violation of PCI 3.0, 6.2.2: DMA was asked for while bus mastering is off
        00:04.0 needs reset
        00:04.0 msix 0: pending
    "#]]
    .assert_eq(&bare.transcript_of(|| assert!(bare.machine.halt())));
}

const SCHEDULES: [&str; 9] = [
    "immediate",
    "after:1",
    "after:7",
    "halt",
    "batch:3",
    "reverse",
    "reverse:2",
    "shuffle:1",
    "shuffle:9:2",
];

fn in_loopback(completion: &str) -> Vec<Entry> {
    let machine = Loopback::new(Preset::Modern, MemoryDisk::new(default_image()));
    machine.complete_by(completion.parse().expect("it is a schedule"));
    assert_eq!(scenario::run(&machine, ""), Ok(()), "{completion}: {}", machine.console());
    machine.entries()
}

#[test]
fn the_driver_boots_under_every_schedule_and_each_time_alike() {
    for completion in SCHEDULES {
        assert_eq!(in_loopback(completion), in_loopback(completion), "{completion}");
    }
}

#[test]
fn the_driver_finds_each_request_by_its_id_whatever_the_order() {
    for completion in SCHEDULES {
        let machine = Loopback::new(Preset::Modern, MemoryDisk::counting(64));
        machine.complete_by(completion.parse().expect("it is a schedule"));
        let mut disk = virtio::init(&Pci::init(&machine), Options::default()).expect("it starts");
        let tokens: Vec<_> =
            (0..5).map(|sector| disk.submit_read(sector, 512).expect("there is room")).collect();
        for (sector, token) in (0u64..).zip(tokens) {
            let mut data = [0; 512];
            assert_eq!(disk.finish(token, &mut data), Ok(()), "{completion}, sector {sector}");
            assert_eq!(data[..8], (64 * sector).to_le_bytes(), "{completion}");
        }
    }
}

#[test]
fn on_kvm_a_schedule_gives_the_same_transcript_each_time_and_the_same_as_in_loopback() {
    let boot = |completion: Completion| -> String {
        let cmdline = "scenario=read sector=3".into();
        let mut config = Config { cmdline, ..Config::default() };
        config.devices.blocks[0].completion = completion;
        let run = Machine::new(config)
            .and_then(|machine| machine.run(RunOptions::default()))
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(run.outcome, Outcome::Success, "{}", String::from_utf8_lossy(&run.console));
        of_virtio(run.recorder.entries())
    };
    for completion in ["halt", "after:4", "reverse"] {
        let completion: Completion = completion.parse().expect("it is a schedule");
        let machine = Loopback::new(Preset::Modern, MemoryDisk::new(default_image()));
        machine.complete_by(completion);
        assert_eq!(scenario::run(&machine, "scenario=read sector=3"), Ok(()));
        let expected = of_virtio(&machine.entries());
        for _ in 0..3 {
            assert_eq!(boot(completion), expected, "{completion}");
        }
    }
}

/// From the discovery of the block device on, memory named by what lies there.
fn of_virtio(entries: &[Entry]) -> String {
    let from = entries.iter().position(|entry| match &entry.event {
        Event::Console { line } => line.contains("Initializing VirtIO"),
        _ => false,
    });
    let part = &entries[from.expect("the guest says so")..];
    let ours = |entry: &&Entry| match &entry.event {
        Event::Console { .. } => false,
        Event::Register { register, .. } => *register != Register::DebugExit,
        _ => true,
    };
    let kept: Vec<_> = part.iter().filter(ours).cloned().collect();
    text::symbolic(&kept, entries)
}
