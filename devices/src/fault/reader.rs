use std::ops::Range;

use ::toml::de::{DeTable, DeValue};
use eclipse_trace::Bdf;

use super::check::Part;
use super::register::capability;
use super::words::{
    Item, byte, kind, number, place, request, setting, small, text, value, vector, word, yes,
};
use super::{Action, Edit, Fault, Field, Impossible, Trigger, Value};

/// What is wrong, and the bytes of the file that say it.
pub(super) struct At(pub(super) Range<usize>, pub(super) String);

/// Where a file says the parts of a fault.
#[derive(Debug)]
pub(super) struct Spans {
    device: Range<usize>,
    on: Range<usize>,
    does: Range<usize>,
}

impl Spans {
    /// What of it is impossible for this reason.
    pub(super) fn of(&self, why: &Impossible) -> Range<usize> {
        match why.part() {
            Part::Device => self.device.clone(),
            Part::On => self.on.clone(),
            Part::Do => self.does.clone(),
        }
    }
}

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

    pub(super) fn fault(&self, device: Bdf) -> Result<(Fault, Spans), At> {
        self.only(&["name", "device", "on", "do", "limit"])?;
        let (on, does) = (self.table("on")?, self.table("do")?);
        let mut fault = Fault::new(on.trigger()?, does.action()?).of(device);
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
        let device = self.get("device").map_or_else(|| self.span.clone(), |device| device.span());
        let spans = Spans { device, on: on.span, does: does.span };
        fault.check().map_err(|why| At(spans.of(&why), why.to_string()))?;
        Ok((fault, spans))
    }

    fn trigger(&self) -> Result<Trigger, At> {
        const KEYS: [&str; 12] = [
            "boot",
            "load",
            "store",
            "config_load",
            "notify",
            "completion",
            "ring_load",
            "ring_reload",
            "ring_store",
            "ring_write",
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
            "ring_load" => Trigger::RingLoad(word(item)?),
            "ring_reload" => Trigger::RingReload(word(item)?),
            "ring_store" => Trigger::RingStore(word(item)?),
            "ring_write" => Trigger::RingWrite(word(item)?),
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
        const KEYS: [&str; 33] = [
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
            "hold",
            "release",
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
            "machine",
        ];
        let (key, item) = self.one(&KEYS, &["bytes", "value", "field", "used_id", "used_len"])?;
        let extra: &[&str] = match key {
            "memory" | "offset" | "prepend" | "append" => &["bytes"],
            "descriptor" => &["field", "value"],
            "edit" | "machine" => &["value"],
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
            "hold" => yes(item, Action::Hold)?,
            "release" => yes(item, Action::Release)?,
            "swap" => yes(item, Action::Swap)?,
            "duplicate" => Action::Duplicate(number(item)?),
            "interrupt" => Action::Interrupt(vector(item)?),
            "no_interrupt" => Action::NoInterrupt(match item.get_ref().as_str() {
                Some(_) => Some(vector(item)?),
                None => yes(item, None)?,
            }),
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
            "append" => Action::Edit(Edit::Append(byte(item)?, self.bytes()?)),
            _ => Action::Machine(setting(item)?, number(self.needed("value")?)?),
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
        word(item)
    }
}
