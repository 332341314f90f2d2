//! The interrupt pin (PCI 3.0, 2.2.6 and 6.2.4; VIRTIO 1.4, 4.1.5.3).

use super::super::state::PerFunction;
use super::super::vectors::msix_enabled;
use super::super::{At, Check, Level, Needs, Out, Rule, Sees};
use crate::register::LegacyCfg;
use crate::{Access, Bdf, Event, Register};

pub(in crate::rules) const RULES: &[Rule] = &[Rule {
    id: "P26",
    clause: "PCI 3.0, 2.2.6",
    level: Level::Should,
    needs: Needs::Occasion,
    text: "For an interrupt by the pin the ISR status is read once.",
    sees: Sees::ISR
        .union(Sees::LEGACY)
        .union(Sees::INTERRUPT)
        .union(Sees::NOTIFY)
        .union(Sees::COMMON)
        .union(Sees::FAULT),
    start: || Box::<Once>::default(),
}];

/// The reads of the ISR status that had something to tell.
#[derive(Default)]
struct Once {
    functions: PerFunction<Line>,
    /// A fault sent an interrupt for nothing, and all may look.
    spurious: bool,
}

#[derive(Default)]
struct Line {
    gsi: Option<u32>,
    /// The pin was asserted, and the ISR status read for that.
    read: bool,
}

impl Once {
    /// A line that goes up can be anybody's who is wired to it.
    fn asserted(&mut self, function: Bdf, gsi: u32) {
        self.functions.of(function).gsi = Some(gsi);
        for (_, line) in self.functions.iter_mut().filter(|(_, line)| line.gsi == Some(gsi)) {
            line.read = false;
        }
    }
}

impl Check for Once {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(function) = at.function() else { return };
        match at.entry.event {
            Event::Intx { gsi, asserted: true, .. } => return self.asserted(function, gsi),
            Event::Fault { .. } => self.spurious = true,
            _ => {}
        }
        if let Some(value) = isr(at) {
            let Some(line) = self.functions.get(function).filter(|line| line.gsi.is_some()) else {
                return;
            };
            if value != 0 {
                line.read = true;
                out.kept();
            } else if std::mem::take(&mut line.read) && !self.spurious && !msix_enabled(at) {
                out.broken("one load of the ISR status", "a second one, which is 0");
            }
        } else if at.notification().is_some() || at.status_store().is_some() {
            // From here on there can be something new.
            if let Some(line) = self.functions.get(function) {
                line.read = false;
            }
        }
    }
}

/// The value, if this loads the ISR status, over whichever transport.
fn isr(at: &At<'_>) -> Option<u64> {
    match at.register()? {
        (
            Register::Isr { .. } | Register::Legacy { register: LegacyCfg::IsrStatus, .. },
            Access::Load { value, .. },
            None,
        ) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{BLOCK, Transcript};
    use crate::{Actor, Bdf, Event, Pin, Register};

    fn pin(driver: &mut Transcript, function: Bdf, asserted: bool) {
        let event = Event::Intx { pin: Pin::A, gsi: 10, asserted };
        driver.recorder.record(Actor::Device(function), event);
    }

    fn isr(driver: &mut Transcript, value: u64) {
        driver.load(Register::Isr { function: BLOCK }, 1, value);
    }

    fn interrupted() -> Transcript {
        let mut driver = Transcript::driven(0);
        pin(&mut driver, BLOCK, true);
        pin(&mut driver, BLOCK, false);
        isr(&mut driver, 1);
        driver
    }

    #[test]
    fn the_status_is_read_once() {
        let mut driver = interrupted();
        driver.notify(0);
        isr(&mut driver, 0);
        isr(&mut driver, 0);
        driver.keeps("P26", 1);
        let mut twice = interrupted();
        isr(&mut twice, 0);
        twice.breaks("P26", &["a second one, which is 0"]);
    }

    #[test]
    fn another_function_of_the_line_is_a_reason_to_look() {
        let mut driver = interrupted();
        pin(&mut driver, Bdf::new(0, 8, 0), true);
        isr(&mut driver, 0);
        driver.keeps("P26", 1);
    }

    #[test]
    fn polling_is_no_interrupt() {
        let mut driver = Transcript::driven(0);
        isr(&mut driver, 1);
        isr(&mut driver, 0);
        driver.keeps("P26", 0);
    }
}
