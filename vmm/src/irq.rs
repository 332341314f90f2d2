//! The wires that leave the devices: interrupts to KVM's chips, console bytes to the user.

use std::{io, sync::Arc};

use eclipse_devices::Wires;
use kvm_bindings::kvm_msi;
use kvm_ioctls::VmFd;

use crate::{Console, Error, host_loop::Control};

/// Console bytes beyond this are printed but not kept.
const KEPT: usize = 1 << 20;

/// The addresses of interrupt messages (Intel SDM 3A, 11.11.1): a message elsewhere would be a
/// plain store that no processor hears.
const MESSAGES: u64 = 0xFEE0_0000;
const MESSAGES_MASK: u64 = !0xF_FFFF;

/// Where interrupts and console bytes go.
pub(crate) struct Lines {
    vm: Arc<VmFd>,
    console: Option<Box<dyn Console>>,
    control: Arc<Control>,
    /// What the guest printed, up to [`KEPT`] bytes.
    pub printed: Vec<u8>,
    /// The first failure of the host; the run ends with it.
    pub failure: Option<Error>,
}

impl Lines {
    pub fn new(vm: Arc<VmFd>, console: Option<Box<dyn Console>>, control: Arc<Control>) -> Self {
        Self { vm, console, control, printed: Vec::new(), failure: None }
    }

    /// The host cannot go on.
    pub fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }
}

impl Wires for Lines {
    fn msi(&mut self, address: u64, data: u32) {
        if address & MESSAGES_MASK != MESSAGES {
            return;
        }
        let msi = kvm_msi {
            address_lo: u32::try_from(address).expect("messages go below 4 GiB"),
            data,
            ..Default::default()
        };
        match self.vm.signal_msi(msi) {
            Ok(_) => {}
            // The guest named a processor that does not exist, or a mode that KVM does not know:
            // its message is lost, as on a real bus.
            Err(error) if matches!(error.errno(), libc::EPERM | libc::EINVAL) => {}
            Err(error) => self.fail(Error::kvm("send a message-signalled interrupt")(error)),
        }
    }

    fn line(&mut self, gsi: u32, level: bool) {
        if let Err(error) = self.vm.set_irq_line(gsi, level) {
            self.fail(Error::kvm("set an interrupt line")(error));
        }
    }

    fn stopping(&self) -> bool {
        self.control.stopping()
    }

    fn console(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.printed.len()).min(bytes.len());
        self.printed.extend_from_slice(&bytes[..room]);
        let Some(console) = &mut self.console else { return };
        match console.print(bytes, &|| self.control.stopping()) {
            Ok(()) => {}
            // Nobody reads any more: the guest may go on without a listener.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.console = None,
            Err(error) => {
                self.console = None;
                self.fail(Error::host("print what the guest prints")(error));
            }
        }
    }
}
