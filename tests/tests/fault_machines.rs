//! Faults that have the machine put together in another way, and faults that name what a
//! machine does not have.

use eclipse_devices::disk::{MemoryDisk, default_image};
use eclipse_devices::fault::{Action, Fault, Trigger, Value, Vector, by_name, parse};
use eclipse_devices::{Platform, PlatformConfig, Preset, Ram};
use eclipse_kernel::scenario;
use eclipse_tests::{Bare, Loopback};
use eclipse_trace::{Bdf, Effect, Event, Register, Setting, Space};

fn config(preset: Preset) -> PlatformConfig {
    preset.config(Box::new(MemoryDisk::new(default_image())))
}

fn schedule(name: &str) -> Vec<Fault> {
    by_name(name).unwrap_or_else(|error| panic!("{error}"))
}

/// The default boot of the guest's drivers, and what the transcript says of it.
fn boot(faults: Vec<Fault>) -> String {
    let machine = Loopback::with_faults(config(Preset::Modern), faults, Ram::Direct);
    assert_eq!(scenario::run(&machine, ""), Ok(()), "{}", machine.console());
    let entries = machine.entries();
    entries.iter().map(|entry| format!("{entry}\n")).collect()
}

/// Why the machine cannot be like that, or the fault can never strike in it.
fn refused(preset: Preset, faults: &[Fault]) -> String {
    let platform = Platform::with_faults(config(preset), faults, Ram::Watched);
    platform.err().map(|error| error.to_string()).unwrap_or_default()
}

fn set(setting: Setting, value: u64) -> Fault {
    Fault::new(Trigger::Boot, Action::Machine(setting, value))
}

#[test]
fn a_large_bar_lies_above_4_gib_and_long_structures_fit_it() {
    let transcript = boot(schedule("F22"));
    assert!(transcript.contains("config bar5 -> 00000040\n"), "{transcript}");
    assert!(transcript.contains("config bar5 -> fffffffe\n"), "8 GiB");
    for length in [0x100_0000, 0x8000_0000, 0xffff_ffff_u64] {
        for cap in 1..=4 {
            let transcript = boot(schedule(&format!("F13:cap={cap},length={length}")));
            let said = format!(".length -> {length:08x}\n");
            assert!(transcript.contains(&said), "capability {cap}: {transcript}");
        }
    }
}

#[test]
fn an_io_bar_has_16_address_bits() {
    let transcript = boot(schedule("F25"));
    assert!(transcript.contains("config bar0 -> 0000ff81\n"), "{transcript}");
    assert!(boot(vec![set(Setting::Transitional, 1)]).contains("config bar0 -> ffffff81\n"));
}

#[test]
fn notifications_are_io_ports_and_every_structure_has_its_bar() {
    let transcript = boot(schedule("F26"));
    for bar in ["virtio_common.bar -> 04", "virtio_notify.bar -> 03", "virtio_device.bar -> 02"] {
        assert!(transcript.contains(bar), "{bar}: {transcript}");
    }
    assert!(transcript.contains("00:04.0 notify q0 <- 0000"), "{transcript}");
    assert!(!transcript.contains("refused"), "{transcript}");
    assert!(transcript.contains("block capacity_low -> "), "{transcript}");

    // The bytes of the ISR status and of the doorbell, where the capabilities have them.
    let machine = Loopback::with_faults(config(Preset::Modern), schedule("F26"), Ram::Direct);
    assert_eq!(machine.load(Space::Memory, 0xfeb0_0000, 1), 0);
    machine.store(Space::Port, 0xe000, 2, 0);
    let registers = machine.entries().into_iter().filter_map(|entry| match entry.event {
        Event::Register { register, .. } => Some(register),
        _ => None,
    });
    let function = Fault::BLOCK_DEVICE;
    let expected = [Register::Isr { function }, Register::Notify { function, queue: 0 }];
    assert_eq!(registers.collect::<Vec<_>>(), expected);
}

#[test]
fn the_window_in_configuration_space_reaches_structures_wherever_they_are() {
    let machine = Loopback::with_faults(config(Preset::Modern), schedule("F26"), Ram::Direct);
    let access = |at: u64| {
        machine.store(Space::Port, 0xcf8, 4, 0x8000_2000 | at & 0xfc);
        0xcfc + (at & 3)
    };
    let load = |at, width| machine.load(Space::Port, access(at), width);
    let store = |at, width, value| machine.store(Space::Port, access(at), width, value);
    let mut at = load(0x34, 1);
    while load(at, 1) != 0x09 || load(at + 3, 1) != 5 {
        at = load(at + 1, 1);
    }
    // The device's configuration: BAR 2, 1000h bytes in.
    store(at + 4, 1, 2);
    store(at + 8, 4, 0x1000);
    store(at + 12, 4, 4);
    let sectors = default_image().len() as u64 / 512;
    assert_eq!(load(at + 16, 4), sectors);
    // Past the end of what there is.
    store(at + 8, 4, 0x2_0000);
    load(at + 16, 4);
    let violation =
        machine.entries().iter().any(|entry| matches!(entry.event, Event::Violation { .. }));
    assert!(violation, "VIRTIO 1.4, 4.1.4.9.2");
}

#[test]
fn doorbells_are_where_multiplier_and_offset_say() {
    // Queue 0's, which is the second; in the last case the structure is longer than others.
    for (multiplier, place) in
        [(0, Bare::NOTIFY), (2, Bare::NOTIFY + 2), (4096, Bare::COMMON + 0x4000 + 4096)]
    {
        let transcript = boot(schedule(&format!("F59:multiplier={multiplier}")));
        let said = format!("notify_off_multiplier -> {multiplier:08x}\n");
        assert!(transcript.contains(&said), "{transcript}");
        assert!(transcript.contains("common queue_notify_off -> 0001\n"), "permuted");
        assert!(transcript.contains("notify q0 <- 0000\n"), "{multiplier}: {transcript}");
        let faults = schedule(&format!("F59:multiplier={multiplier}"));
        let machine = Loopback::with_faults(config(Preset::Modern), faults, Ram::Direct);
        machine.store(Space::Memory, place, 2, 0);
        let last = machine.entries().into_iter().rev().find_map(|entry| match entry.event {
            Event::Register { register: Register::Notify { queue, .. }, .. } => Some(queue),
            _ => None,
        });
        assert_eq!(last, Some(0), "{multiplier}");
    }
}

#[test]
fn other_devices_before_and_behind_are_left_alone() {
    for id in ["0x1041", "0x1005"] {
        let transcript = boot(schedule(&format!("F20:id={id}")));
        assert!(transcript.contains("Found 7 PCI device(s)"), "{transcript}");
        let stores = |function: &str| {
            let mut stores = transcript.lines().filter(|line| {
                line.starts_with(&format!("guest   {function} ")) && line.contains(" <- ")
            });
            stores.next().map(str::to_string)
        };
        assert_eq!(stores("00:03.0"), None);
        assert_eq!(stores("00:06.0"), None);
    }
}

#[test]
fn one_vector_is_raised_once_for_both() {
    let transcript = boot(schedule("F94"));
    assert!(transcript.contains("common config_msix_vector -> 0000\n"), "{transcript}");
    assert!(transcript.contains("common queue_msix_vector -> 0000\n"), "{transcript}");
    let first: Vec<_> = transcript
        .lines()
        .skip_while(|line| !line.contains("notify q0"))
        .filter(|line| line.contains(" msix 0:") || line.contains("withholds"))
        .take(2)
        .collect();
    let [sent, withheld] = first[..] else { panic!("{transcript}") };
    assert!(sent.contains("msix 0:") && withheld.contains("withholds vector 0"), "{first:?}");
}

#[test]
fn a_machine_that_is_put_together_is_what_it_is() {
    let bare = Bare::new(MemoryDisk::counting(8));
    let faults = vec![set(Setting::Vectors, 1)];
    assert!(refused(Preset::Modern, &faults).is_empty());
    let injected = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        bare.machine.inject(faults);
    }));
    let message = injected.unwrap_err().downcast::<String>().unwrap_or_default();
    assert_eq!(*message, "fault 0: the machine is put together already");
    let faults = vec![set(Setting::Vectors, 1).named("few")];
    let machine = Loopback::with_faults(config(Preset::Modern), faults, Ram::Direct);
    let [entry] = &machine.entries()[..] else { panic!("one event") };
    let effect = Effect::Machine { setting: Setting::Vectors, value: 1 };
    assert_eq!(entry.event, Event::Fault { fault: "few".into(), effect: effect.into() });
}

#[test]
fn a_setting_that_cannot_be_is_refused() {
    for (setting, value) in [
        (Setting::NotifyMultiplier, 3),
        (Setting::NotifyMultiplier, 1 << 32),
        (Setting::NotifyPermuted, 2),
        (Setting::Vectors, 4096),
        (Setting::Queues, 0),
        (Setting::Queues, 1 << 16),
        (Setting::BarSize, 3),
        (Setting::BarSize, 1 << 60),
    ] {
        let said = format!("fault 0 of the schedule: {setting} cannot be {value:#x}");
        assert_eq!(refused(Preset::Modern, &[set(setting, value)]), said);
    }
    let spread = [set(Setting::SpreadBars, 1), set(Setting::BarSize, 1 << 30)];
    assert!(refused(Preset::Modern, &spread).contains("fault 1 of the schedule: bar_size cannot"));
    let taken = [set(Setting::OtherDevice, 0x1041).of(Bdf::new(0, 1, 1))];
    assert!(refused(Preset::Modern, &taken).ends_with("00:01.1 is taken"));
    let plain = [set(Setting::Vectors, 1).of(Bdf::new(0, 1, 1))];
    assert!(refused(Preset::Modern, &plain).ends_with("00:01.1 is no virtio block device"));
}

#[test]
fn a_fault_of_what_the_machine_does_not_have_is_refused() {
    let status = Trigger::Load("common.device_status".parse().unwrap_or_else(|e| panic!("{e}")));
    let zero = Action::Alter(Value::Set(0));
    let absent = [Fault::new(status.clone(), zero.clone()).of(Bdf::new(0, 5, 0))];
    assert_eq!(
        refused(Preset::Modern, &absent),
        "fault 0 of the schedule: there is no function 00:05.0 in this machine; there are \
         00:00.0, 00:01.0, 00:01.1, 00:01.3, 00:04.0"
    );
    let plain = [Fault::new(status.clone(), zero).of(Bdf::new(0, 1, 0))];
    assert!(refused(Preset::Modern, &plain).ends_with("00:01.0 is no virtio block device"));
    let no_queue = "00:04.0 has no queue 1; it has 1, from 0";
    for trigger in ["notify = 1", "ring_load = \"q1.used.idx\"", "ring_write = \"q1.used.idx\""] {
        let text = format!("[[fault]]\non = {{ {trigger} }}\ndo = {{ remove = true }}\n");
        let faults = parse(&text).unwrap_or_else(|error| panic!("{error}"));
        assert!(refused(Preset::Modern, &faults).ends_with(no_queue), "{trigger}");
    }
    for action in [Action::Poll(1), Action::Interrupt(Vector::Queue(1))] {
        let faults = [Fault::new(status.clone(), action)];
        assert!(refused(Preset::Modern, &faults).ends_with(no_queue));
        let two = [set(Setting::Queues, 2), faults[0].clone()];
        assert_eq!(refused(Preset::Modern, &two), "");
    }
    let behind = [Fault::new(status, Action::NeedsReset)];
    assert!(refused(Preset::Bridge, &behind).contains("no function 00:04.0"));
    assert_eq!(refused(Preset::Bridge, &behind.map(|fault| fault.of(Bdf::new(1, 0, 0)))), "");
}
