//! Drivers that are wrong on purpose, in loopback: each mistake is what it is said to be, and
//! is noticed by what has to.

use eclipse_devices::Ram;
use eclipse_kernel::mutant::Mutant;
use eclipse_kernel::scenario;
use eclipse_tests::Loopback;
use eclipse_trace::rules::{self, End};
use eclipse_vmm::mutants::{self, Caught, Evidence, Row, Substrate, Trial, Verdict};

/// What a driver did in loopback.
struct Ran {
    machine: Loopback,
    end: End,
}

fn run(row: &Row, mutant: Option<Mutant>) -> Ran {
    let faults = mutants::faults(row.faults).expect("faults of the catalogue");
    let machine = Loopback::with_faults(row.devices.config(), faults, Ram::Direct);
    machine.make(mutant);
    let driver = std::panic::AssertUnwindSafe(|| scenario::run(&machine, row.scenario));
    let end = match std::panic::catch_unwind(driver) {
        Ok(Ok(())) => End::Success,
        Ok(Err(error)) => {
            eclipse_kernel::log!(machine, "[ERROR] {error}");
            End::Failure
        }
        Err(_) => End::Died,
    };
    Ran { machine, end }
}

fn evidence(row: &Row, mutant: Option<Mutant>) -> Evidence {
    let Ran { machine, end } = run(row, mutant);
    let rules: Vec<_> = rules::all().collect();
    Evidence::new(&machine.entries(), &rules, end, machine.console())
}

#[test]
fn report() {
    for row in mutants::rows() {
        if std::env::var("ONLY").is_ok_and(|only| !only.split(',').any(|n| n == row.name)) {
            continue;
        }
        if matches!(row.caught, Caught::Elsewhere(_)) {
            continue;
        }
        let began = std::time::Instant::now();
        let e = evidence(&row, row.mutant);
        let right = evidence(&row, None);
        let differs = run(&row, row.mutant).machine.transcript_from(0)
            != run(&row, None).machine.transcript_from(0);
        let t = Trial::new(row.clone(), e, Some(&right));
        println!(
            "{:5} {:?} {:?} end {:?}/{:?} differs {} viol {:?} {:?} {}",
            row.name,
            t.verdict,
            row.caught,
            t.evidence.end,
            right.end,
            differs,
            t.evidence.broken,
            began.elapsed(),
            t.evidence.console.lines().next_back().unwrap_or_default()
        );
        let _ = (Substrate::Kvm, Verdict::NotHere);
    }
}
