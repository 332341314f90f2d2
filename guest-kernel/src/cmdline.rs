//! The command line: `scenario=NAME key=value ...`.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use crate::{
    scenario::table::{self, DEFAULT, DEVICE_KEYS, SCENARIOS, Scenario},
    virtio::transport::Signalling,
};

/// Why a command line is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A word has no `=`.
    #[error("`{0}` on the command line is not of the form key=value")]
    NotKeyValue(String),
    /// There is no such scenario.
    #[error("unknown scenario `{name}`: known are {}", known_scenarios())]
    UnknownScenario {
        /// What was asked for.
        name: String,
    },
    /// The scenario does not take the key.
    #[error("unknown key `{key}` for scenario `{}`: known are {}", scenario.name, known_keys(scenario))]
    UnknownKey {
        /// The key.
        key: String,
        /// The scenario.
        scenario: &'static Scenario,
    },
    /// A key is there twice.
    #[error("key `{0}` is given twice")]
    Twice(String),
    /// A value is not what the key takes.
    #[error("`{key}={value}`: {expected} is expected")]
    Value {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
}

fn known_scenarios() -> String {
    SCENARIOS.iter().map(|scenario| scenario.name).collect::<Vec<_>>().join(", ")
}

fn known_keys(scenario: &Scenario) -> String {
    keys(scenario).collect::<Vec<_>>().join(", ")
}

/// The keys that a scenario takes.
fn keys(scenario: &Scenario) -> impl Iterator<Item = &'static str> + use<> {
    let devices = if scenario.devices { &DEVICE_KEYS[..] } else { &[] };
    ["scenario"].into_iter().chain(scenario.keys.iter().copied()).chain(devices.iter().copied())
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine<'a> {
    /// One of [`SCENARIOS`].
    pub scenario: &'static str,
    /// `path=`: absolute.
    pub path: Option<&'a str>,
    /// `sector=`: decimal, or hexadecimal behind `0x`.
    pub sector: Option<u64>,
    /// `count=`: how many requests.
    pub count: Option<u32>,
    /// `seed=`: of what is drawn at random.
    pub seed: Option<u64>,
    /// `config=ecam`: configuration space by memory and not by ports.
    pub ecam: bool,
    /// `transport=legacy`: the legacy interface even where there is a modern one.
    pub legacy: bool,
    /// `interrupts=intx` or `none`: not by MSI-X.
    pub signalling: Signalling,
    /// `features=`: the feature bits that may be accepted.
    pub features: Option<u64>,
    /// `marks=on`: the run says of itself at the debug mark what no access shows.
    pub marks: bool,
    /// `hang=hlt`: sleep with interrupts off instead of looping.
    pub halt: bool,
    /// `kind=`: which fault.
    pub kind: Option<&'a str>,
    /// `program=`: what the user task does.
    pub program: Option<&'a str>,
    /// `mutant=`: which mistake the drivers make.
    #[cfg(feature = "mutants")]
    pub mutant: Option<crate::mutant::Mutant>,
}

impl<'a> CommandLine<'a> {
    fn new(scenario: &'static str) -> Self {
        Self {
            scenario,
            path: None,
            sector: None,
            count: None,
            seed: None,
            ecam: false,
            legacy: false,
            signalling: Signalling::Best,
            features: None,
            marks: false,
            halt: false,
            kind: None,
            program: None,
            #[cfg(feature = "mutants")]
            mutant: None,
        }
    }

    /// Parses a command line; words are separated by white space.
    ///
    /// # Errors
    /// A word, key or value is not known, or there twice.
    pub fn parse(line: &'a str) -> Result<Self, Error> {
        let scenario = scenario(line)?;
        let mut parsed = Self::new(scenario.name);
        let mut seen = Vec::new();
        for word in line.split_ascii_whitespace() {
            let (key, value) = split(word)?;
            let of_mutants = cfg!(feature = "mutants") && key == "mutant";
            if !of_mutants && !keys(scenario).any(|known| known == key) {
                return Err(Error::UnknownKey { key: key.to_string(), scenario });
            }
            if seen.contains(&key) {
                return Err(Error::Twice(key.to_string()));
            }
            seen.push(key);
            parsed.set(key, value)?;
        }
        Ok(parsed)
    }

    fn set(&mut self, key: &str, value: &'a str) -> Result<(), Error> {
        match key {
            "path" if value.starts_with('/') => self.path = Some(value),
            "path" => return Err(refused(key, value, "a path that begins with `/`")),
            "sector" => self.sector = Some(number(key, value, "a sector number")?),
            "count" => {
                let count = number(key, value, "a count from 1 to 10000000")?;
                let fits =
                    u32::try_from(count).ok().filter(|count| (1..=10_000_000).contains(count));
                let expected = "a count from 1 to 10000000";
                self.count = Some(fits.ok_or_else(|| refused(key, value, expected))?);
            }
            "seed" => self.seed = Some(number(key, value, "a number")?),
            "features" => self.features = Some(number(key, value, "a set of feature bits")?),
            "config" => self.ecam = one_of(key, value, "`cam` or `ecam`", ["cam", "ecam"])? == 1,
            "transport" => {
                let names = ["modern", "legacy"];
                self.legacy = one_of(key, value, "`modern` or `legacy`", names)? == 1;
            }
            "interrupts" => {
                let names = ["msix", "intx", "none"];
                let known = [Signalling::Best, Signalling::Line, Signalling::Polling];
                self.signalling = known[one_of(key, value, "`msix`, `intx` or `none`", names)?];
            }
            "marks" => self.marks = one_of(key, value, "`on` or `off`", ["on", "off"])? == 0,
            "hang" => self.halt = one_of(key, value, "`hlt`", ["hlt"])? == 0,
            "kind" => self.kind = Some(value),
            "program" => self.program = Some(value),
            #[cfg(feature = "mutants")]
            "mutant" => {
                let found = crate::mutant::Mutant::find(value);
                self.mutant = Some(found.ok_or_else(|| refused(key, value, "a mutant's name"))?);
            }
            // Looked at by `scenario`.
            _ => {}
        }
        Ok(())
    }
}

/// The scenario comes first, wherever it is: the other keys depend on it.
fn scenario(line: &str) -> Result<&'static Scenario, Error> {
    let mut found = None;
    for word in line.split_ascii_whitespace() {
        let (key, value) = split(word)?;
        if key == "scenario" && found.replace(value).is_some() {
            return Err(Error::Twice(key.to_string()));
        }
    }
    let name = found.unwrap_or(DEFAULT);
    table::find(name).ok_or_else(|| Error::UnknownScenario { name: name.to_string() })
}

fn split(word: &str) -> Result<(&str, &str), Error> {
    word.split_once('=').ok_or_else(|| Error::NotKeyValue(word.to_string()))
}

fn refused(key: &str, value: &str, expected: &'static str) -> Error {
    Error::Value { key: key.to_string(), value: value.to_string(), expected }
}

fn number(key: &str, value: &str, expected: &'static str) -> Result<u64, Error> {
    let parsed = match value.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => value.parse(),
    };
    parsed.map_err(|_| refused(key, value, expected))
}

/// Which of some names a value is.
fn one_of<const N: usize>(
    key: &str,
    value: &str,
    expected: &'static str,
    names: [&str; N],
) -> Result<usize, Error> {
    names.iter().position(|name| *name == value).ok_or_else(|| refused(key, value, expected))
}

#[cfg(test)]
mod tests {
    use super::CommandLine;
    use crate::virtio::transport::Signalling;

    fn error(line: &str) -> String {
        CommandLine::parse(line).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_line_is_the_default_scenario() {
        let default = CommandLine::new("boot");
        assert_eq!(CommandLine::parse(""), Ok(default.clone()));
        assert_eq!(CommandLine::parse("  \t\n"), Ok(default.clone()));
        assert_eq!(CommandLine::parse("scenario=boot"), Ok(default));
    }

    #[test]
    fn keys_come_in_any_order() {
        let parsed = CommandLine::parse("sector=0x10 scenario=read").unwrap();
        assert_eq!((parsed.scenario, parsed.sector), ("read", Some(16)));
        let parsed = CommandLine::parse("path=/a=b").unwrap();
        assert_eq!(parsed.path, Some("/a=b"));
        assert!(CommandLine::parse("scenario=hang hang=hlt").unwrap().halt);
        assert_eq!(CommandLine::parse("scenario=fault kind=null").unwrap().kind, Some("null"));
        let parsed = CommandLine::parse("scenario=user program=print path=/a").unwrap();
        assert_eq!((parsed.program, parsed.path), (Some("print"), Some("/a")));
    }

    #[test]
    fn how_devices_are_driven_can_be_chosen() {
        let parsed =
            CommandLine::parse("interrupts=intx transport=legacy config=ecam features=0x244");
        let expected = CommandLine {
            signalling: Signalling::Line,
            legacy: true,
            ecam: true,
            features: Some(0x244),
            ..CommandLine::new("boot")
        };
        assert_eq!(parsed, Ok(expected));
        assert!(CommandLine::parse("marks=on").unwrap().marks);
        assert!(!CommandLine::parse("marks=off").unwrap().marks);
        let parsed = CommandLine::parse("scenario=soak count=5 seed=0x7 interrupts=none").unwrap();
        assert_eq!((parsed.count, parsed.seed), (Some(5), Some(7)));
        assert_eq!(parsed.signalling, Signalling::Polling);
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        let names = "boot, pci, init, read, write, info, batch, bytes, discard, tasks, soak, devices, ata, ls, fsck, servers, panic, hang, fault, triple, interrupts, memory, user";
        assert_eq!(error("scenario=sing"), format!("unknown scenario `sing`: known are {names}"));
        assert_eq!(
            error("console=ttyS0"),
            "unknown key `console` for scenario `boot`: known are scenario, path, config, transport, interrupts, features, marks"
        );
        assert_eq!(
            error("scenario=panic sector=1"),
            "unknown key `sector` for scenario `panic`: known are scenario"
        );
        assert_eq!(error("quiet"), "`quiet` on the command line is not of the form key=value");
    }

    #[test]
    fn bad_values_are_refused_with_what_is_expected() {
        for value in ["", "-1", "0x", "12k", "18446744073709551616"] {
            let line = format!("scenario=read sector={value}");
            assert_eq!(error(&line), format!("`sector={value}`: a sector number is expected"));
        }
        assert_eq!(error("path=motd"), "`path=motd`: a path that begins with `/` is expected");
        assert_eq!(error("scenario=hang hang=no"), "`hang=no`: `hlt` is expected");
        assert_eq!(
            error("interrupts=msi"),
            "`interrupts=msi`: `msix`, `intx` or `none` is expected"
        );
        assert_eq!(error("transport=old"), "`transport=old`: `modern` or `legacy` is expected");
        assert_eq!(error("marks=1"), "`marks=1`: `on` or `off` is expected");
        assert_eq!(error("config=mmio"), "`config=mmio`: `cam` or `ecam` is expected");
        for count in ["0", "10000001", "x"] {
            let line = format!("scenario=soak count={count}");
            let message = format!("`count={count}`: a count from 1 to 10000000 is expected");
            assert_eq!(error(&line), message);
        }
    }

    #[test]
    fn a_key_is_given_once() {
        assert_eq!(error("scenario=boot scenario=pci"), "key `scenario` is given twice");
        assert_eq!(error("path=/a path=/b"), "key `path` is given twice");
        assert_eq!(error("scenario=hang hang=hlt hang=hlt"), "key `hang` is given twice");
    }
}
