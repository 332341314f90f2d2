//! Interrupts by the pin (PCI 3.0, 2.2.6).

use super::{BUS_MASTER, Config, Each, INTX_DISABLE, IO, MEMORY};
use crate::register::LegacyCfg;
use crate::rules::{At, Check, EndOf, Level, Needs, Out, Rule, Sees};
use crate::{Bdf, Event, Register};

pub(super) const RULES: &[Rule] = &[Rule {
    id: "P26",
    clause: "PCI 3.0, 2.2.6",
    level: Level::Should,
    needs: Needs::Occasion,
    text: "A driver that has switched the interrupt pin on makes the device let go of it, by a \
           load of the ISR status.",
    sees: Sees::CONFIG_STORE
        .union(Sees::STATUS)
        .union(Sees::NOTIFY)
        .union(Sees::ISR)
        .union(Sees::LEGACY)
        .union(Sees::INTERRUPT),
    start: || Box::<Lines>::default(),
}];

/// The pin of a function.
#[derive(Default)]
struct Line {
    /// The driver switched it on since it reset the device. Where it was on before, the driver
    /// may poll, and leave the line masked.
    wanted: bool,
    asserted: bool,
    /// Notifications since it was asserted: the driver has seen that its requests are done.
    notified: u32,
    /// Loads of the ISR status since the reset.
    loads: u32,
}

impl Line {
    fn judge(&self, function: Bdf, out: &mut Out<'_>) {
        if self.wanted && self.asserted && self.loads == 0 && self.notified != 0 {
            let seen = format!("{} notifications of {function} meanwhile", self.notified);
            out.broken("a load of the ISR status while the pin is asserted", seen);
        }
    }
}

#[derive(Default)]
struct Lines {
    functions: Each<Line>,
}

impl Check for Lines {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(function) = at.function() else { return };
        if let Event::Intx { asserted, .. } = at.entry.event {
            let line = self.functions.at(function);
            (line.asserted, line.notified) = (asserted, 0);
            return;
        }
        if let Some(config) = Config::of(at) {
            if let Some((Some(before), command)) = config.command(at) {
                let used = command & (IO | MEMORY | BUS_MASTER) != 0;
                let line = self.functions.at(function);
                line.wanted = used
                    && command & INTX_DISABLE == 0
                    && (line.wanted || before & INTX_DISABLE != 0);
            }
            return;
        }
        let Some((_, line)) = self.functions.0.iter_mut().find(|(other, _)| *other == function)
        else {
            return;
        };
        match at.register() {
            Some((
                Register::Isr { .. } | Register::Legacy { register: LegacyCfg::IsrStatus, .. },
                access,
                None,
            )) if !access.is_store() => {
                line.loads = line.loads.saturating_add(1);
                if line.asserted {
                    out.kept();
                }
            }
            _ if at.status_store() == Some(0) => {
                line.judge(function, out);
                *line = Line::default();
            }
            _ if at.notification().is_some() && line.asserted => {
                line.notified = line.notified.saturating_add(1);
            }
            _ => {}
        }
    }

    fn end(&mut self, _end: &EndOf<'_>, out: &mut Out<'_>) {
        self.functions.0.iter().for_each(|(function, line)| line.judge(*function, out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pin;
    use crate::register::ConfigHeader;
    use crate::rules::testing::{BLOCK, Transcript};

    fn pin(driver: &mut Transcript, asserted: bool) {
        driver.device(Event::Intx { pin: Pin::A, gsi: 10, asserted });
    }

    /// A driver whose first request made the device assert its pin.
    fn asserted(commands: &[u64]) -> Transcript {
        let mut driver = Transcript::new();
        driver.status(&[0, 1, 3]);
        for command in commands {
            driver.store(Transcript::header(BLOCK, ConfigHeader::Command), 2, *command);
        }
        driver.status(&[0xb, 0xf]);
        driver.notify(0);
        pin(&mut driver, true);
        driver
    }

    #[test]
    fn the_pin_is_let_go_of() {
        let mut driver = asserted(&[0x0406, 0x0006]);
        driver.load(Register::Isr { function: BLOCK }, 1, 1);
        pin(&mut driver, false);
        driver.notify(0);
        pin(&mut driver, true);
        driver.notify(0);
        driver.status(&[0]);
        driver.keeps("P26", 1);
    }

    #[test]
    fn who_goes_on_without_is_seen() {
        let mut driver = asserted(&[0x0407, 0x0007]);
        driver.keeps("P26", 0);
        driver.notify(0);
        let seen = ["1 notifications of 00:04.0 meanwhile"];
        driver.breaks("P26", &seen);
        driver.status(&[0]);
        driver.breaks("P26", &seen);
    }

    #[test]
    fn who_polls_may_leave_the_pin_as_it_is() {
        for commands in [&[][..], &[0x0006], &[0x0406, 0], &[0x0406, 0x0006, 0x0406]] {
            let mut driver = asserted(commands);
            driver.notify(0);
            driver.keeps("P26", 0);
        }
    }
}
