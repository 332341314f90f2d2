//! The same accesses on two substrates, answer by answer.

use std::fmt::Write as _;

use eclipse_devices::Space;

use crate::substrate::Substrate;

/// A place where two devices are meant to differ.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// The answers that it is about; `*` stands for any text, `[ab]` for `a` or `b`.
    pub at: &'static str,
    /// What ours answers there.
    pub ours: Ours,
    /// Why, with the clause that says so.
    pub why: &'static str,
}

/// What is right at a [`Difference`].
#[derive(Clone, Copy, Debug)]
pub enum Ours {
    /// This.
    Is(u64),
    /// All ones of some width: nothing answers.
    AllOnes,
    /// What is answered without the store, whose name follows ` <- `.
    Kept,
    /// Anything: the two are different devices in this.
    Own,
}

impl Ours {
    fn admits(self, name: &str, value: u64, answers: &[(String, u64)]) -> bool {
        match self {
            Ours::Is(right) => value == right,
            Ours::AllOnes => [8, 16, 32, 64].iter().any(|bits| value == u64::MAX >> (64 - bits)),
            Ours::Kept => {
                let (before, _) = name.split_once(" <- ").unwrap_or((name, ""));
                answers.iter().any(|(name, kept)| name == before && *kept == value)
            }
            Ours::Own => true,
        }
    }
}

/// Plays accesses on one substrate and notes what was answered.
pub struct Player<'a> {
    machine: &'a dyn Substrate,
    answers: Vec<(String, u64)>,
}

impl<'a> Player<'a> {
    /// Nothing played yet.
    pub fn new(machine: &'a dyn Substrate) -> Self {
        Self { machine, answers: Vec::new() }
    }

    /// The machine, for what is not to be compared.
    pub fn machine(&self) -> &'a dyn Substrate {
        self.machine
    }

    /// Notes an answer.
    pub fn note(&mut self, name: impl Into<String>, value: u64) {
        self.answers.push((name.into(), value));
    }

    /// Loads, and notes what was answered.
    pub fn load(&mut self, name: impl Into<String>, space: Space, address: u64, width: u8) -> u64 {
        let value = self.machine.load(space, address, width);
        self.note(name, value);
        value
    }

    /// Stores.
    pub fn store(&self, space: Space, address: u64, width: u8, value: u64) {
        self.machine.store(space, address, width, value);
    }

    /// The answers, in their order.
    pub fn answers(self) -> Vec<(String, u64)> {
        self.answers
    }
}

/// A number that tells two contents apart (FNV-1a), to be noted in their stead.
pub fn checksum(bytes: &[u8]) -> u64 {
    let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, add)
}

/// Compares the answers of two players, and fails unless exactly the differences
/// of the table are found: none that it does not have, and each that it has.
///
/// # Panics
/// With every answer that differs and is not in the table, and every row of the
/// table that no answer needs.
pub fn compare(ours: &[(String, u64)], theirs: &[(String, u64)], table: &[Difference]) {
    let mut report = String::new();
    let mut met = vec![false; table.len()];
    for ((name, our), (their_name, their)) in ours.iter().zip(theirs) {
        assert_eq!(name, their_name, "the two were played otherwise");
        if our == their {
            continue;
        }
        let meant = |row: &Difference| matches(row.at, name) && row.ours.admits(name, *our, ours);
        match table.iter().position(meant) {
            Some(row) => met[row] = true,
            None => {
                let _ = writeln!(report, "{name}: ours {our:#x}, theirs {their:#x}");
            }
        }
    }
    assert_eq!(ours.len(), theirs.len(), "one was played further than the other");
    for (row, _) in table.iter().zip(met).filter(|(_, met)| !met) {
        let _ = writeln!(report, "nothing differs any more at {:?}", row.at);
    }
    assert!(report.is_empty(), "{} answers were compared\n{report}", ours.len());
}

/// Whether `name` is `pattern`, in which `*` stands for any text and `[ab]` for
/// one of the characters in it.
fn matches(pattern: &str, name: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = rest.as_str();
            name.char_indices().any(|(cut, _)| matches(rest, &name[cut..])) || matches(rest, "")
        }
        Some('[') => {
            let (set, rest) = rest.as_str().split_once(']').expect("a set ends with ]");
            name.chars().next().is_some_and(|first| {
                set.contains(first) && matches(rest, &name[first.len_utf8()..])
            })
        }
        Some(first) => name.strip_prefix(first).is_some_and(|name| matches(rest.as_str(), name)),
    }
}
