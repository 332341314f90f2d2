use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A PCI function's address: bus, device and function number (PCI 3.0, 3.2.2.3.2).
///
/// Written and parsed as `bus:device.function` in hexadecimal: `00:04.0`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bdf {
    bus: u8,
    /// Device in bits 7:3, function in bits 2:0, as in CONFIG_ADDRESS.
    devfn: u8,
}

impl Bdf {
    /// The function `function` (0 to 7) of device `device` (0 to 31) on `bus`.
    ///
    /// # Panics
    /// `device` or `function` is out of range.
    pub const fn new(bus: u8, device: u8, function: u8) -> Self {
        assert!(device < 32 && function < 8, "no such device or function number");
        Self { bus, devfn: device << 3 | function }
    }

    /// From a bus number and the device and function bits of CONFIG_ADDRESS (15:8).
    pub const fn from_devfn(bus: u8, devfn: u8) -> Self {
        Self { bus, devfn }
    }

    /// Bus number.
    pub const fn bus(self) -> u8 {
        self.bus
    }

    /// Device number, 0 to 31.
    pub const fn device(self) -> u8 {
        self.devfn >> 3
    }

    /// Function number, 0 to 7.
    pub const fn function(self) -> u8 {
        self.devfn & 7
    }
}

impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}.{}", self.bus, self.device(), self.function())
    }
}

impl fmt::Debug for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An interrupt pin of a function, as its Interrupt Pin register numbers it (PCI 3.0, 6.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Pin {
    /// INTA#.
    A = 1,
    /// INTB#.
    B = 2,
    /// INTC#.
    C = 3,
    /// INTD#.
    D = 4,
}

impl Pin {
    /// The pins in their order.
    pub const ALL: [Self; 4] = [Self::A, Self::B, Self::C, Self::D];

    /// The pin `steps` further on, A following on D.
    pub fn rotated(self, steps: u8) -> Self {
        Self::ALL[usize::from((self as u8 - 1).wrapping_add(steps) % 4)]
    }
}

/// `inta` to `intd`.
impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Pin::A => "inta",
            Pin::B => "intb",
            Pin::C => "intc",
            Pin::D => "intd",
        })
    }
}

/// The text is not a function's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a PCI function; write bus:device.function in hexadecimal, such as 00:04.0")]
pub struct ParseBdfError(String);

impl FromStr for Bdf {
    type Err = ParseBdfError;

    fn from_str(text: &str) -> Result<Self, ParseBdfError> {
        let parse = || {
            let (bus, rest) = text.split_once(':')?;
            let (device, function) = rest.split_once('.')?;
            let number = |digits: &str, limit: u8| {
                let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
                let value = u8::from_str_radix(digits, 16).ok()?;
                (plain && value <= limit).then_some(value)
            };
            Some(Self::new(number(bus, 255)?, number(device, 31)?, number(function, 7)?))
        };
        parse().ok_or_else(|| ParseBdfError(text.into()))
    }
}

impl TryFrom<String> for Bdf {
    type Error = ParseBdfError;

    fn try_from(text: String) -> Result<Self, ParseBdfError> {
        text.parse()
    }
}

impl From<Bdf> for String {
    fn from(function: Bdf) -> Self {
        function.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_written_as_it_is_parsed() {
        for text in ["00:04.0", "ff:1f.7", "01:00.3"] {
            assert_eq!(text.parse::<Bdf>().unwrap().to_string(), text);
        }
        assert_eq!("0:4.0".parse::<Bdf>().unwrap(), Bdf::new(0, 4, 0));
    }

    #[test]
    fn what_is_no_function_is_refused_by_name() {
        for text in ["", "4", "00:20.0", "00:04.8", "100:00.0", "00:+4.0", "00:04.0 "] {
            assert_eq!(text.parse::<Bdf>(), Err(ParseBdfError(text.into())));
        }
    }
}
