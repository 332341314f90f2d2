//! Drivers that are wrong on purpose, in loopback: each mistake is made, and is noticed by what
//! has to notice it.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use eclipse_devices::Ram;
use eclipse_kernel::mutant::Mutant;
use eclipse_kernel::scenario;
use eclipse_tests::Loopback;
use eclipse_trace::rules::{self, End, Needs};
use eclipse_trace::{Entry, Recorder};
use eclipse_vmm::mutants::{self, Caught, Evidence, Row, Substrate, Trial, Verdict};

/// What a driver did in loopback, and how that ended.
struct Ran {
    entries: Vec<Entry>,
    transcript: String,
    console: String,
    end: End,
}

/// Runs a row's scenario by the drivers with this mistake.
fn run(row: &Row, mutant: Option<Mutant>) -> Ran {
    let faults = mutants::faults(row.faults).expect("faults of the catalogue");
    let machine = Loopback::with_faults(row.devices.config(), faults, Ram::Direct)
        .recorded_by(Recorder::new().witness());
    let machine = if row.scenario.contains("marks=on") { machine.marking() } else { machine };
    machine.watch(mutants::watching(row.watch).expect("what can be watched"));
    machine.make(mutant);
    // A mutant may well end where the driver's own checks are.
    let end = match catch_unwind(AssertUnwindSafe(|| scenario::run(&machine, row.scenario))) {
        Ok(Ok(())) => End::Success,
        Ok(Err(error)) => {
            eclipse_kernel::log!(machine, "[ERROR] {error}");
            End::Failure
        }
        Err(_) => End::Died,
    };
    let (entries, console) = (machine.entries(), machine.console());
    Ran { entries, transcript: machine.transcript_from(0), console, end }
}

fn evidence(row: &Row, mutant: Option<Mutant>) -> Evidence {
    let Ran { entries, console, end, .. } = run(row, mutant);
    let rules: Vec<_> = rules::all().collect();
    Evidence::new(&entries, &rules, end, console)
}

/// The rows that loopback can show, but for those that take long.
fn rows() -> impl Iterator<Item = Row> {
    mutants::rows().into_iter().filter(|row| {
        let shown = row.substrate == Substrate::Either;
        shown && !matches!(row.caught, Caught::Elsewhere(_))
    })
}

fn judged(row: Row) -> Trial {
    let right = row.compares().then(|| evidence(&row, None));
    let evidence = evidence(&row, row.mutant);
    Trial::new(row, evidence, right.as_ref())
}

/// Asserts that each row comes to what it expects.
fn all_as_expected(rows: impl Iterator<Item = Row>) {
    let mut wrong = String::new();
    for Trial { row, evidence, verdict } in rows.map(judged) {
        if verdict != Verdict::AsExpected {
            let Evidence { broken, first, console, .. } = evidence;
            let last = console.lines().next_back().unwrap_or_default();
            let found = first.unwrap_or_default();
            wrong +=
                &format!("{}: {:?}, not {broken:?}\n  {found}\n  {last}\n", row.name, row.caught);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn each_mistake_is_noticed_by_what_has_to() {
    all_as_expected(rows().filter(|row| row.caught != Caught::Nothing));
}

#[test]
fn what_is_allowed_is_not_accused() {
    all_as_expected(rows().filter(|row| row.caught == Caught::Nothing));
}

/// 70,000 requests each.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn what_shows_behind_the_last_index_is_noticed() {
    all_as_expected(mutants::rows().into_iter().filter(|row| row.substrate == Substrate::Loopback));
}

#[test]
fn each_mutant_does_something_else_than_the_driver() {
    use Mutant::{L04, L12, L14, L15};
    for row in rows().filter(|row| row.mutant.is_some()) {
        let same = run(&row, row.mutant).transcript == run(&row, None).transcript;
        // The driver itself does the first three so; the last is not to be seen without a fault.
        let as_it_is = matches!(row.mutant, Some(L04 | L12 | L15 | L14));
        assert_eq!(same, as_it_is, "{}", row.name);
    }
}

/// Rules of which no mutant has an example, and why: each has a test of its own that breaks it.
const WITHOUT_A_MUTANT: &[(&str, &str)] = &[
    ("D2.6.1.2.2-a", "the driver resets devices, and never a queue"),
    ("D2.7.5.2-b", "the driver does not accept IN_ORDER"),
    ("D2.7.5.3.1-e", "the driver does not accept IN_ORDER"),
    ("D2.8.16-c", "the driver does not accept NOTIFICATION_DATA"),
    ("D3.4.1-b", "the driver does not suspend devices"),
    ("D3.4.1-c", "the driver does not suspend devices"),
    ("D3.4.1-d", "the driver does not suspend devices"),
    ("D4.1.4.3.2-h", "the driver does not accept ADMIN_VQ"),
    ("D4.1.4.9.2-a", "the driver does not use the window in configuration space"),
    ("D4.1.4.9.2-b", "the driver does not use the window in configuration space"),
    ("D4.1.5.2.1-b", "the driver does not accept NOTIFICATION_DATA"),
    ("D5.2.6.1-i", "the driver makes requests of one segment, and asks for no limit"),
    ("D5.2.6.1-z", "the driver does not accept ZONED"),
    ("D6.1-e", "the driver does not accept ORDER_PLATFORM"),
    ("P20", "the driver's window ends where the MSI-X table does"),
    ("P30", "the driver resets no function, and leaves its power alone"),
    ("P31", "the driver has no access of another width than a register's"),
    ("P10", "in loopback it is not told where RAM is: its mutant runs on KVM"),
    ("R-dma-place", "there is no kernel's text in loopback: its mutant runs on KVM"),
];

#[test]
fn each_rule_that_needs_no_stimulus_notices_a_mutant() {
    let mut noticed = BTreeSet::new();
    for row in rows().filter(|row| row.caught != Caught::Nothing) {
        noticed.extend(evidence(&row, row.mutant).broken);
    }
    let without: BTreeSet<_> = WITHOUT_A_MUTANT.iter().map(|(rule, _)| *rule).collect();
    let mut blind = Vec::new();
    for rule in rules::all() {
        // The legacy rules are not marked by what shows them.
        let judged = rule.needs != Needs::Stimulus && !rule.id.starts_with('L');
        if judged && noticed.contains(rule.id) == without.contains(rule.id) {
            blind.push(rule.id);
        }
    }
    assert!(blind.is_empty(), "without a mutant, or needlessly listed: {blind:?}");
}

#[test]
fn a_rule_notices_its_mutants_without_the_others() {
    let mut wrong = Vec::new();
    for row in rows() {
        let Caught::Rule(id) = row.caught else { continue };
        let Some(rule) = rules::find(id) else {
            wrong.push(format!("{}: there is no rule {id}", row.name));
            continue;
        };
        let Ran { entries, console, end, .. } = run(&row, row.mutant);
        let evidence = Evidence::new(&entries, &[rule], end, console);
        if evidence.broken != [id] {
            wrong.push(format!("{}: {id}", row.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
