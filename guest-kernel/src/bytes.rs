//! Copying, filling and comparing memory, for machines that emulate their guest.
//!
//! Such a machine pays for each instruction and each repetition, so all of this
//! moves eight bytes at a time. The bootable image builds C's memory routines on it.

use core::arch::asm;

/// Copies `len` bytes from `source` to `dest`, which may overlap in any way.
///
/// # Safety
/// `source` is readable and `dest` writable for `len` bytes.
#[inline]
pub unsafe fn copy(dest: *mut u8, source: *const u8, len: usize) {
    // SAFETY: the caller's promise; a copy upward is right unless `dest` lies inside the source,
    // and a copy downward is right if it does.
    unsafe {
        if dest.addr().wrapping_sub(source.addr()) >= len {
            copy_up(dest, source, len);
        } else {
            copy_down(dest, source, len);
        }
    }
}

/// Copies `len` bytes from the lowest on.
///
/// # Safety
/// As for [`copy`], and `dest` does not lie inside the source.
#[inline]
pub unsafe fn copy_up(dest: *mut u8, source: *const u8, len: usize) {
    // SAFETY: the two string instructions together access the `len` bytes at either pointer.
    unsafe {
        asm!(
            "rep movsq",
            "mov ecx, {rest:e}",
            "rep movsb",
            rest = in(reg) len & 7,
            inout("rcx") len >> 3 => _,
            inout("rdi") dest => _,
            inout("rsi") source => _,
            options(nostack, preserves_flags),
        );
    }
}

/// Copies `len` bytes from the highest on.
///
/// # Safety
/// As for [`copy`], and the source does not lie inside what `dest` begins.
unsafe fn copy_down(dest: *mut u8, source: *const u8, len: usize) {
    // SAFETY: the two string instructions together access the `len` bytes at either pointer, and
    // the direction flag is clear again at the end.
    unsafe {
        asm!(
            "std",
            "rep movsb",
            "sub rdi, 7",
            "sub rsi, 7",
            "mov rcx, {words}",
            "rep movsq",
            "cld",
            words = in(reg) len >> 3,
            inout("rcx") len & 7 => _,
            inout("rdi") dest.wrapping_add(len).wrapping_sub(1) => _,
            inout("rsi") source.wrapping_add(len).wrapping_sub(1) => _,
            options(nostack),
        );
    }
}

/// Sets `len` bytes to `value`.
///
/// # Safety
/// `dest` is writable for `len` bytes.
#[inline]
pub unsafe fn fill(dest: *mut u8, value: u8, len: usize) {
    // SAFETY: the two string instructions together write the `len` bytes at `dest`.
    unsafe {
        asm!(
            "rep stosq",
            "mov ecx, {rest:e}",
            "rep stosb",
            rest = in(reg) len & 7,
            in("rax") u64::from(value) * 0x0101_0101_0101_0101,
            inout("rcx") len >> 3 => _,
            inout("rdi") dest => _,
            options(nostack, preserves_flags),
        );
    }
}

/// Compares `len` bytes: negative, 0 or positive as the first that differs is less, or none is, or
/// it is greater at `left`.
///
/// # Safety
/// `left` and `right` are readable for `len` bytes.
#[inline]
pub unsafe fn compare(left: *const u8, right: *const u8, len: usize) -> i32 {
    let (greater, less): (u8, u8);
    // SAFETY: the two string instructions together access at most the `len` bytes at either pointer.
    unsafe {
        asm!(
            // Equal, for a length at which the string instructions do nothing.
            "cmp ecx, ecx",
            "repe cmpsq",
            "je 2f",
            // The lowest of these eight bytes that differs decides.
            "sub rsi, 8",
            "sub rdi, 8",
            "mov ecx, 8",
            "jmp 3f",
            "2:",
            "mov ecx, {rest:e}",
            "3:",
            "repe cmpsb",
            "seta {greater}",
            "setb {less}",
            rest = in(reg) len & 7,
            greater = lateout(reg_byte) greater,
            less = lateout(reg_byte) less,
            inout("rcx") len >> 3 => _,
            inout("rsi") left => _,
            inout("rdi") right => _,
            options(nostack, readonly),
        );
    }
    i32::from(greater) - i32::from(less)
}

#[cfg(test)]
mod tests {
    use super::{compare, copy, copy_up, fill};

    /// Bytes that are all different, as far as there are so many.
    fn pattern() -> [u8; 64] {
        core::array::from_fn(|i| i as u8 + 1)
    }

    #[test]
    fn a_copy_is_exact_at_every_length_offset_and_overlap() {
        for len in 0..40 {
            for from in 0..24 {
                for to in 0..24 {
                    let (mut ours, mut theirs) = (pattern(), pattern());
                    theirs.copy_within(from..from + len, to);
                    let memory = ours.as_mut_ptr();
                    // SAFETY: both ranges end before byte 64.
                    unsafe { copy(memory.add(to), memory.add(from), len) };
                    assert_eq!(ours, theirs, "{len} bytes from {from} to {to}");
                }
            }
        }
    }

    #[test]
    fn a_copy_upward_is_exact_at_every_length() {
        for len in 0..=64 {
            let (source, mut ours, mut theirs) = (pattern(), [0; 64], [0; 64]);
            theirs[..len].copy_from_slice(&source[..len]);
            // SAFETY: both arrays have at least `len` bytes.
            unsafe { copy_up(ours.as_mut_ptr(), source.as_ptr(), len) };
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn a_fill_is_exact_at_every_length_and_offset() {
        for len in 0..40 {
            for from in 0..24 {
                let (mut ours, mut theirs) = (pattern(), pattern());
                theirs[from..from + len].fill(0xA5);
                // SAFETY: the range ends before byte 64.
                unsafe { fill(ours.as_mut_ptr().add(from), 0xA5, len) };
                assert_eq!(ours, theirs);
            }
        }
    }

    #[test]
    fn a_comparison_orders_as_slices_do() {
        for len in 0..40 {
            for at in 0..=len {
                for (a, b) in [(0, 1), (1, 0), (0x7F, 0x80), (0xFF, 0)] {
                    let (mut left, mut right) = (pattern(), pattern());
                    (left[at], right[at]) = (a, b);
                    // SAFETY: both arrays have at least `len` bytes.
                    let ours = unsafe { compare(left.as_ptr(), right.as_ptr(), len) };
                    assert_eq!(ours.cmp(&0), left[..len].cmp(&right[..len]), "{len} at {at}");
                }
            }
        }
    }
}
