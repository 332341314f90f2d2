//! Drivers that are wrong on purpose, and what must notice each of them.
//!
//! A judge that finds nothing wrong is right or blind. So there is a row for each mistake that
//! a driver can be told to make ([`Mutant`]): what the guest is booted for, on which machine,
//! what the device does to it, what is watched, and which rule must say so. What the
//! specification leaves to a driver is a row too, in which no rule may find anything.

mod devices;
mod legal;
mod less_common;
mod life;
mod pci;
mod rings;
mod setup;
mod trial;

use std::fmt;

use eclipse_kernel::mutant::Mutant;

pub use devices::{Devices, faults};
pub use trial::{Evidence, Trial, Verdict, rules, run, watching};

/// What must notice a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caught {
    /// The rule of this name.
    Rule(&'static str),
    /// The guest's own check: it says these words.
    Guest(&'static str),
    /// The guest's own check: it says nothing of what a right driver says in these words.
    Silence(&'static str),
    /// The number of notifications, which is more than that of a right driver. No clause forbids
    /// it.
    Notifications,
    /// Nothing: it is allowed.
    Nothing,
    /// It cannot be shown by a run, for this reason; what shows it stands there too.
    Elsewhere(&'static str),
}

impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(id) => f.pad(id),
            Self::Guest(_) => f.pad("the guest"),
            Self::Silence(_) => f.pad("the guest's silence"),
            Self::Notifications => f.pad("the count"),
            Self::Nothing => f.pad("nothing"),
            Self::Elsewhere(_) => f.pad("elsewhere"),
        }
    }
}

/// What a mistake needs to be seen in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Substrate {
    /// A guest on KVM, and loopback.
    Either,
    /// A guest on KVM: it takes a processor that sleeps, or memory that is watched.
    Kvm,
    /// Loopback, for what takes more requests than a guest makes in a second.
    Loopback,
}

/// A driver, and what must notice its mistake.
#[derive(Clone, Debug)]
pub struct Row {
    /// The name: the mutant's, or that of a run of the driver as it is.
    pub name: &'static str,
    /// The mistake; `None` for the driver as it is.
    pub mutant: Option<Mutant>,
    /// What the guest is booted for.
    pub scenario: &'static str,
    /// Its devices.
    pub devices: Devices,
    /// What the device does, by names of the catalogue of faults with `+` between them.
    pub faults: &'static str,
    /// What of the guest's memory is watched, as `run --watch` has it.
    pub watch: &'static str,
    /// Where it can be seen.
    pub substrate: Substrate,
    /// What must notice it.
    pub caught: Caught,
}

impl Row {
    /// The guest's command line.
    pub fn command_line(&self) -> String {
        match self.mutant {
            Some(mutant) => format!("{} mutant={}", self.scenario, mutant.name()),
            None => self.scenario.into(),
        }
    }

    /// The stimulus in a few words; empty where there is none.
    pub fn stimulus(&self) -> String {
        let devices = self.devices.to_string();
        let parts = [self.faults, self.watch, &devices];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(" ")
    }

    // What the tables are written with.

    const fn fault(self, faults: &'static str) -> Self {
        Self { faults, ..self }
    }

    const fn watch(self, watch: &'static str) -> Self {
        Self { watch, ..self }
    }

    const fn on(self, devices: Devices) -> Self {
        Self { devices, ..self }
    }

    const fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    const fn on_kvm(self) -> Self {
        Self { substrate: Substrate::Kvm, ..self }
    }

    const fn in_loopback(self) -> Self {
        Self { substrate: Substrate::Loopback, ..self }
    }
}

/// A row for a mistake that `caught` must notice when the guest is booted for `scenario`.
const fn row(mutant: Mutant, scenario: &'static str, caught: Caught) -> Row {
    Row { mutant: Some(mutant), ..driver("", scenario).caught_by(caught) }
}

/// A row for the driver as it is.
const fn driver(name: &'static str, scenario: &'static str) -> Row {
    Row {
        name,
        mutant: None,
        scenario,
        devices: Devices::MODERN,
        faults: "",
        watch: "",
        substrate: Substrate::Either,
        caught: Caught::Nothing,
    }
}

impl Row {
    const fn caught_by(self, caught: Caught) -> Self {
        Self { caught, ..self }
    }
}

/// Starts the device and reads a block.
const INIT: &str = "scenario=init";
/// Reads a sector, too.
const READ: &str = "scenario=read sector=9";
/// Writes a sector, too, and flushes.
const WRITE: &str = "scenario=write";
/// Reads blocks by requests that are in flight together.
const BATCH: &str = "scenario=batch count=4";

/// All rows: the mistakes in the order of their names, then what is allowed.
pub fn rows() -> Vec<Row> {
    let tables = [pci::ROWS, setup::ROWS, rings::ROWS, life::ROWS, less_common::ROWS, legal::ROWS];
    let named = |row: &Row| {
        let own = row.mutant.filter(|_| row.name.is_empty()).map(Mutant::name);
        Row { name: own.unwrap_or(row.name), ..row.clone() }
    };
    tables.into_iter().flatten().map(named).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_mistake_has_a_row() {
        let mut names = BTreeSet::new();
        for row in rows() {
            assert!(names.insert(row.name), "{} twice", row.name);
        }
        let distinct: BTreeSet<_> = rows().into_iter().filter_map(|row| row.mutant).collect();
        for mutant in Mutant::ALL {
            assert!(distinct.contains(mutant), "{} has no row", mutant.name());
        }
    }

    #[test]
    fn what_is_allowed_is_caught_by_nothing_and_no_mistake_is() {
        for row in rows() {
            let legal = row.mutant.is_none_or(Mutant::is_legal);
            assert_eq!(legal, row.caught == Caught::Nothing, "{}", row.name);
        }
    }

    #[test]
    fn the_stimuli_are_in_the_catalogue_of_faults() {
        for row in rows() {
            devices::faults(row.faults).unwrap_or_else(|error| panic!("{}: {error}", row.name));
            trial::watching(row.watch).unwrap_or_else(|error| panic!("{}: {error}", row.name));
        }
    }
}
