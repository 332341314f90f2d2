use std::ops::Range;
use std::str::FromStr;

use super::register::Part;
use super::words::parse_number;
use super::{Area, Field};
use crate::virtio::QueueAreas;

/// A field of a virtqueue's areas (VIRTIO 1.4, 2.7 and 2.8).
///
/// Written as a transcript has it, `used.idx`, `avail.ring[3]`, `desc[0].next`; without
/// the number it is that field of every element, as in `used.ring.id`. `desc+14` is the
/// field that begins so many bytes from the area's start, which is how fields of a packed
/// ring are named. `q1.` before it says which queue, if not the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingField {
    /// The queue.
    pub queue: u16,
    /// The area that it lies in.
    pub area: Area,
    spot: Spot,
    width: u8,
}

/// Where in its area a field lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spot {
    /// This many bytes from the start.
    At(u32),
    /// So in every element: the first, and how far apart they are.
    Each(u32, u32),
    /// Behind the ring: `used_event` or `avail_event`.
    Event,
}

/// There is no field of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no field of a ring is {0:?}; there are such as \"used.idx\", \"used.ring[0].id\", \
     \"avail.flags\", \"desc[1].next\", \"used.avail_event\", and \"desc+12\""
)]
pub struct UnknownField(String);

impl RingField {
    /// `used.idx` of queue 0.
    pub const USED_IDX: Self = Self { queue: 0, area: Area::Used, spot: Spot::At(2), width: 2 };
    /// `avail_event` of queue 0 (VIRTIO 1.4, 2.7.10).
    pub const AVAIL_EVENT: Self = Self { queue: 0, area: Area::Used, spot: Spot::Event, width: 2 };
    /// `id` of every element of queue 0's used ring.
    pub const USED_ID: Self = Self { queue: 0, area: Area::Used, spot: Spot::Each(4, 8), width: 4 };
    /// `len` of every element of queue 0's used ring.
    pub const USED_LEN: Self =
        Self { queue: 0, area: Area::Used, spot: Spot::Each(8, 8), width: 4 };

    /// Bytes.
    pub fn width(self) -> u8 {
        self.width
    }

    /// As many ones as it has bits.
    pub(super) fn mask(self) -> u64 {
        u64::MAX >> (64 - 8 * u32::from(self.width))
    }

    /// What of an access of `width` bytes at `addr` is this field: the addresses, and the bits.
    pub(super) fn part(
        self,
        areas: &QueueAreas,
        addr: u64,
        width: u8,
    ) -> Option<(Range<u64>, Part)> {
        let area = areas.range(self.area);
        let first = match self.spot {
            Spot::At(offset) | Spot::Each(offset, _) => area.start + u64::from(offset),
            Spot::Event => area.end - 2,
        };
        let start = match self.spot {
            // Elements are no closer than fields are wide, and no access is as wide as two.
            Spot::Each(_, stride) => {
                let reach = (addr + u64::from(width - 1)).checked_sub(first)?;
                first + reach / u64::from(stride) * u64::from(stride)
            }
            _ => first,
        };
        let end = start + u64::from(self.width);
        let inside = end <= area.end;
        let part = Part::new((start, self.width), (addr, width)).filter(|_| inside)?;
        Some((start.max(addr)..end.min(addr + u64::from(width)), part))
    }

    fn named(queue: u16, area: Area, name: &str) -> Option<Self> {
        let at = |offset, width| Some(Self { queue, area, spot: Spot::At(offset), width });
        match (area, name) {
            (Area::Avail | Area::Used, ".flags") => return at(0, 2),
            (Area::Avail | Area::Used, ".idx") => return at(2, 2),
            (Area::Avail, ".used_event") | (Area::Used, ".avail_event") => {
                return Some(Self { queue, area, spot: Spot::Event, width: 2 });
            }
            _ => {}
        }
        if let Some(offset) = name.strip_prefix('+') {
            let offset = u32::try_from(parse_number(offset)?).ok()?;
            return at(offset, grid(area, offset)?);
        }
        Self::of_element(queue, area, name)
    }

    /// `.ring[3].id`, `[0].next`; without the number, of every element.
    fn of_element(queue: u16, area: Area, name: &str) -> Option<Self> {
        let (ring, stride) = match area {
            Area::Desc => (0, 16),
            Area::Avail => (4, 2),
            Area::Used => (4, 8),
        };
        let elements = if area == Area::Desc { name } else { name.strip_prefix(".ring")? };
        let (index, field) = index(elements)?;
        let (inside, width) = match (area, field) {
            (Area::Avail, "") => (0, 2),
            (Area::Used, ".id") => (0, 4),
            (Area::Used, ".len") => (4, 4),
            (Area::Desc, field) => {
                let (offset, width) = field.strip_prefix('.')?.parse::<Field>().ok()?.place();
                (offset as u32, width)
            }
            _ => return None,
        };
        let spot = match index {
            Some(index) => Spot::At(ring + inside + stride * u32::from(index)),
            None => Spot::Each(ring + inside, stride),
        };
        Some(Self { queue, area, spot, width })
    }
}

/// `[3].id`: the number, if there is one, and the rest.
fn index(text: &str) -> Option<(Option<u16>, &str)> {
    match text.strip_prefix('[') {
        None => Some((None, text)),
        Some(rest) => {
            let (number, rest) = rest.split_once(']')?;
            Some((Some(number.parse().ok()?), rest))
        }
    }
}

/// How wide the field is that begins at `offset` of an area, if one does.
fn grid(area: Area, offset: u32) -> Option<u8> {
    match (area, offset) {
        (Area::Desc, _) => match offset % 16 {
            0 => Some(8),
            8 => Some(4),
            12 | 14 => Some(2),
            _ => None,
        },
        (Area::Avail, _) => offset.is_multiple_of(2).then_some(2),
        (Area::Used, 0 | 2) => Some(2),
        (Area::Used, _) => offset.is_multiple_of(4).then_some(4),
    }
}

impl FromStr for RingField {
    type Err = UnknownField;

    fn from_str(text: &str) -> Result<Self, UnknownField> {
        let unknown = || UnknownField(text.into());
        let (queue, name) = match text.strip_prefix('q').and_then(|rest| rest.split_once('.')) {
            Some((queue, name)) => (queue.parse().map_err(|_| unknown())?, name),
            None => (0, text),
        };
        let areas = [("desc", Area::Desc), ("avail", Area::Avail), ("used", Area::Used)];
        areas
            .into_iter()
            .find_map(|(area, kind)| Self::named(queue, kind, name.strip_prefix(area)?))
            .ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPLIT: QueueAreas = QueueAreas {
        queue: 0,
        size: 8,
        packed: false,
        event_idx: true,
        desc: 0x1000,
        driver: 0x2000,
        device: 0x3000,
    };

    fn part(name: &str, addr: u64, width: u8) -> Option<Range<u64>> {
        let field: RingField = name.parse().unwrap_or_else(|error| panic!("{error}"));
        field.part(&SPLIT, addr, width).map(|(bytes, _)| bytes)
    }

    #[test]
    fn a_field_is_where_the_specification_has_it() {
        assert_eq!(part("used.idx", 0x3002, 2), Some(0x3002..0x3004));
        assert_eq!(part("used+2", 0x3000, 4), Some(0x3002..0x3004));
        assert_eq!(part("used.idx", 0x3003, 1), Some(0x3003..0x3004));
        assert_eq!(part("used.idx", 0x3004, 4), None);
        assert_eq!(part("used.ring[1].len", 0x3010, 4), Some(0x3010..0x3014));
        assert_eq!(part("avail.ring[7]", 0x2012, 2), Some(0x2012..0x2014));
        assert_eq!(part("avail.used_event", 0x2014, 2), Some(0x2014..0x2016));
        assert_eq!(part("used.avail_event", 0x3044, 2), Some(0x3044..0x3046));
        assert_eq!(part("desc[2].next", 0x102e, 2), Some(0x102e..0x1030));
        assert_eq!(part("desc+12", 0x1008, 8), Some(0x100c..0x100e));
        assert_eq!("q3.used.idx".parse::<RingField>().map(|field| field.queue), Ok(3));
    }

    #[test]
    fn a_field_of_every_element_ends_with_the_ring() {
        assert_eq!(part("used.ring.id", 0x3004, 8), Some(0x3004..0x3008));
        assert_eq!(part("used.ring.id", 0x303c, 4), Some(0x303c..0x3040));
        assert_eq!(part("used.ring.id", 0x3040, 4), None, "that is len");
        assert_eq!(part("used.ring.id", 0x3044, 4), None, "that is avail_event");
        assert_eq!(part("used.ring.id", 0x3000, 4), None);
        assert_eq!(part("desc.len", 0x107c, 4), None);
        assert_eq!(part("desc.len", 0x1078, 8), Some(0x1078..0x107c));
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for text in ["used", "used+3", "desc+4", "used.ring[0]", "avail.ring[0].id", "q.used.idx"] {
            assert!(text.parse::<RingField>().is_err(), "{text}");
        }
    }
}
