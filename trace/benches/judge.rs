//! What judging costs: `cargo bench -p eclipse-trace`.
//!
//! What is promised for one core, and the rows that show it:
//!
//! | promise | rows |
//! |---|---|
//! | an event costs 300 ns at most | `judge one event`: the time of a whole transcript, by its entries |
//!
//! Each transcript is of a whole run of the embedded guest, `rip`s and all: `boot` without
//! options, `rings` with `--watch rings`, `soak` with `--cmdline "scenario=soak count=300"`.
//! A judge is set up once a run, and has a row of its own.

use std::hint::black_box;
use std::io::Read;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use eclipse_trace::jsonl::{self, Recording};
use eclipse_trace::rules::{End, Judge};
use flate2::read::GzDecoder;

fn transcript(packed: &[u8]) -> Recording {
    let mut text = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut text).expect("it is in the source tree");
    jsonl::read(&text[..]).expect("a recorder wrote it")
}

fn judge(c: &mut Criterion) {
    c.bench_function("set up a judge", |b| b.iter(Judge::new));
    let mut group = c.benchmark_group("judge one event");
    for (name, packed) in [
        ("boot", include_bytes!("data/boot.jsonl.gz").as_slice()),
        ("rings", include_bytes!("data/rings.jsonl.gz")),
        ("soak", include_bytes!("data/soak.jsonl.gz")),
    ] {
        let entries = transcript(packed).entries;
        let count = u32::try_from(entries.len()).expect("a short one");
        group.bench_function(name, |b| {
            b.iter_custom(|repetitions| {
                let mut spent = Duration::ZERO;
                for _ in 0..repetitions {
                    let mut judge = Judge::new();
                    let start = Instant::now();
                    for entry in &entries {
                        judge.see(black_box(entry));
                    }
                    spent += start.elapsed();
                    let report = judge.finish(End::Success);
                    assert!(report.findings.is_empty(), "the embedded driver keeps every rule");
                }
                spent / count
            });
        });
    }
    group.finish();
}

criterion_group!(benches, judge);
criterion_main!(benches);
