use std::time::{Duration, Instant};

/// Nanoseconds in one bucket of the histogram.
const BUCKET: u128 = 20;

/// Where a run's time went.
#[derive(Clone, Debug)]
pub struct Timing {
    /// When the processor was first started.
    pub began: Option<Instant>,
    /// Time in KVM_RUN: the guest, and KVM on its behalf.
    pub guest: Duration,
    /// Time between KVM_RUNs: devices and record.
    pub vmm: Duration,
    /// How often the guest left to the VMM.
    pub exits: u64,
    /// Recorded accesses by the time that their exits took; the last bucket has the longer ones.
    took: [u32; 256],
}

impl Default for Timing {
    fn default() -> Self {
        Self { began: None, guest: Duration::ZERO, vmm: Duration::ZERO, exits: 0, took: [0; 256] }
    }
}

impl Timing {
    pub(crate) fn begin(&mut self, now: Instant) {
        self.began = Some(now);
    }

    #[inline]
    pub(crate) fn guest(&mut self, time: Duration) {
        self.guest += time;
        self.exits += 1;
    }

    #[inline]
    pub(crate) fn vmm(&mut self, time: Duration, recorded: bool) {
        self.vmm += time;
        if recorded {
            let bucket = usize::try_from(time.as_nanos() / BUCKET).unwrap_or(usize::MAX);
            self.took[bucket.min(255)] += 1;
        }
    }

    /// The median time of an access that is on record, from the guest's exit to its return: to
    /// 20 ns, or 5 µs where it took longer. None if there is no such access.
    pub fn median_access(&self) -> Option<Duration> {
        let half = self.took.iter().map(|&count| u64::from(count)).sum::<u64>().div_ceil(2);
        let mut seen = 0;
        let bucket = self.took.iter().position(|&count| {
            seen += u64::from(count);
            seen >= half.max(1)
        })?;
        let nanos = BUCKET * u128::try_from(bucket).unwrap_or(0);
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_over_recorded_accesses() {
        let mut timing = Timing::default();
        assert_eq!(timing.median_access(), None);
        for (nanos, recorded) in [(450, true), (90, true), (10_000_000, true), (1, false)] {
            timing.vmm(Duration::from_nanos(nanos), recorded);
        }
        assert_eq!(timing.median_access(), Some(Duration::from_nanos(440)));
        assert_eq!(timing.vmm, Duration::from_nanos(10_000_541));
    }
}
