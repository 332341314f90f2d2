//! The images: the ordinary one has nothing of the mutants, and theirs runs on KVM.

use std::path::PathBuf;

use eclipse_tests::kvm;
use eclipse_trace::rules;
use eclipse_vmm::mutants::{self, Verdict};
use eclipse_vmm::{Outcome, image};

/// What the command line says of a mutant that is none.
const WORDS: &[u8] = b"a mutant's name";
/// What the ordinary image may have.
const MOST: usize = 409_600;

fn has(image: &[u8], words: &[u8]) -> bool {
    image.windows(words.len()).any(|window| window == words)
}

#[test]
fn the_ordinary_image_has_nothing_of_the_mutants() {
    assert!(has(image::MUTANTS, WORDS));
    assert!(!has(image::IMAGE, WORDS));
    assert!(image::IMAGE.len() <= MOST, "{} bytes", image::IMAGE.len());
}

#[test]
fn the_ordinary_image_refuses_to_make_a_mistake() {
    let run = kvm::boot("scenario=init mutant=M31");
    let console = String::from_utf8_lossy(&run.console).into_owned();
    assert_eq!(run.outcome, Outcome::Failure(0x11), "{console}");
    assert!(console.contains("unknown key `mutant` for scenario `init`"), "{console}");
}

#[test]
fn mutants_are_noticed_on_kvm() {
    let rules: Vec<_> = rules::all().collect();
    let some = ["M03", "M31", "M87", "M91", "M135", "M137", "M138", "M139", "L08", "boot"];
    for row in mutants::rows().into_iter().filter(|row| some.contains(&row.name)) {
        let trial = mutants::run(&row, &rules, &PathBuf::from("/dev/kvm"));
        let trial = trial.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(trial.verdict, Verdict::AsExpected, "{}: {:?}", row.name, trial.evidence);
    }
}
