use super::*;

const BLOCK: Bdf = Bdf::new(0, 4, 0);

fn queue(packed: bool, event_idx: bool, at: [u64; 3]) -> QueueAreas {
    let [desc, driver, device] = at;
    QueueAreas { queue: 0, size: 4, packed, event_idx, desc, driver, device }
}

fn watcher(watching: Watching, queues: &[QueueAreas]) -> Watcher {
    let mut watcher = Watcher::default();
    watcher.set(watching);
    watcher.learn(&queues.iter().map(|areas| (BLOCK, *areas)).collect::<Vec<_>>());
    watcher
}

/// What a store of ascending bytes is, as the transcript has it.
fn store(watcher: &Watcher, address: u64, width: u8) -> String {
    let access = Access::Store { width, value: 0x0807_0605_0403_0201 & all_ones(width) };
    text(watcher.sees(address, access))
}

fn load(watcher: &Watcher, address: u64, width: u8) -> String {
    text(watcher.sees(address, Access::Load { width, value: 0 }))
}

fn text(event: Option<Event>) -> String {
    match event {
        Some(Event::Ram { place, addr, access }) => format!("{place} at {addr:#x} {access}"),
        Some(other) => panic!("{other:?}"),
        None => String::new(),
    }
}

const SPLIT: [u64; 3] = [0x1000, 0x2000, 0x3000];

#[test]
fn a_store_to_a_split_queue_has_the_name_of_its_field() {
    let watcher = watcher(Watching::RINGS, &[queue(false, true, SPLIT)]);
    for (address, width, expected) in [
        (0x1030, 8, "00:04.0 q0 desc[3].addr at 0x1030 <- 0807060504030201"),
        (0x103c, 2, "00:04.0 q0 desc[3].flags at 0x103c <- 0201"),
        (0x2002, 2, "00:04.0 q0 avail.idx at 0x2002 <- 0201"),
        (0x200a, 2, "00:04.0 q0 avail.ring[3] at 0x200a <- 0201"),
        (0x200c, 2, "00:04.0 q0 avail.used_event at 0x200c <- 0201"),
        (0x200e, 2, ""),
        (0x3020, 4, "00:04.0 q0 used.ring[3].len at 0x3020 <- 04030201"),
        (0x3024, 2, "00:04.0 q0 used.avail_event at 0x3024 <- 0201"),
        (0x3026, 1, ""),
        (0x0fff, 1, ""),
        (0x1040, 8, ""),
    ] {
        assert_eq!(store(&watcher, address, width), expected);
    }
    assert_eq!(load(&watcher, 0x2002, 2), "", "loads are not watched");
}

#[test]
fn a_store_to_a_packed_queue_has_the_name_of_its_field() {
    let watcher = watcher(Watching::RINGS, &[queue(true, true, SPLIT)]);
    for (address, width, expected) in [
        (0x101e, 2, "00:04.0 q0 desc[1].flags at 0x101e <- 0201"),
        (0x101c, 2, "00:04.0 q0 desc[1].id at 0x101c <- 0201"),
        (0x2000, 4, "00:04.0 q0 driver_event.desc at 0x2000 <- 04030201"),
        (0x3002, 2, "00:04.0 q0 device_event.flags at 0x3002 <- 0201"),
        (0x2004, 4, ""),
    ] {
        assert_eq!(store(&watcher, address, width), expected);
    }
}

#[test]
fn an_access_across_an_edge_belongs_to_what_it_begins_in_or_comes_to_first() {
    let watcher = watcher(Watching::RINGS, &[queue(false, false, SPLIT)]);
    assert_eq!(
        store(&watcher, 0x103c, 8),
        "00:04.0 q0 desc[3].flags at 0x103c <- 0807060504030201"
    );
    assert_eq!(store(&watcher, 0x0ffe, 8), "00:04.0 q0 desc[0].addr at 0x1000 <- 080706050403");
    assert_eq!(store(&watcher, 0x0ff8, 8), "");
    assert_eq!(store(&watcher, 0x0ff9, 8), "00:04.0 q0 desc[0].addr at 0x1000 <- 08");
    assert_eq!(store(&watcher, u64::MAX - 3, 8), "");
}

#[test]
fn without_event_idx_another_ring_may_stand_where_its_field_would() {
    let close = [0x1000, 0x2000, 0x200c];
    let plain = watcher(Watching::RINGS, &[queue(false, false, close)]);
    assert_eq!(store(&plain, 0x200c, 2), "00:04.0 q0 used.flags at 0x200c <- 0201");
    let overlapping = watcher(Watching::RINGS, &[queue(false, true, close)]);
    assert_eq!(store(&overlapping, 0x200c, 2), "00:04.0 q0 used.flags at 0x200c <- 0201");
}

#[test]
fn loads_are_seen_where_they_are_asked_for() {
    let loads = Watching { rings: Rings::Loads, ..Watching::default() };
    let all = watcher(loads, &[queue(false, true, SPLIT)]);
    assert_eq!(load(&all, 0x2002, 2), "00:04.0 q0 avail.idx at 0x2002 -> 0000");
    let barriers = Watching { barriers: true, ..Watching::default() };
    let barriers = watcher(barriers, &[queue(false, true, SPLIT)]);
    assert_eq!(load(&barriers, 0x3000, 2), "00:04.0 q0 used.flags at 0x3000 -> 0000");
    assert_eq!(load(&barriers, 0x3024, 2), "00:04.0 q0 used.avail_event at 0x3024 -> 0000");
    assert_eq!(store(&barriers, 0x2002, 2), "00:04.0 q0 avail.idx at 0x2002 <- 0201");
}

#[test]
fn what_is_watched_comes_and_goes_with_the_queue() {
    let mut watcher = watcher(Watching::RINGS, &[queue(false, true, SPLIT)]);
    assert_eq!(watcher.watches().count(), 5);
    assert!(watcher.watches().all(|watch| !watch.loads));
    watcher.learn(&[]);
    assert_eq!(watcher.watches().count(), 0);
    assert_eq!(store(&watcher, 0x1000, 2), "");
    watcher.learn(&[(BLOCK, queue(true, false, SPLIT))]);
    assert_eq!(watcher.watches().count(), 3);
    watcher.set(Watching::default());
    watcher.learn(&[(BLOCK, queue(true, false, SPLIT))]);
    assert_eq!(watcher.watches().count(), 0, "nobody asked for it");
}

#[test]
fn what_to_watch_is_written_in_words() {
    for word in ["rings", "rings=load", "dma", "barriers"] {
        assert_eq!(word.parse::<Watching>().map(|w| w.to_string()), Ok(word.into()));
    }
    let loads = Watching { rings: Rings::Loads, ..Watching::default() };
    let dma = Watching { dma: true, ..Watching::RINGS };
    assert_eq!((dma | loads).to_string(), "rings=load,dma");
    assert_eq!(
        "ring".parse::<Watching>().map_err(|error| error.to_string()),
        Err("\"ring\" cannot be watched; write rings, rings=load, dma or barriers".into())
    );
}
