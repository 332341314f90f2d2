//! When a device completes the requests that it took.

use std::fmt;
use std::str::FromStr;

/// When a device carries out the chains that it took at a doorbell, and gives them back.
///
/// A chain is taken at the doorbell whatever the schedule: the available ring and
/// the descriptors are read then. Its request is carried out, and the chain given
/// back, when the schedule says. What still waits when the guest halts is
/// completed then, because a guest that sleeps until the device has finished
/// would otherwise sleep for ever.
///
/// A schedule is a function of what the guest does and of a seed, never of time,
/// so it repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Completion {
    /// Before the store to the doorbell is complete.
    #[default]
    Immediate,
    /// After this many further accesses of the guest.
    After(u64),
    /// When the guest halts.
    Halt,
    /// When this many are waiting, in the order in which they were taken.
    Batch(u16),
    /// In reverse order, when so many are waiting; `None`: when the guest halts.
    Reverse(Option<u16>),
    /// In an order drawn from the seed, when so many are waiting; `None`: when the guest halts.
    Shuffle {
        /// Seeds SplitMix64, which is the same everywhere.
        seed: u64,
        /// How many make a batch.
        batch: Option<u16>,
    },
}

impl Completion {
    /// How [`FromStr`] takes them.
    pub const FORMS: &'static str =
        "immediate, after:N, halt, batch:K, reverse[:K], shuffle:SEED[:K]";

    /// How many chains make a batch; `None`: as many as there are when the guest halts.
    fn batch(self) -> Option<usize> {
        match self {
            Self::Immediate | Self::After(_) | Self::Halt => None,
            Self::Batch(batch) => Some(batch.into()),
            Self::Reverse(batch) | Self::Shuffle { batch, .. } => batch.map(usize::from),
        }
    }
}

impl fmt::Display for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Immediate => f.write_str("immediate"),
            Self::After(exits) => write!(f, "after:{exits}"),
            Self::Halt => f.write_str("halt"),
            Self::Batch(batch) => write!(f, "batch:{batch}"),
            Self::Reverse(None) => f.write_str("reverse"),
            Self::Reverse(Some(batch)) => write!(f, "reverse:{batch}"),
            Self::Shuffle { seed, batch: None } => write!(f, "shuffle:{seed}"),
            Self::Shuffle { seed, batch: Some(batch) } => write!(f, "shuffle:{seed}:{batch}"),
        }
    }
}

impl FromStr for Completion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split(':');
        let name = words.next().unwrap_or_default();
        let mut numbers = words.map(|word| {
            let number = word.parse::<u64>();
            number.map_err(|_| format!("{word:?} in {text:?} is no number"))
        });
        let mut number = || numbers.next().transpose();
        let batch = |number: u64| match u16::try_from(number) {
            Ok(batch) if batch > 0 => Ok(batch),
            _ => Err(format!("{number} requests make no batch; 1 to 65535 do")),
        };
        let missing = || format!("{name:?} needs a number, as in {name}:2");
        let completion = match name {
            "immediate" => Self::Immediate,
            "halt" => Self::Halt,
            "after" => match number()?.ok_or_else(missing)? {
                0 => return Err("after:0 is immediate".into()),
                exits => Self::After(exits),
            },
            "batch" => Self::Batch(batch(number()?.ok_or_else(missing)?)?),
            "reverse" => Self::Reverse(number()?.map(batch).transpose()?),
            "shuffle" => Self::Shuffle {
                seed: number()?.ok_or_else(missing)?,
                batch: number()?.map(batch).transpose()?,
            },
            _ => {
                return Err(format!(
                    "there is no completion schedule {text:?}; there are: {}",
                    Self::FORMS
                ));
            }
        };
        match numbers.next() {
            None => Ok(completion),
            Some(_) => Err(format!("{text:?} has a number too many; there are: {}", Self::FORMS)),
        }
    }
}

/// Why a device looks whether something is to be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// It took chains.
    Doorbell,
    /// An access of the guest is over.
    Exit,
    /// The guest halted.
    Halt,
}

/// What was taken and waits for its completion, in the order in which it was taken.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    completion: Completion,
    random: SplitMix64,
    items: Vec<Item<T>>,
}

#[derive(Debug)]
struct Item<T> {
    what: T,
    /// Under `After`: how many accesses are still to end, the one that rang among them.
    exits: u64,
}

impl<T> Waiting<T> {
    pub(crate) fn new(completion: Completion) -> Self {
        let seed = match completion {
            Completion::Shuffle { seed, .. } => seed,
            _ => 0,
        };
        Self { completion, random: SplitMix64(seed), items: Vec::new() }
    }

    /// As after power-on: nothing waits, and the next order is the first one again.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.completion);
    }

    /// Drops what waits and is not to be completed any more.
    pub(crate) fn forget(&mut self, what: impl Fn(&T) -> bool) {
        self.items.retain(|item| !what(&item.what));
    }

    /// Whether what is taken has to wait at all.
    pub(crate) fn defers(&self) -> bool {
        self.completion != Completion::Immediate
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// What waits, in the order in which it was taken.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|item| &item.what)
    }

    pub(crate) fn push(&mut self, what: T) {
        let exits = match self.completion {
            Completion::After(exits) => exits.saturating_add(1),
            _ => 0,
        };
        self.items.push(Item { what, exits });
    }

    /// An access ended.
    pub(crate) fn count_exit(&mut self) {
        for item in &mut self.items {
            item.exits = item.exits.saturating_sub(1);
        }
    }

    /// The next batch that is due, in the order in which it is to be completed;
    /// `None` when there is none (any more).
    ///
    /// With `in_order` that is the order in which it was taken, whatever the
    /// schedule: so the device has promised by IN_ORDER (VIRTIO 1.4, 6.2).
    pub(crate) fn due(&mut self, occasion: Occasion, in_order: bool) -> Option<Vec<T>> {
        let ripe = match (self.completion, occasion) {
            (Completion::After(_), Occasion::Exit) => {
                self.items.iter().take_while(|item| item.exits == 0).count()
            }
            (_, Occasion::Halt) => self.items.len(),
            (completion, Occasion::Doorbell) => {
                completion.batch().filter(|batch| *batch <= self.items.len()).unwrap_or(0)
            }
            (_, Occasion::Exit) => 0,
        };
        if ripe == 0 {
            return None;
        }
        let ripe = self.completion.batch().map_or(ripe, |batch| batch.min(ripe));
        let mut batch: Vec<_> = self.items.drain(..ripe).map(|item| item.what).collect();
        match self.completion {
            _ if in_order => {}
            Completion::Reverse(_) => batch.reverse(),
            Completion::Shuffle { .. } => self.random.shuffle(&mut batch),
            _ => {}
        }
        Some(batch)
    }
}

/// A small generator of pseudo-random numbers that is the same everywhere.
///
/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", 2014): the state grows by the golden ratio, and a finaliser with
/// full avalanche makes the number from it.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::GOLDEN_RATIO);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Fisher and Yates: from the last place down, each takes one of those up to it.
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let chosen = self.next() % (last as u64 + 1);
            items.swap(last, chosen as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_reads_as_it_is_written() {
        for text in [
            "immediate",
            "after:3",
            "halt",
            "batch:4",
            "reverse",
            "reverse:2",
            "shuffle:7",
            "shuffle:18446744073709551615:3",
        ] {
            assert_eq!(text.parse::<Completion>().map(|c| c.to_string()), Ok(text.to_string()));
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_the_reason() {
        let refused = |text: &str| text.parse::<Completion>().unwrap_err();
        assert_eq!(refused("after:0"), "after:0 is immediate");
        assert_eq!(refused("batch"), "\"batch\" needs a number, as in batch:2");
        assert_eq!(refused("batch:0"), "0 requests make no batch; 1 to 65535 do");
        assert_eq!(refused("shuffle:x"), "\"x\" in \"shuffle:x\" is no number");
        assert!(refused("halt:1").starts_with("\"halt:1\" has a number too many"));
        assert!(refused("later").ends_with(Completion::FORMS));
        assert!(refused("").starts_with("there is no completion schedule \"\""));
    }

    #[test]
    fn the_generator_is_the_published_one() {
        // The first numbers of the reference implementation with seed 1234567.
        let mut random = SplitMix64(1_234_567);
        let numbers = [random.next(), random.next(), random.next()];
        assert_eq!(
            numbers,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    fn waiting(completion: Completion, count: u32) -> Waiting<u32> {
        let mut waiting = Waiting::new(completion);
        (0..count).for_each(|item| waiting.push(item));
        waiting
    }

    #[test]
    fn a_batch_is_due_when_it_is_full_and_the_rest_when_the_guest_halts() {
        let mut waiting = waiting(Completion::Reverse(Some(2)), 5);
        assert_eq!(waiting.due(Occasion::Exit, false), None);
        assert_eq!(waiting.due(Occasion::Doorbell, false), Some(vec![1, 0]));
        assert_eq!(waiting.due(Occasion::Doorbell, false), Some(vec![3, 2]));
        assert_eq!(waiting.due(Occasion::Doorbell, false), None);
        assert_eq!(waiting.due(Occasion::Halt, false), Some(vec![4]));
        assert_eq!(waiting.due(Occasion::Halt, false), None);
    }

    #[test]
    fn what_waits_for_accesses_does_not_count_the_one_that_rang() {
        let mut waiting = waiting(Completion::After(1), 1);
        waiting.count_exit();
        assert_eq!(waiting.due(Occasion::Exit, false), None);
        waiting.push(1);
        waiting.count_exit();
        assert_eq!(waiting.due(Occasion::Exit, false), Some(vec![0]));
        assert_eq!(waiting.due(Occasion::Halt, false), Some(vec![1]));
    }

    #[test]
    fn a_shuffled_order_comes_from_the_seed_and_has_everything_once() {
        let order = |seed| {
            let completion = Completion::Shuffle { seed, batch: None };
            waiting(completion, 8).due(Occasion::Halt, false).unwrap()
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        let mut sorted = order(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..8).collect::<Vec<_>>());
    }
}
