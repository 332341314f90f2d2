//! Single values of a file: numbers, names, places.

use ::toml::Spanned;
use ::toml::de::DeValue;
use eclipse_trace::{RequestKind, Setting};

use super::reader::At;
use super::{Area, Place, Value, Vector};

pub(super) type Item<'a, 'i> = &'a Spanned<DeValue<'i>>;

pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    value.type_str()
}

/// `true`, for what takes no argument.
pub(super) fn yes<T>(item: Item<'_, '_>, then: T) -> Result<T, At> {
    match item.get_ref().as_bool() {
        Some(true) => Ok(then),
        _ => Err(At(item.span(), "this is `true` or left out".into())),
    }
}

pub(super) fn text<'a>(item: Item<'a, '_>) -> Result<&'a str, At> {
    let refused = || At(item.span(), format!("a string is wanted, not {}", kind(item.get_ref())));
    item.get_ref().as_str().ok_or_else(refused)
}

/// A string that means something.
pub(super) fn word<T: std::str::FromStr<Err: std::fmt::Display>>(
    item: Item<'_, '_>,
) -> Result<T, At> {
    text(item)?.parse().map_err(|error: T::Err| At(item.span(), error.to_string()))
}

pub(super) fn number(item: Item<'_, '_>) -> Result<u64, At> {
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

pub(super) fn byte(item: Item<'_, '_>) -> Result<u8, At> {
    let refused = |_| At(item.span(), "a number from 0 to 255 is wanted".into());
    u8::try_from(number(item)?).map_err(refused)
}

pub(super) fn small(item: Item<'_, '_>) -> Result<u16, At> {
    let refused = |_| At(item.span(), "a number from 0 to 65535 is wanted".into());
    u16::try_from(number(item)?).map_err(refused)
}

/// A number, or how far from the right one, as in `"+1"`.
pub(super) fn value(item: Item<'_, '_>) -> Result<Value, At> {
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

pub(super) fn request(item: Item<'_, '_>) -> Result<Option<RequestKind>, At> {
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

pub(super) fn setting(item: Item<'_, '_>) -> Result<Setting, At> {
    let name = text(item)?;
    Setting::ALL.into_iter().find(|setting| setting.name() == name).ok_or_else(|| {
        let known = Setting::ALL.map(Setting::name).join(", ");
        At(item.span(), format!("a machine has no {name:?}; there are {known}"))
    })
}

pub(super) fn vector(item: Item<'_, '_>) -> Result<Vector, At> {
    let name = text(item)?;
    let queue = name.strip_prefix('q').and_then(|queue| queue.parse().ok());
    match (name, queue) {
        ("config", _) => Ok(Vector::Config),
        (_, Some(queue)) => Ok(Vector::Queue(queue)),
        _ => Err(At(item.span(), "an interrupt is that of \"config\" or of \"q0\"".into())),
    }
}

/// An area of queue 0 and an offset in it: `used+2`.
pub(super) fn place_in_ring(item: Item<'_, '_>) -> Result<(Area, u64), At> {
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

/// An address, or a place that the device knows: `"data+8"`, `"indirect+14"`, `"used+2"`.
pub(super) fn place(item: Item<'_, '_>) -> Result<Place, At> {
    let Some(name) = item.get_ref().as_str() else { return number(item).map(Place::Address) };
    if let Some(address) = parse_number(name) {
        return Ok(Place::Address(address));
    }
    let within = |start: &str| match name.strip_prefix(start)? {
        "" => Some(0),
        rest => rest.strip_prefix('+').and_then(parse_number),
    };
    match (within("data"), within("indirect")) {
        (Some(offset), _) => Ok(Place::Data(offset)),
        (_, Some(offset)) => Ok(Place::Indirect(offset)),
        (None, None) => place_in_ring(item).map(|(area, offset)| Place::Area(area, offset)),
    }
}
