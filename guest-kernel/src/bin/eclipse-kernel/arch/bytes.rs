//! The memory routines that compiled code calls, by their names in C.

use eclipse_kernel::bytes::{compare, copy, copy_up, fill};

/// C's `memcpy`.
///
/// # Safety
/// `source` is readable and `dest` writable for `len` bytes, and the two do not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(dest: *mut u8, source: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe { copy_up(dest, source, len) };
    dest
}

/// C's `memmove`.
///
/// # Safety
/// `source` is readable and `dest` writable for `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(dest: *mut u8, source: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe { copy(dest, source, len) };
    dest
}

/// C's `memset`.
///
/// # Safety
/// `dest` is writable for `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(dest: *mut u8, value: i32, len: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe { fill(dest, value as u8, len) };
    dest
}

/// C's `memcmp`.
///
/// # Safety
/// `left` and `right` are readable for `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { compare(left, right, len) }
}

/// C's `bcmp`: 0 when the bytes are the same.
///
/// # Safety
/// As for `memcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { compare(left, right, len) }
}
