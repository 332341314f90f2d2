//! The transcripts that were written by hand, and the part of a run that each is about.
//!
//! They were written from VIRTIO 1.4 and PCI 3.0 before the code that they judge,
//! and hold wherever the scenario runs. No tool rewrites them, and a test program
//! holds their text, so that it can be run on another machine by itself.

use eclipse_trace::Entry;

use crate::slice;

/// A scenario, and what its driver is to do.
pub struct Expected {
    /// The guest's command line.
    pub cmdline: &'static str,
    part: for<'a> fn(&'a [Entry]) -> &'a [Entry],
    transcript: &'static str,
}

impl Expected {
    /// Asserts that the part of `entries` that this is about is as expected, whole.
    ///
    /// # Panics
    /// It is not; the message has the difference.
    pub fn assert(&self, entries: &[Entry]) {
        let actual = slice::transcript((self.part)(entries), entries);
        let lines = self.transcript.lines().zip(actual.lines());
        let same = lines.take_while(|(expected, actual)| expected == actual).count();
        let show = |text: &str| {
            let from = same.saturating_sub(3);
            text.lines().skip(from).take(12).map(|line| format!("  {line}\n")).collect::<String>()
        };
        assert!(
            actual == self.transcript,
            "{}: line {} differs; expected\n{}but found\n{}",
            self.cmdline,
            same + 1,
            show(self.transcript),
            show(&actual),
        );
    }
}

/// Each function is read once, and an absent one no further than its vendor ID.
pub fn pci_discovery() -> Expected {
    Expected {
        cmdline: "scenario=pci",
        part: |entries| {
            slice::between(
                entries,
                "[PCI] Initializing PCI subsystem...",
                "[PCI]   Bus 0 Device 4 Func 0: Vendor=0x1AF4 Device=0x1042 Class=0x01 \
                 Type=SCSI Controller [VirtIO]",
            )
        },
        transcript: include_str!("../expected/pci_discovery.txt"),
    }
}

/// The steps of VIRTIO 1.4, 3.1.1, up to a real read.
pub fn virtio_initialisation() -> Expected {
    Expected {
        cmdline: "scenario=init",
        part: |entries| {
            slice::between(entries, "[VirtIO] Initializing VirtIO devices...", INITIALISED)
        },
        transcript: include_str!("../expected/virtio_initialisation.txt"),
    }
}

/// One notification, one request, one interrupt.
pub fn read_one_sector() -> Expected {
    Expected {
        cmdline: "scenario=read sector=3",
        part: |entries| slice::after(entries, INITIALISED),
        transcript: include_str!("../expected/read_one_sector.txt"),
    }
}

/// A write, and the flush that makes it last, which carries no data.
pub fn write_and_flush() -> Expected {
    Expected {
        cmdline: "scenario=write sector=300",
        part: |entries| slice::after(entries, INITIALISED),
        transcript: include_str!("../expected/write_and_flush.txt"),
    }
}

const INITIALISED: &str = "[VirtIO] Real PCI device initialized successfully";
