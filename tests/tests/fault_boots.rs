//! Faults that take KVM: at what the guest's driver loads from its rings, each thing once
//! and never what it wrote itself; and in machines that are put together in another way.

use eclipse_devices::fault::{Action, Fault, RingField, Trigger, by_name};
use eclipse_trace::{Effect, Entry, Event};
use eclipse_vmm::{Config, Machine, Outcome, Run, RunOptions};

fn boot(faults: Vec<Fault>) -> Run {
    Machine::new(Config { faults, ..Config::default() })
        .and_then(|machine| machine.run(RunOptions::default()))
        .unwrap_or_else(|error| panic!("{error}"))
}

fn named(name: &str) -> Vec<Fault> {
    by_name(name).unwrap_or_else(|error| panic!("{error}"))
}

fn effect(entry: &Entry) -> Option<Effect> {
    match &entry.event {
        Event::Fault { effect, .. } => Some(**effect),
        _ => None,
    }
}

fn effects(run: &Run) -> Vec<Effect> {
    run.recorder.entries().iter().filter_map(effect).collect()
}

fn console(run: &Run) -> String {
    String::from_utf8_lossy(&run.console).into_owned()
}

#[test]
fn a_driver_that_believes_one_load_of_used_idx_resets_a_lying_device_and_goes_on() {
    let run = boot(named("F73"));
    let effects = effects(&run);
    let [Effect::RingLoad { instead_of: 1, value: 2, .. }] = effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(run.outcome, Outcome::Success, "{}", console(&run));
    let said = "\
[VirtIO] 00:04.0: queue 0: used.idx went from 1 to 2 with 0 outstanding
[VirtIO] 00:04.0: reset, try 1 of 3, 0 request(s) again";
    assert!(console(&run).contains(said), "{}", console(&run));
}

#[test]
fn no_element_is_loaded_twice() {
    for name in ["F74", "F74:field=1"] {
        let run = boot(named(name));
        assert_eq!(run.outcome, Outcome::Success, "{}", console(&run));
        assert_eq!(effects(&run), [], "{name}");
    }
}

#[test]
fn nothing_is_loaded_that_the_driver_wrote_itself() {
    let fields = ["desc.addr", "desc.len", "desc.flags", "desc.next", "avail.ring", "avail.idx"];
    let fault = |name: &str| {
        let field = name.parse::<RingField>().unwrap_or_else(|error| panic!("{error}"));
        Fault::new(Trigger::RingLoad(field), Action::Release).named(name).from_now_on()
    };
    let run = boot(fields.map(fault).to_vec());
    assert_eq!(run.outcome, Outcome::Success, "{}", console(&run));
    assert_eq!(effects(&run), []);
}

#[test]
fn a_completion_behind_the_last_look_is_not_missed() {
    let run = boot(named("F95"));
    assert_eq!(run.outcome, Outcome::Success, "{}", console(&run));
    let expected = [Effect::Held { head: 0 }, Effect::Interrupt, Effect::Released];
    assert_eq!(effects(&run), expected);
    // The chain comes with the release, and with it the interrupt that ends the wait.
    let entries = run.recorder.entries();
    let released = entries.iter().position(|entry| effect(entry) == Some(Effect::Released));
    let behind: Vec<_> = entries[released.unwrap_or_default()..].iter().take(5).collect();
    let behind: String = behind.iter().map(|entry| format!("{}\n", entry)).collect();
    assert!(behind.contains("used.idx <- 0001"), "{behind}");
    assert!(behind.contains("msix 1"), "{behind}");
}

#[test]
fn unusual_machines_are_driven_all_the_same() {
    for name in ["F13", "F13:cap=2", "F20", "F22", "F25", "F26", "F59", "F94"] {
        let run = boot(named(name));
        assert_eq!(run.outcome, Outcome::Success, "{name}: {}", console(&run));
        assert!(!effects(&run).is_empty(), "{name}");
        let said = "[VirtIO] Real PCI device initialized successfully";
        assert!(console(&run).contains(said), "{name}: {}", console(&run));
    }
}

#[test]
fn the_transcript_of_a_run_with_holes_is_that_of_one_without() {
    let never = Fault::new(Trigger::RingLoad(RingField::USED_IDX), Action::Release).nth(u64::MAX);
    let transcript = |faults| {
        let run = boot(faults);
        assert_eq!(run.outcome, Outcome::Success, "{}", console(&run));
        eclipse_trace::text::numbered(run.recorder.entries())
    };
    assert!(transcript(vec![never]) == transcript(Vec::new()));
}
