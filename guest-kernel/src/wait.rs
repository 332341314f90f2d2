//! Waits that end.

use core::time::Duration;

use crate::hal::Hal;

/// How often is asked before the waiter sleeps in between: most answers come at once.
const PAUSES: u32 = 16;
/// How long it sleeps then.
const SLEEP: Duration = Duration::from_millis(1);

/// Asks until there is an answer, for `limit` at most; once more when the time is over.
pub fn poll<H: Hal, T>(
    hal: &H,
    limit: Duration,
    mut answer: impl FnMut() -> Option<T>,
) -> Option<T> {
    let start = hal.now();
    let mut pauses = 0;
    loop {
        let over = hal.now().saturating_sub(start) >= limit;
        let answer = answer();
        if over || answer.is_some() {
            return answer;
        }
        if pauses < PAUSES {
            pauses += 1;
            hal.pause();
        } else {
            hal.sleep(SLEEP);
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::poll;
    use crate::{fake::FakeHal, hal::Hal};

    #[test]
    fn an_answer_ends_the_wait_and_so_does_its_limit() {
        let hal = FakeHal::new();
        let mut asked = 0;
        let answer = |asked: &mut u32, at| {
            *asked += 1;
            (*asked == at).then_some(*asked)
        };
        assert_eq!(poll(&hal, Duration::ZERO, || answer(&mut asked, 1)), Some(1));
        assert_eq!(poll(&hal, Duration::from_secs(1), || answer(&mut asked, 40)), Some(40));
        let start = hal.now();
        assert!(start < Duration::from_millis(30), "{start:?}");
        assert_eq!(poll(&hal, Duration::from_secs(1), || answer(&mut asked, 0)), None);
        let taken = hal.now() - start;
        assert!((1000..1002).contains(&taken.as_millis()), "{taken:?}");
        assert_eq!(asked, 40 + 16 + 1001);
    }
}
