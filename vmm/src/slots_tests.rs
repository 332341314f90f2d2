use super::*;

const RAM: Range<u64> = 0..0x10_0000;
const KVM: Ability = Ability { read_only: true, pieces: 16 };

fn watch(range: Range<u64>, loads: bool) -> Watch {
    Watch { range, loads }
}

fn pieces(watches: &[Watch]) -> Vec<(u64, u64, Reach)> {
    let all = cut(&[RAM, 0x20_0000..0x30_0000], watches, &[], KVM);
    all.into_iter().map(|piece| (piece.range.start, piece.range.end, piece.reach)).collect()
}

const HIGH: (u64, u64, Reach) = (0x20_0000, 0x30_0000, Reach::Free);

#[test]
fn without_a_watch_a_region_is_one_piece() {
    assert_eq!(pieces(&[]), [(0, 0x10_0000, Reach::Free), HIGH]);
    assert_eq!(pieces(&[watch(0x5000..0x5000, true)]), [(0, 0x10_0000, Reach::Free), HIGH]);
}

#[test]
fn a_hole_has_whole_pages_and_cuts_a_region_in_up_to_three() {
    let three = [
        (0, 0x5000, Reach::Free),
        (0x5000, 0x7000, Reach::Hole),
        (0x7000, 0x10_0000, Reach::Free),
        HIGH,
    ];
    assert_eq!(pieces(&[watch(0x5ffe..0x6001, true)]), three);
    let first = [(0, 0x1000, Reach::Hole), (0x1000, 0x10_0000, Reach::Free), HIGH];
    assert_eq!(pieces(&[watch(0..1, true)]), first);
    let last = [(0, 0xf_f000, Reach::Free), (0xf_f000, 0x10_0000, Reach::Hole), HIGH];
    assert_eq!(pieces(&[watch(0xf_ffff..0x10_0000, true)]), last);
}

#[test]
fn what_touches_is_one_piece_and_of_two_wishes_the_greater_counts() {
    let watches =
        [watch(0x4000..0x4010, true), watch(0x5000..0x5010, true), watch(0x5800..0x6800, false)];
    let expected = [
        (0, 0x4000, Reach::Free),
        (0x4000, 0x6000, Reach::Hole),
        (0x6000, 0x7000, Reach::ReadOnly),
        (0x7000, 0x10_0000, Reach::Free),
        HIGH,
    ];
    assert_eq!(pieces(&watches), expected);
    let reversed: Vec<_> = watches.into_iter().rev().collect();
    assert_eq!(pieces(&reversed), expected);
}

#[test]
fn a_watch_outside_of_ram_changes_nothing_and_one_across_its_end_what_is_inside() {
    assert_eq!(pieces(&[watch(0x18_0000..0x18_1000, true)]), pieces(&[]));
    assert_eq!(pieces(&[watch(u64::MAX - 1..u64::MAX, true)]), pieces(&[]));
    let across = [
        (0, 0xf_f000, Reach::Free),
        (0xf_f000, 0x10_0000, Reach::Hole),
        (0x20_0000, 0x20_1000, Reach::Hole),
        (0x20_1000, 0x30_0000, Reach::Free),
    ];
    assert_eq!(pieces(&[watch(0xf_f800..0x20_0800, true)]), across);
}

#[test]
fn neighbouring_regions_stay_apart() {
    let regions = [0..0x2000, 0x2000..0x4000];
    assert_eq!(cut(&regions, &[], &[], KVM).len(), 2);
    let holes = cut(&regions, &[watch(0x1000..0x3000, true)], &[], KVM);
    assert_eq!(holes.len(), 4, "{holes:?}");
}

#[test]
fn a_page_with_instructions_is_no_hole_and_one_with_a_stack_or_page_tables_is_free() {
    let reach = |limit: Option<Reach>, loads| {
        let limits: Vec<_> = limit.map(|limit| (0x1800..0x2800, limit)).into_iter().collect();
        let pieces = cut(&[RAM], &[watch(0x1000..0x4000, loads)], &limits, KVM);
        let pieces = pieces.iter().filter(|piece| piece.reach != Reach::Free);
        pieces.map(|piece| (piece.range.start, piece.reach)).collect::<Vec<_>>()
    };
    assert_eq!(reach(None, true), [(0x1000, Reach::Hole)]);
    let mixed = [(0x1000, Reach::ReadOnly), (0x3000, Reach::Hole)];
    assert_eq!(reach(Some(Reach::ReadOnly), true), mixed);
    assert_eq!(reach(Some(Reach::ReadOnly), false), [(0x1000, Reach::ReadOnly)]);
    assert_eq!(reach(Some(Reach::Free), true), [(0x3000, Reach::Hole)]);
    assert_eq!(reach(Some(Reach::Free), false), [(0x3000, Reach::ReadOnly)]);
}

#[test]
fn without_read_only_slots_a_hole_shows_the_stores() {
    let stores = [watch(0x1000..0x2000, false)];
    let reach = |read_only| cut(&[RAM], &stores, &[], Ability { read_only, ..KVM })[1].reach;
    assert_eq!((reach(true), reach(false)), (Reach::ReadOnly, Reach::Hole));
}

#[test]
fn no_more_pieces_are_cut_out_than_there_are_slots_for() {
    let watches: Vec<_> = (0..64).map(|page| watch(page << 13..page << 13 | 1, true)).collect();
    let pieces = cut(&[RAM], &watches, &[], KVM);
    let holes = pieces.iter().filter(|piece| piece.reach == Reach::Hole);
    assert_eq!((holes.count(), pieces.len()), (16, 32));
}

#[test]
fn to_watch_takes_read_only_slots_and_nothing_else_does() {
    let refused = check(Watching::RINGS, Ability { read_only: false, ..KVM }).unwrap_err();
    assert_eq!(refused.sentence(), "KVM here lacks KVM_CAP_READONLY_MEM; a newer Linux has it");
    assert!(check(Watching::RINGS, KVM).is_ok());
    assert!(check(Watching::default(), Ability { read_only: false, ..KVM }).is_ok());
}

#[test]
fn only_what_changes_is_set_again_and_numbers_are_not_taken_twice() {
    let regions = [RAM, 0x20_0000..0x30_0000];
    let cut = |watches: &[Watch]| cut(&regions, watches, &[], KVM);
    let first = change(&[], cut(&[]));
    assert_eq!((first.gone.len(), first.new.len()), (0, 2));
    let second = change(&first.all, cut(&[watch(0x5000..0x6000, true)]));
    assert_eq!(second.gone, first.all[..1]);
    assert_eq!(second.new.len(), 3);
    assert_eq!(second.all.last(), first.all.last(), "the other region stays");
    let mut numbers: Vec<_> = second.all.iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3]);
    let third = change(&second.all, cut(&[]));
    assert_eq!((third.gone.len(), third.new.len(), third.all.len()), (3, 1, 2));
    let again = change(&third.all, cut(&[]));
    assert_eq!((again.gone.len(), again.new.len()), (0, 0));
}
