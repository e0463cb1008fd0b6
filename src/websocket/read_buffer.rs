//! The one read buffer of a thread, lent to the connection that reads: a waiting connection needs none of its own.

use std::cell::Cell;

/// Bytes per read; each thread has one such buffer.
pub(super) const READ_BYTES: usize = 16 * 1024;

thread_local! {
    static READ_BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Lends the thread's read buffer.
pub(super) fn with_read_buffer<R>(read: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buffer = READ_BUFFER
        .take()
        .unwrap_or_else(|| vec![0; READ_BYTES].into_boxed_slice());
    let result = read(&mut buffer);
    READ_BUFFER.set(Some(buffer));
    result
}
