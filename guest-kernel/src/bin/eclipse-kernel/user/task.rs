//! A task in ring 3: its address space, its programs, and how it runs.

use alloc::string::{String, ToString};
use core::{arch::global_asm, fmt, fmt::Write as _, slice, time::Duration};

use eclipse_kernel::{
    syscall::{Call, Errno, Files, Outcome, Process, UserMemory},
    task::yield_now,
};
use x86_64::structures::paging::PageTableFlags as Flags;

use crate::{
    arch::{
        paging::{AddressSpace, DIRECT_MAP, PAGE},
        serial::Serial,
        user::{Context, Trap, USER_END},
    },
    memory, report,
};

global_asm!(include_str!("programs.s"), options(att_syntax));

/// Where the parts of a task lie; what is around each is not mapped, so that a stack that grows
/// too far faults.
const TEXT: u64 = 0x40_0000;
const PATH: u64 = 0x40_2000;
const STACK: u64 = 0x40_8000;
const STACK_BYTES: u64 = 4 * PAGE;

const USER: Flags = Flags::PRESENT.union(Flags::USER_ACCESSIBLE);
/// Text is not written, and nothing else is executed.
const DATA: Flags = USER.union(Flags::NO_EXECUTE);

/// What a task may run before others have their turn, and how often.
const SLICE: Duration = Duration::from_millis(20);
const SLICES: u32 = 10;

unsafe extern "C" {
    static user_programs_start: u8;
    static user_programs_end: u8;
    fn program_print();
    fn program_pointer();
    fn program_overwrite();
    fn program_number();
    fn program_registers();
    fn program_load();
    fn program_text();
    fn program_execute();
    fn program_stack();
    fn program_halt();
    fn program_lost();
    fn program_loop();
}

/// A program of user/programs.s.
#[derive(Clone, Copy)]
pub struct Program {
    /// Its name on the command line.
    pub name: &'static str,
    entry: unsafe extern "C" fn(),
}

const PROGRAMS: [Program; 12] = [
    Program { name: "print", entry: program_print },
    Program { name: "pointer", entry: program_pointer },
    Program { name: "overwrite", entry: program_overwrite },
    Program { name: "number", entry: program_number },
    Program { name: "registers", entry: program_registers },
    Program { name: "load", entry: program_load },
    Program { name: "text", entry: program_text },
    Program { name: "execute", entry: program_execute },
    Program { name: "stack", entry: program_stack },
    Program { name: "halt", entry: program_halt },
    Program { name: "lost", entry: program_lost },
    Program { name: "loop", entry: program_loop },
];

/// There is no such program.
#[derive(Debug, thiserror::Error)]
#[error("unknown program `{name}`: known are {known}", known = names())]
pub struct UnknownProgram {
    /// What was asked for.
    pub name: String,
}

fn names() -> String {
    PROGRAMS.map(|program| program.name).join(", ")
}

/// The program of that name.
///
/// # Errors
/// [`UnknownProgram`]
pub fn find(name: &str) -> Result<Program, UnknownProgram> {
    let found = PROGRAMS.into_iter().find(|program| program.name == name);
    found.ok_or_else(|| UnknownProgram { name: name.to_string() })
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Exit(u8),
    /// By an exception.
    Fault,
    /// It left its address space.
    Lost,
    /// It did not end.
    Late,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(status) => write!(f, "exited with status {status}"),
            Self::Fault => f.write_str("was ended by an exception"),
            Self::Lost => f.write_str("was ended: its stack or code is at no address"),
            Self::Late => f.write_str("was ended: it took too long"),
        }
    }
}

/// A task's memory.
pub struct Space {
    space: AddressSpace,
}

impl Space {
    /// With the programs, `path`, and a stack; `None` when memory is short.
    pub fn new(path: &str) -> Option<Self> {
        let mut space = memory::create_task_space()?;
        let (start, end) = (&raw const user_programs_start, &raw const user_programs_end);
        // SAFETY: the programs lie between the two, and nothing writes there.
        let programs = unsafe { slice::from_raw_parts(start, end.addr() - start.addr()) };
        let mut map = |virt, content: &[u8], len: u64, flags| {
            memory::map_for_task(&mut space, virt, content, len, flags)
        };
        map(TEXT, programs, programs.len() as u64, USER)?;
        let path = [path.as_bytes(), b"\0"].concat();
        map(PATH, &path, path.len() as u64, DATA)?;
        map(STACK, &[], STACK_BYTES, DATA | Flags::WRITABLE)?;
        Some(Self { space })
    }

    /// Runs a program to its end.
    pub async fn run(&mut self, program: Program, files: &mut impl Files) -> End {
        let entry = program.entry as *const () as u64 - &raw const user_programs_start as u64;
        let mut context = Context::new(TEXT + entry, STACK + STACK_BYTES, PATH);
        let mut process = Process::new();
        let end = self.run_context(&mut context, &mut process, files).await;
        process.end(files).await;
        end
    }

    async fn run_context(
        &mut self,
        context: &mut Context,
        process: &mut Process,
        files: &mut impl Files,
    ) -> End {
        let mut slices = 0;
        loop {
            // SAFETY: the task's address space is active, and has the kernel in its upper half,
            // which is not for ring 3.
            match memory::inside(&self.space, || unsafe { context.run(SLICE) }) {
                Trap::Call => {
                    let Context { rax: number, rdi, rsi, rdx, .. } = *context;
                    let call = Call { number, arguments: [rdi, rsi, rdx] };
                    match process.call(call, self, files, &mut print).await {
                        Outcome::Return(value) => context.rax = value,
                        Outcome::Exit(status) => return End::Exit(status),
                    }
                }
                Trap::TimeOver => slices += 1,
                Trap::Fault(frame) => {
                    report::task_exception(&frame);
                    return End::Fault;
                }
                Trap::Lost => return End::Lost,
            }
            if slices == SLICES {
                return End::Late;
            }
            yield_now().await;
        }
    }

    /// Gives the memory back.
    pub fn release(self) {
        memory::release_task_space(self.space);
    }

    /// Calls `each` for the parts of a range that lie in one page each: where the part is in the
    /// direct map, and its bytes. Not at all if the task has not the rights to every page.
    fn pages(
        &self,
        address: u64,
        len: u64,
        rights: Flags,
        mut each: impl FnMut(u64, usize),
    ) -> Result<(), Errno> {
        let end = address.checked_add(len).filter(|&end| end <= USER_END).ok_or(Errno::Fault)?;
        let parts = || {
            let mut at = address;
            core::iter::from_fn(move || {
                let part = (PAGE - at % PAGE).min(end - at);
                at += part;
                (part > 0).then_some((at - part, part))
            })
        };
        let translate = |at| self.space.translate_for(at, rights).ok_or(Errno::Fault);
        parts().try_for_each(|(at, _)| translate(at).map(drop))?;
        for (at, part) in parts() {
            each(DIRECT_MAP + translate(at)?, part as usize);
        }
        Ok(())
    }
}

impl UserMemory for Space {
    fn load(&self, address: u64, into: &mut [u8]) -> Result<(), Errno> {
        let len = into.len() as u64;
        let mut rest = into;
        self.pages(address, len, USER, |at, part| {
            let (now, later) = core::mem::take(&mut rest).split_at_mut(part);
            // SAFETY: the page is the task's, which does not run now, and the direct map holds it.
            now.copy_from_slice(unsafe { slice::from_raw_parts(at as *const u8, part) });
            rest = later;
        })
    }

    fn store(&mut self, address: u64, data: &[u8]) -> Result<(), Errno> {
        let mut rest = data;
        self.pages(address, data.len() as u64, USER | Flags::WRITABLE, |at, part| {
            let (now, later) = rest.split_at(part);
            // SAFETY: as for loads, and the task may store there itself.
            unsafe { slice::from_raw_parts_mut(at as *mut u8, part) }.copy_from_slice(now);
            rest = later;
        })
    }

    fn writable(&self, address: u64, len: u64) -> Result<(), Errno> {
        self.pages(address, len, USER | Flags::WRITABLE, |_, _| {})
    }
}

/// What the task writes to the console.
fn print(bytes: &[u8]) {
    // The UART refuses nothing.
    let _ = Serial.write_str(&String::from_utf8_lossy(bytes));
}
