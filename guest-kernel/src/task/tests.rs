//! Tasks on a machine whose time is virtual.

use std::{cell::RefCell, rc::Rc, time::Duration};

use super::{Join, Stuck, Tasks, TimedOut, interrupt, sleep, timeout, yield_now};
use crate::{
    fake::FakeHal,
    hal::{Hal, HalError, Interrupt},
};

const LINE: Interrupt = Interrupt(11);
const SECOND: Duration = Duration::from_secs(1);

fn tasks() -> Tasks<FakeHal> {
    Tasks::new(&FakeHal::new())
}

/// A task that nothing wakes.
fn forever(tasks: &Tasks<FakeHal>) -> Join<()> {
    tasks.spawn("forever", std::future::pending())
}

#[test]
fn a_task_that_is_done_gives_its_result() {
    let tasks = tasks();
    let inner = tasks.spawn("inner", async { 20 });
    let outer = tasks.spawn("outer", async move { inner.await + 1 });
    assert_eq!(tasks.run_until(&outer, SECOND), Ok(21));
}

#[test]
fn tasks_take_turns_and_one_that_is_added_has_its_turn_too() {
    let (tasks, log) = (tasks(), Rc::new(RefCell::new(String::new())));
    let say = |word: &'static str| {
        let log = log.clone();
        async move {
            for _ in 0..2 {
                log.borrow_mut().push_str(word);
                yield_now().await;
            }
        }
    };
    let first = tasks.spawn("a", say("a"));
    let (late, more) = (say("c"), tasks.clone());
    tasks.spawn("b", async move { drop(more.spawn("c", late)) });
    tasks.run_until(&first, SECOND).unwrap();
    assert_eq!(*log.borrow(), "acac");
}

#[test]
fn an_interrupt_wakes_everyone_who_waits_for_it_and_is_taken_once() {
    let tasks = tasks();
    let wait = || {
        let wait = interrupt(&tasks, LINE, SECOND);
        tasks.spawn("wait", wait)
    };
    let (first, second) = (wait(), wait());
    tasks.hal().machine().pending = 1;
    assert_eq!(tasks.run_until(&first, SECOND), Ok(Ok(())));
    assert_eq!(tasks.run_until(&second, SECOND), Ok(Ok(())));
    assert!(!tasks.hal().take_interrupt(LINE));
    assert!(tasks.hal().now() < SECOND, "nobody slept");
}

#[test]
fn a_wait_ends_at_its_limit_and_the_machine_sleeps_until_the_first() {
    let tasks = tasks();
    let long = tasks.spawn("long", sleep(&tasks, 3 * SECOND));
    let short = tasks.spawn("short", interrupt(&tasks, LINE, SECOND));
    let began = tasks.hal().now();
    assert_eq!(tasks.run_until(&short, 9 * SECOND), Ok(Err(HalError::TimedOut)));
    let passed = tasks.hal().now() - began;
    assert!(passed >= SECOND - Duration::from_millis(1) && passed < 2 * SECOND, "{passed:?}");
    assert_eq!(tasks.run_until(&long, 9 * SECOND), Ok(Err(HalError::TimedOut)));
}

#[test]
fn a_time_limit_ends_what_does_not_end() {
    let tasks = tasks();
    let never = timeout(&tasks, SECOND, std::future::pending::<()>());
    let done = timeout(&tasks, SECOND, async { 5 });
    let never = tasks.spawn("never", never);
    let done = tasks.spawn("done", done);
    assert_eq!(tasks.run_until(&never, 9 * SECOND), Ok(Err(TimedOut)));
    assert_eq!(tasks.run_until(&done, 9 * SECOND), Ok(Ok(5)));
}

#[test]
fn a_wait_that_is_given_up_is_waited_for_no_more() {
    let tasks = tasks();
    let given_up = timeout(&tasks, SECOND, sleep(&tasks, 5 * SECOND));
    let given_up = tasks.spawn("given up", given_up);
    assert_eq!(tasks.run_until(&given_up, 9 * SECOND), Ok(Err(TimedOut)));
    let stuck = Stuck::Deadlock("forever".into());
    assert_eq!(tasks.run_until(&forever(&tasks), 9 * SECOND), Err(stuck));
}

#[test]
fn tasks_that_cannot_go_on_are_named_at_once() {
    let tasks = tasks();
    let a = forever(&tasks);
    let b = tasks.spawn("b", a);
    let began = tasks.hal().now();
    let stuck = Stuck::Deadlock("forever, b".into());
    assert_eq!(tasks.run_until(&b, 9 * SECOND), Err(stuck));
    assert!(tasks.hal().now() - began < SECOND);
}

#[test]
fn tasks_that_never_wait_end_at_the_limit() {
    let tasks = tasks();
    let busy = async {
        loop {
            yield_now().await;
        }
    };
    let busy: Join<()> = tasks.spawn("busy", busy);
    assert_eq!(tasks.run_until(&busy, SECOND / 100), Err(Stuck::TooLong("busy".into())));
}

#[test]
fn ending_the_tasks_drops_what_they_own() {
    let (tasks, owned) = (tasks(), Rc::new(()));
    let (kept, own) = (owned.clone(), tasks.clone());
    let task = tasks.spawn("owner", async move {
        let _kept = kept;
        sleep(&own, 100 * SECOND).await
    });
    assert!(matches!(tasks.run_until(&task, SECOND), Err(Stuck::TooLong(_))));
    assert_eq!(Rc::strong_count(&owned), 2);
    tasks.end();
    assert_eq!(Rc::strong_count(&owned), 1);
}
