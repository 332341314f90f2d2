//! Known faults of virtio block devices, by number.
//!
//! A row is data: what the device does, the schedule that makes it do so, and the
//! numbers that can be chosen. What "the second load" and the like are counted
//! from is power-on; the defaults suit a driver that initialises the device once,
//! in the order of VIRTIO 1.4, 3.1.1.

mod config;
mod device;
mod queue;
mod request;

use std::fmt;

use eclipse_trace::Setting;
use eclipse_trace::register::{BlockCfg, CommonCfg, ConfigHeader, VirtioCap};

use super::words::parse_number;
use super::{Action, Edit, Fault, RegisterName, Trigger, Value};

/// What a fault asks of a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The device attacks its driver.
    Malicious,
    /// The device is broken.
    Broken,
    /// The device is unusual and within the specification: the driver must succeed.
    Legal,
    /// No driver can defend itself.
    Undefended,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Malicious => "malicious",
            Kind::Broken => "broken",
            Kind::Legal => "legal",
            Kind::Undefended => "undefended",
        })
    }
}

/// A fault of the catalogue.
#[derive(Debug)]
pub struct Row {
    /// Its name, such as `F65`.
    pub id: &'static str,
    /// What it asks of a driver.
    pub kind: Kind,
    /// What the device does, in one sentence.
    pub what: &'static str,
    /// The numbers that can be chosen.
    pub parameters: &'static [Parameter],
    /// How it is made.
    pub build: Build,
}

/// A number of a row that can be chosen.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it is otherwise.
    pub default: u64,
    /// What it means.
    pub what: &'static str,
}

/// How a row is made.
#[derive(Clone, Copy, Debug)]
pub enum Build {
    /// By this schedule.
    Schedule(fn(&Chosen<'_>) -> Vec<Fault>),
    /// Not by a schedule, for this reason.
    No(&'static str),
}

/// The numbers that were chosen for a row.
#[derive(Debug)]
pub struct Chosen<'a> {
    row: &'a Row,
    given: Vec<(&'a str, u64)>,
}

impl Chosen<'_> {
    /// The number called `name`.
    ///
    /// # Panics
    /// The row has no such parameter.
    fn get(&self, name: &str) -> u64 {
        let default = self.row.parameters.iter().find(|parameter| parameter.name == name);
        let given = self.given.iter().rev().find(|(given, _)| *given == name);
        given.map_or_else(|| default.expect("the row has the parameter").default, |(_, n)| *n)
    }
}

/// All rows, in order.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    let mut rows: Vec<_> =
        [config::ROWS, device::ROWS, queue::ROWS, request::ROWS].into_iter().flatten().collect();
    rows.sort_by_key(|row| row.id.trim_start_matches('F').parse::<u32>().unwrap_or(u32::MAX));
    rows.into_iter()
}

/// Why a name makes no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is in no row.
    #[error("there is no fault {0:?}; `eclipse-vmm faults` lists them")]
    Unknown(String),
    /// It cannot be made here.
    #[error("{id} cannot be made: {why}")]
    Not {
        /// The row.
        id: &'static str,
        /// The reason.
        why: &'static str,
    },
    /// The row has no such number.
    #[error("{id} has no parameter {name:?}{there_are}")]
    Parameter {
        /// The row.
        id: &'static str,
        /// What was given.
        name: String,
        /// What could be.
        there_are: String,
    },
    /// It is no number.
    #[error("{0:?} is no number; write it as NAME=NUMBER")]
    Number(String),
    /// With these numbers the fault cannot strike.
    #[error("{id}: {why}")]
    Impossible {
        /// The row.
        id: &'static str,
        /// The reason.
        why: super::Impossible,
    },
}

/// The schedule of a row by its name and numbers: `F65`, `F65:id=0x10003,nth=2`.
///
/// # Errors
/// There is no such row, or it has no such number, or cannot be made.
pub fn by_name(text: &str) -> Result<Vec<Fault>, NameError> {
    let (id, numbers) = text.split_once(':').unwrap_or((text, ""));
    let row = rows().find(|row| row.id.eq_ignore_ascii_case(id));
    let row = row.ok_or_else(|| NameError::Unknown(id.into()))?;
    let mut given = Vec::new();
    for number in numbers.split(',').filter(|number| !number.is_empty()) {
        let (name, value) =
            number.split_once('=').ok_or_else(|| NameError::Number(number.into()))?;
        let parameter = row.parameters.iter().find(|parameter| parameter.name == name);
        let parameter = parameter.ok_or_else(|| {
            let names: Vec<_> = row.parameters.iter().map(|parameter| parameter.name).collect();
            let there_are = match names.is_empty() {
                true => "; it has none".into(),
                false => format!("; it has {}", names.join(", ")),
            };
            NameError::Parameter { id: row.id, name: name.into(), there_are }
        })?;
        let value = parse_number(value).ok_or_else(|| NameError::Number(number.into()))?;
        given.push((parameter.name, value));
    }
    let Build::Schedule(build) = row.build else {
        let Build::No(why) = row.build else { unreachable!("there are two") };
        return Err(NameError::Not { id: row.id, why });
    };
    let schedule: Vec<_> =
        build(&Chosen { row, given }).into_iter().map(|fault| fault.named(row.id)).collect();
    for fault in &schedule {
        fault.check().map_err(|why| NameError::Impossible { id: row.id, why })?;
    }
    Ok(schedule)
}

// What the tables are written with.

const fn row(
    id: &'static str,
    kind: Kind,
    what: &'static str,
    parameters: &'static [Parameter],
    build: fn(&Chosen<'_>) -> Vec<Fault>,
) -> Row {
    Row { id, kind, what, parameters, build: Build::Schedule(build) }
}

const fn not(id: &'static str, kind: Kind, what: &'static str, why: &'static str) -> Row {
    Row { id, kind, what, parameters: &[], build: Build::No(why) }
}

const fn number(name: &'static str, default: u64, what: &'static str) -> Parameter {
    Parameter { name, default, what }
}

/// Which completion is the first that is struck.
const NTH: Parameter = number("nth", 1, "which completion");

fn common(register: CommonCfg) -> RegisterName {
    RegisterName::Common(register)
}

fn load(register: RegisterName) -> Trigger {
    Trigger::Load(register)
}

fn store(register: RegisterName, value: u64) -> Trigger {
    Trigger::Store(register, Some(value))
}

/// From now on the register answers `value`.
fn answers(register: RegisterName, value: u64) -> Fault {
    Fault::new(load(register), Action::Alter(Value::Set(value))).from_now_on()
}

/// From now on loads of a block configuration register answer `value`.
fn block(register: BlockCfg, value: u64) -> Fault {
    answers(RegisterName::Block(register), value)
}

/// The `window`th word of features has these bits too, or with `Xor` not.
fn features(window: u64, value: Value) -> Fault {
    // 3.1.1: a driver loads window 0 and then window 1.
    Fault::new(load(common(CommonCfg::DeviceFeature)), Action::Alter(value)).nth(window + 1)
}

fn completion(action: Action) -> Fault {
    Fault::new(Trigger::Completion(None), action)
}

/// The machine is put together in another way.
fn machine(setting: Setting, value: u64) -> Fault {
    Fault::new(Trigger::Boot, Action::Machine(setting, value))
}

fn boot(edit: Edit) -> Fault {
    Fault::new(Trigger::Boot, Action::Edit(edit))
}

fn header(register: ConfigHeader, value: u64) -> Fault {
    boot(Edit::Register(RegisterName::Config(register), Value::Set(value)))
}

fn capability(cfg_type: u64, field: VirtioCap, value: u64) -> Fault {
    let register = RegisterName::VirtioCap(cfg_type as u8, field);
    boot(Edit::Register(register, Value::Set(value)))
}

/// The bytes of a virtio capability behind its ID and next pointer (VIRTIO 1.4, 4.1.4).
fn body(cfg_type: u8, bar: u8, offset: u32, length: u32, extra: Option<u32>) -> Vec<u8> {
    let cap_len = if extra.is_some() { 20 } else { 16 };
    let mut body = vec![cap_len, cfg_type, bar, 0, 0, 0];
    body.extend(offset.to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(extra.into_iter().flat_map(u32::to_le_bytes));
    body
}

/// The ID of a vendor-specific capability (PCI 3.0, appendix H).
const VENDOR_SPECIFIC: u8 = 0x09;
