//! Expectations: what is meant, what is found, and what a failure says.

mod order;
mod patterns;
mod windows;

use eclipse_trace::expect::Failure;
use eclipse_trace::register::CommonCfg;
use eclipse_trace::{
    Access, Actor, Area, Bdf, Entry, Event, Place, Recorder, Refusal, Register, RequestKind,
    RequestStatus, Ring, Space,
};
use expect_test::Expect;

const BLOCK: Bdf = Bdf::new(0, 4, 0);
const OTHER: Bdf = Bdf::new(0, 5, 0);
const DEVICE: Actor = Actor::Device(BLOCK);

fn status(function: Bdf, access: Access) -> Event {
    let register = Register::Common { function, register: CommonCfg::DeviceStatus };
    Event::Register { register, access }
}

fn store(width: u8, value: u64) -> Access {
    Access::Store { width, value }
}

fn marked(number: u64) -> Event {
    Event::Register { register: Register::DebugMark, access: store(4, number) }
}

fn line(line: &str) -> Event {
    Event::Console { line: line.into() }
}

fn stored(area: Area, offset: u32, width: u8, value: u64) -> Event {
    let place = Place::Area { function: BLOCK, queue: 0, area, offset };
    let addr = 0x1000 + u64::from(offset);
    Event::Ram { place, addr, access: store(width, value) }
}

/// A device is started, with a slip, and reads a sector.
fn entries() -> Vec<Entry> {
    let mut recorder = Recorder::new();
    let mut by_guest = |event| recorder.record(Actor::Guest, event);
    by_guest(marked(3));
    by_guest(status(BLOCK, store(1, 0x00)));
    by_guest(status(BLOCK, Access::Load { width: 1, value: 0x00 }));
    by_guest(status(BLOCK, store(1, 0x01)));
    by_guest(status(BLOCK, store(1, 0x03)));
    by_guest(status(OTHER, store(1, 0x0b)));
    by_guest(status(BLOCK, store(1, 0x0f)));
    by_guest(marked(4));
    by_guest(line("reading"));
    by_guest(stored(Area::Desc, 0x38, 8, 0x0002_0003_0000_0200));
    by_guest(stored(Area::Avail, 4, 2, 3));
    by_guest(stored(Area::Avail, 2, 2, 1));
    let register = Register::Notify { function: BLOCK, queue: 0 };
    by_guest(Event::Register { register, access: store(2, 0) });
    let mut by_device = |event| recorder.record(DEVICE, event);
    let access = Access::Load { width: 2, value: 1 };
    by_device(Event::Ring { queue: 0, field: Ring::AvailIdx, access });
    let (request, status) = (RequestKind::In, RequestStatus::Ok);
    by_device(Event::Request { queue: 0, head: 3, request, sector: 3, len: 512, status });
    by_device(Event::Used { queue: 0, slot: 0, id: 3, len: 513 });
    by_device(Event::Ring { queue: 0, field: Ring::UsedIdx, access: store(2, 1) });
    by_device(Event::Msix { vector: 1, address: 0xfee0_0000, data: 0x31 });
    let register = Register::Unclaimed { space: Space::Port, address: 0x80 };
    let refused = Event::Refused { register, access: store(1, 1), why: Refusal::Unclaimed };
    recorder.record(Actor::Guest, refused);
    recorder.record(Actor::Guest, line("done: *"));
    recorder.record(Actor::Guest, marked(5));
    recorder.entries().to_vec()
}

fn fails<T: std::fmt::Debug>(found: Result<T, Failure>, message: Expect) {
    message.assert_eq(&format!("{}\n", found.expect_err("it is not so")));
}
