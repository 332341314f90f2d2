use std::ops::Range;

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};
use eclipse_trace::RequestKind;

use super::register::capability;
use super::{Action, Area, Edit, Fault, Field, Place, Trigger, Value, Vector};

/// What is wrong, and the bytes of the file that say it.
pub(super) struct At(pub(super) Range<usize>, pub(super) String);

type Item<'a, 'i> = &'a Spanned<DeValue<'i>>;

/// A table, of which every entry is to be understood.
pub(super) struct Reader<'a, 'i> {
    table: &'a DeTable<'i>,
    span: Range<usize>,
}

impl<'a, 'i> Reader<'a, 'i> {
    pub(super) fn new(item: Item<'a, 'i>) -> Result<Self, At> {
        match item.get_ref() {
            DeValue::Table(table) => Ok(Self { table, span: item.span() }),
            other => Err(At(item.span(), format!("a table is wanted, not {}", kind(other)))),
        }
    }

    fn get(&self, key: &str) -> Option<Item<'a, 'i>> {
        self.table.get(key)
    }

    /// Refuses entries that are none of `known`.
    fn only(&self, known: &[&str]) -> Result<(), At> {
        match self.table.keys().find(|key| !known.contains(&key.get_ref().as_ref())) {
            None => Ok(()),
            Some(key) => {
                let what =
                    format!("there is no {:?}; there are {}", key.get_ref(), known.join(", "));
                Err(At(key.span(), what))
            }
        }
    }

    /// The one entry of `known` that there is, beside `others`.
    fn one(
        &self,
        known: &[&'static str],
        others: &[&str],
    ) -> Result<(&'static str, Item<'a, 'i>), At> {
        self.only(&[known, others].concat())?;
        let mut found = known.iter().filter_map(|key| Some((*key, self.get(key)?)));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some((key, item))) => Err(At(
                item.span(),
                format!("{key:?} is one thing too many; make two faults of it"),
            )),
            (None, _) => {
                Err(At(self.span.clone(), format!("one of these is wanted: {}", known.join(", "))))
            }
        }
    }

    fn table(&self, key: &str) -> Result<Reader<'a, 'i>, At> {
        let item = self
            .get(key)
            .ok_or_else(|| At(self.span.clone(), format!("a fault needs `{key} = {{ ... }}`")))?;
        Reader::new(item)
    }

    pub(super) fn fault(&self) -> Result<Fault, At> {
        self.only(&["name", "device", "on", "do", "limit"])?;
        let (on, does) = (self.table("on")?, self.table("do")?);
        let mut fault = Fault::new(on.trigger()?, does.action()?);
        if let Some(nth) = on.get("nth") {
            fault.nth = number(nth)?;
        }
        if let Some(name) = self.get("name") {
            fault.name = Some(text(name)?.into());
        }
        if let Some(device) = self.get("device") {
            fault.device = word(device)?;
        }
        if let Some(limit) = self.get("limit") {
            fault.limit = match limit.get_ref().as_str() {
                Some("from now on") => None,
                Some(_) => {
                    return Err(At(limit.span(), "a limit is a number or \"from now on\"".into()));
                }
                None => Some(number(limit)?),
            };
        }
        fault.check().map_err(|impossible| At(does.span.clone(), impossible.to_string())).map_err(
            |At(span, what)| {
                let on_its_own = Fault { action: Action::NoInterrupt, ..fault.clone() };
                let trigger = on_its_own.check().is_err() && fault.trigger != Trigger::Boot;
                At(if trigger { on.span.clone() } else { span }, what)
            },
        )?;
        Ok(fault)
    }

    fn trigger(&self) -> Result<Trigger, At> {
        const KEYS: [&str; 9] = [
            "boot",
            "load",
            "store",
            "config_load",
            "notify",
            "completion",
            "ring_load",
            "exit",
            "halt",
        ];
        let (key, item) = self.one(&KEYS, &["nth", "value"])?;
        if let (Some(value), false) = (self.get("value"), key == "store") {
            return Err(At(value.span(), "only a store has a value".into()));
        }
        Ok(match key {
            "boot" => yes(item, Trigger::Boot)?,
            "load" => Trigger::Load(word(item)?),
            "store" => Trigger::Store(word(item)?, self.get("value").map(number).transpose()?),
            "config_load" => Trigger::ConfigLoad(small(item)?),
            "notify" => Trigger::Notify(small(item)?),
            "completion" => Trigger::Completion(request(item)?),
            "ring_load" => {
                let (area, offset) = place_in_ring(item)?;
                Trigger::RingLoad(area, offset as u16)
            }
            "exit" => yes(item, Trigger::Exit)?,
            _ => yes(item, Trigger::Halt)?,
        })
    }

    fn action(&self) -> Result<Action, At> {
        if self.get("used_id").is_some() || self.get("used_len").is_some() {
            self.only(&["used_id", "used_len"])?;
            let value = |key| self.get(key).map(value).transpose();
            return Ok(Action::UsedElement { id: value("used_id")?, len: value("used_len")? });
        }
        const KEYS: [&str; 30] = [
            "return",
            "xor",
            "or",
            "and",
            "add",
            "stick",
            "ignore",
            "remove",
            "used_idx",
            "no_used_element",
            "status",
            "no_status",
            "no_data",
            "lose",
            "drop",
            "delay",
            "swap",
            "duplicate",
            "interrupt",
            "no_interrupt",
            "memory",
            "descriptor",
            "needs_reset",
            "poll",
            "capacity",
            "edit",
            "offset",
            "unlink",
            "prepend",
            "append",
        ];
        let (key, item) = self.one(&KEYS, &["bytes", "value", "field", "used_id", "used_len"])?;
        let extra: &[&str] = match key {
            "memory" | "offset" | "prepend" | "append" => &["bytes"],
            "descriptor" => &["field", "value"],
            "edit" => &["value"],
            _ => &[],
        };
        self.only(&[&[key][..], extra].concat())?;
        Ok(match key {
            "return" => Action::Alter(Value::Set(number(item)?)),
            "xor" => Action::Alter(Value::Xor(number(item)?)),
            "or" => Action::Alter(Value::Or(number(item)?)),
            "and" => Action::Alter(Value::And(number(item)?)),
            "add" => Action::Alter(Value::Add(number(item)? as i64)),
            "stick" => yes(item, Action::Stick)?,
            "ignore" => yes(item, Action::Ignore)?,
            "remove" => yes(item, Action::Remove)?,
            "used_idx" => Action::UsedIdx(value(item)?),
            "no_used_element" => yes(item, Action::NoUsedElement)?,
            "status" => Action::Status(Some(value(item)?)),
            "no_status" => yes(item, Action::Status(None))?,
            "no_data" => yes(item, Action::NoData)?,
            "lose" => Action::Lose { kept: number(item)? },
            "drop" => yes(item, Action::Drop)?,
            "delay" => Action::Delay(number(item)?),
            "swap" => yes(item, Action::Swap)?,
            "duplicate" => Action::Duplicate(number(item)?),
            "interrupt" => Action::Interrupt(vector(item)?),
            "no_interrupt" => yes(item, Action::NoInterrupt)?,
            "memory" => Action::Memory { at: place(item)?, bytes: self.bytes()? },
            "descriptor" => Action::Descriptor {
                index: small(item)?,
                field: self.field()?,
                value: value(self.needed("value")?)?,
            },
            "needs_reset" => yes(item, Action::NeedsReset)?,
            "poll" => Action::Poll(small(item)?),
            "capacity" => Action::Capacity(number(item)?),
            "edit" => Action::Edit(Edit::Register(word(item)?, value(self.needed("value")?)?)),
            "offset" => Action::Edit(Edit::Bytes(byte(item)?, self.bytes()?)),
            "unlink" => {
                let name = text(item)?;
                let kind = capability(name);
                let unknown = || At(item.span(), format!("there is no capability {name:?}"));
                Action::Edit(Edit::Unlink(kind.ok_or_else(unknown)?))
            }
            "prepend" => Action::Edit(Edit::Prepend(byte(item)?, self.bytes()?)),
            _ => Action::Edit(Edit::Append(byte(item)?, self.bytes()?)),
        })
    }

    fn needed(&self, key: &str) -> Result<Item<'a, 'i>, At> {
        self.get(key).ok_or_else(|| At(self.span.clone(), format!("{key:?} is missing")))
    }

    fn bytes(&self) -> Result<Vec<u8>, At> {
        let item = self.needed("bytes")?;
        match item.get_ref() {
            DeValue::Array(bytes) => bytes.iter().map(byte).collect(),
            _ => Err(At(item.span(), "bytes are an array of numbers".into())),
        }
    }

    fn field(&self) -> Result<Field, At> {
        let item = self.needed("field")?;
        match text(item)? {
            "addr" => Ok(Field::Addr),
            "len" => Ok(Field::Len),
            "flags" => Ok(Field::Flags),
            "next" => Ok(Field::Next),
            _ => Err(At(item.span(), "a descriptor has addr, len, flags and next".into())),
        }
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    value.type_str()
}

/// `true`, for what takes no argument.
fn yes<T>(item: Item<'_, '_>, then: T) -> Result<T, At> {
    match item.get_ref().as_bool() {
        Some(true) => Ok(then),
        _ => Err(At(item.span(), "this is `true` or left out".into())),
    }
}

fn text<'a>(item: Item<'a, '_>) -> Result<&'a str, At> {
    let refused = || At(item.span(), format!("a string is wanted, not {}", kind(item.get_ref())));
    item.get_ref().as_str().ok_or_else(refused)
}

/// A string that means something.
fn word<T: std::str::FromStr<Err: std::fmt::Display>>(item: Item<'_, '_>) -> Result<T, At> {
    text(item)?.parse().map_err(|error: T::Err| At(item.span(), error.to_string()))
}

fn number(item: Item<'_, '_>) -> Result<u64, At> {
    let parsed = match item.get_ref() {
        DeValue::Integer(integer) => {
            let digits = integer.as_str().trim_start_matches('+');
            u64::from_str_radix(digits, integer.radix()).ok()
        }
        DeValue::String(text) => parse_number(text),
        _ => None,
    };
    parsed.ok_or_else(|| At(item.span(), "a number from 0 to 2^64-1 is wanted".into()))
}

/// A number as one writes it: `512`, `0x200`.
pub(super) fn parse_number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(&digits.replace('_', ""), 16).ok(),
        None => text.parse().ok(),
    }
}

fn byte(item: Item<'_, '_>) -> Result<u8, At> {
    let refused = |_| At(item.span(), "a number from 0 to 255 is wanted".into());
    u8::try_from(number(item)?).map_err(refused)
}

fn small(item: Item<'_, '_>) -> Result<u16, At> {
    let refused = |_| At(item.span(), "a number from 0 to 65535 is wanted".into());
    u16::try_from(number(item)?).map_err(refused)
}

/// A number, or how far from the right one, as in `"+1"`.
fn value(item: Item<'_, '_>) -> Result<Value, At> {
    if let Some(text) = item.get_ref().as_str()
        && let Some(more) = parse_value(text)
    {
        return Ok(more);
    }
    number(item).map(Value::Set).map_err(|At(span, _)| {
        At(span, "a number is wanted, or a string such as \"+1\" or \"xor 0x40\"".into())
    })
}

/// `+1`, `-1`, `xor 1`, `or 1`, `and 1`, or a number.
pub(super) fn parse_value(text: &str) -> Option<Value> {
    if text.starts_with(['+', '-']) {
        return text.parse().ok().map(Value::Add);
    }
    match text.split_once(' ') {
        Some(("xor", number)) => parse_number(number).map(Value::Xor),
        Some(("or", number)) => parse_number(number).map(Value::Or),
        Some(("and", number)) => parse_number(number).map(Value::And),
        Some(_) => None,
        None => parse_number(text).map(Value::Set),
    }
}

fn request(item: Item<'_, '_>) -> Result<Option<RequestKind>, At> {
    Ok(Some(match text(item)? {
        "any" => return Ok(None),
        "in" => RequestKind::In,
        "out" => RequestKind::Out,
        "flush" => RequestKind::Flush,
        "get_id" => RequestKind::GetId,
        "discard" => RequestKind::Discard,
        "write_zeroes" => RequestKind::WriteZeroes,
        "secure_erase" => RequestKind::SecureErase,
        other => {
            let known = "any, in, out, flush, get_id, discard, write_zeroes, secure_erase";
            let what = format!("there is no request {other:?}; there are {known}");
            return Err(At(item.span(), what));
        }
    }))
}

fn vector(item: Item<'_, '_>) -> Result<Vector, At> {
    let name = text(item)?;
    let queue = name.strip_prefix('q').and_then(|queue| queue.parse().ok());
    match (name, queue) {
        ("config", _) => Ok(Vector::Config),
        (_, Some(queue)) => Ok(Vector::Queue(queue)),
        _ => Err(At(item.span(), "an interrupt is that of \"config\" or of \"q0\"".into())),
    }
}

/// An area of queue 0 and an offset in it: `used+2`.
fn place_in_ring(item: Item<'_, '_>) -> Result<(Area, u64), At> {
    let refused =
        || At(item.span(), "a place is such as \"used+2\", \"avail\", \"desc+16\"".into());
    let name = text(item)?;
    let (area, offset) = name.split_once('+').unwrap_or((name, "0"));
    let offset = parse_number(offset).ok_or_else(refused)?;
    let area = match area {
        "desc" => Area::Desc,
        "avail" => Area::Avail,
        "used" => Area::Used,
        _ => return Err(refused()),
    };
    Ok((area, offset))
}

/// An address, or a place that the device knows: `"data+8"`, `"used+2"`.
fn place(item: Item<'_, '_>) -> Result<Place, At> {
    let Some(name) = item.get_ref().as_str() else { return number(item).map(Place::Address) };
    if let Some(address) = parse_number(name) {
        return Ok(Place::Address(address));
    }
    let offset = match name {
        "data" => Some(0),
        _ => name.strip_prefix("data+").and_then(parse_number),
    };
    match offset {
        Some(offset) => Ok(Place::Data(offset)),
        None => place_in_ring(item).map(|(area, offset)| Place::Area(area, offset)),
    }
}
