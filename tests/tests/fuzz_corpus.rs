//! The fuzzers' corpora, in an ordinary test: no panic, no unbounded work, no DMA
//! that was not allowed.

use std::fs;
use std::path::Path;

use eclipse_tests::fuzz;

/// Runs `entry` over `corpus/NAME`, and over the first half of each file in it.
fn run(name: &str, entry: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files = 0;
    for file in fs::read_dir(&folder).expect("the corpus is there") {
        let input = fs::read(file.expect("the corpus is there").path()).expect("it is a file");
        entry(&input);
        entry(&input[..input.len() / 2]);
        files += 1;
    }
    assert!(files > 0, "{} is empty", folder.display());
    entry(&[]);
}

#[test]
fn bus_accesses_break_no_promise() {
    run("bus", fuzz::bus);
}

#[test]
fn queue_memory_breaks_no_promise() {
    run("queue", fuzz::queue);
}
