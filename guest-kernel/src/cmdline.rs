//! The command line: `scenario=NAME key=value ...`.

use alloc::string::{String, ToString};

use crate::scenario::{DEFAULT, NAMES};

/// Why a command line is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A word has no `=`.
    #[error("`{0}` on the command line is not of the form key=value")]
    NotKeyValue(String),
    /// There is no such scenario.
    #[error("unknown scenario `{name}`: known are {}", List(&NAMES))]
    UnknownScenario {
        /// What was asked for.
        name: String,
    },
    /// The scenario does not take the key.
    #[error("unknown key `{key}` for scenario `{scenario}`: known are {}", List(known))]
    UnknownKey {
        /// The key.
        key: String,
        /// The scenario.
        scenario: &'static str,
        /// The keys that it takes.
        known: &'static [&'static str],
    },
    /// A key is there twice.
    #[error("key `{0}` is given twice")]
    Twice(String),
    /// A value is not what the key takes.
    #[error("`{key}={value}`: {expected} is expected")]
    Value {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
}

/// Names, separated by commas.
struct List<'a>(&'a [&'static str]);

impl core::fmt::Display for List<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (position, name) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine<'a> {
    /// One of [`NAMES`].
    pub scenario: &'static str,
    /// `path=`: the file to print, absolute.
    pub path: Option<&'a str>,
    /// `sector=`: decimal, or hexadecimal behind `0x`.
    pub sector: Option<u64>,
    /// `hang=hlt`: sleep with interrupts off instead of looping.
    pub halt: bool,
}

/// The keys that a scenario takes.
fn keys(scenario: &str) -> &'static [&'static str] {
    match scenario {
        "boot" => &["scenario", "path"],
        "read" | "write" => &["scenario", "sector"],
        "hang" => &["scenario", "hang"],
        _ => &["scenario"],
    }
}

impl<'a> CommandLine<'a> {
    /// Parses a command line; words are separated by white space.
    ///
    /// # Errors
    /// A word, key or value is not known, or there twice.
    pub fn parse(line: &'a str) -> Result<Self, Error> {
        let scenario = scenario(line)?;
        let mut parsed = Self { scenario, path: None, sector: None, halt: false };
        for word in line.split_ascii_whitespace() {
            let (key, value) = split(word)?;
            if !keys(scenario).contains(&key) {
                return Err(Error::UnknownKey {
                    key: key.to_string(),
                    scenario,
                    known: keys(scenario),
                });
            }
            let twice = match key {
                "path" => parsed.path.replace(path(value)?).is_some(),
                "sector" => parsed.sector.replace(sector(value)?).is_some(),
                "hang" => core::mem::replace(&mut parsed.halt, hang(value)?),
                // Looked at by `scenario`.
                _ => false,
            };
            if twice {
                return Err(Error::Twice(key.to_string()));
            }
        }
        Ok(parsed)
    }
}

/// The scenario comes first, wherever it is: the other keys depend on it.
fn scenario(line: &str) -> Result<&'static str, Error> {
    let mut found = None;
    for word in line.split_ascii_whitespace() {
        let (key, value) = split(word)?;
        if key == "scenario" && found.replace(value).is_some() {
            return Err(Error::Twice(key.to_string()));
        }
    }
    let name = found.unwrap_or(DEFAULT);
    let known = NAMES.into_iter().find(|known| *known == name);
    known.ok_or_else(|| Error::UnknownScenario { name: name.to_string() })
}

fn split(word: &str) -> Result<(&str, &str), Error> {
    word.split_once('=').ok_or_else(|| Error::NotKeyValue(word.to_string()))
}

fn path(value: &str) -> Result<&str, Error> {
    if value.starts_with('/') {
        return Ok(value);
    }
    Err(Error::Value {
        key: "path",
        value: value.to_string(),
        expected: "a path that begins with `/`",
    })
}

fn sector(value: &str) -> Result<u64, Error> {
    let parsed = match value.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => value.parse(),
    };
    parsed.map_err(|_| Error::Value {
        key: "sector",
        value: value.to_string(),
        expected: "a sector number",
    })
}

fn hang(value: &str) -> Result<bool, Error> {
    if value == "hlt" {
        return Ok(true);
    }
    Err(Error::Value { key: "hang", value: value.to_string(), expected: "`hlt`" })
}

#[cfg(test)]
mod tests {
    use super::CommandLine;

    fn error(line: &str) -> String {
        CommandLine::parse(line).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_line_is_the_default_scenario() {
        let default = CommandLine { scenario: "boot", path: None, sector: None, halt: false };
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
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        let names = "boot, pci, init, read, write, panic, hang, fault, triple";
        assert_eq!(error("scenario=sing"), format!("unknown scenario `sing`: known are {names}"));
        assert_eq!(
            error("console=ttyS0"),
            "unknown key `console` for scenario `boot`: known are scenario, path"
        );
        assert_eq!(
            error("scenario=pci sector=1"),
            "unknown key `sector` for scenario `pci`: known are scenario"
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
    }

    #[test]
    fn a_key_is_given_once() {
        assert_eq!(error("scenario=boot scenario=pci"), "key `scenario` is given twice");
        assert_eq!(error("path=/a path=/b"), "key `path` is given twice");
        assert_eq!(error("scenario=hang hang=hlt hang=hlt"), "key `hang` is given twice");
    }
}
