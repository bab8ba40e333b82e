//! Queues from the reactors to Python: bounded, with a file descriptor that an event loop watches.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A queue that many reactors fill and one event loop drains.
///
/// The descriptor becomes readable when the queue goes from empty to non-empty and stays so until
/// [`WakeQueue::drain`] has emptied it: a wake-up costs far more than an item, so reactors push
/// once a turn.
#[derive(Debug)]
pub(crate) struct WakeQueue<T> {
    items: Mutex<VecDeque<T>>,
    capacity: usize,
    dropped: AtomicU64,
    reader: UnixStream,
    writer: UnixStream,
}

impl<T> WakeQueue<T> {
    /// A queue of at most `capacity` items; what happens at it is the caller's choice of
    /// [`WakeQueue::push_all`].
    pub(crate) fn new(capacity: usize) -> std::io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        Ok(Self {
            items: Mutex::new(VecDeque::new()),
            capacity,
            dropped: AtomicU64::new(0),
            reader,
            writer,
        })
    }

    /// The descriptor to watch for reading.
    pub(crate) fn fd(&self) -> RawFd {
        self.reader.as_raw_fd()
    }

    /// How many items were dropped because the queue was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Moves `batch` into the queue. When it is full the oldest item that `expendable` allows goes,
    /// and is returned to the caller; items that are not expendable are kept beyond the capacity:
    /// they are few, one a session.
    pub(crate) fn push_all(
        &self,
        batch: impl IntoIterator<Item = T>,
        expendable: impl Fn(&T) -> bool,
    ) -> Vec<T> {
        let mut lost = Vec::new();
        let mut items = self.lock();
        let was_empty = items.is_empty();
        for item in batch {
            if items.len() >= self.capacity
                && let Some(oldest) = items.iter().position(&expendable)
                && let Some(item) = items.remove(oldest)
            {
                lost.push(item);
            }
            items.push_back(item);
        }
        let wake = was_empty && !items.is_empty();
        drop(items);
        self.dropped.fetch_add(lost.len() as u64, Ordering::Relaxed);
        if wake {
            self.wake();
        }
        lost
    }

    /// Takes up to `max` items; the descriptor stays readable while any are left.
    pub(crate) fn drain(&self, max: usize) -> Vec<T> {
        let mut sink = [0u8; 64];
        // A short read is enough: the other side writes one byte per change from empty.
        while matches!((&self.reader).read(&mut sink), Ok(n) if n == sink.len()) {}
        let mut items = self.lock();
        let count = items.len().min(max);
        let batch = items.drain(..count).collect();
        let more = !items.is_empty();
        drop(items);
        if more {
            self.wake();
        }
        batch
    }

    fn wake(&self) {
        match (&self.writer).write(&[1]) {
            Ok(_) => {}
            // The pipe is full of wake-ups already.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => log::error!("cannot wake the event loop: {error}"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readable(queue: &WakeQueue<u32>) -> bool {
        let mut byte = [0u8; 1];
        let mut stream = queue.reader.try_clone().unwrap();
        let ready = stream.read(&mut byte).is_ok();
        if ready {
            queue.wake();
        }
        ready
    }

    #[test]
    fn the_descriptor_is_readable_exactly_while_there_are_items() {
        let queue = WakeQueue::new(8).unwrap();
        assert!(!readable(&queue));
        queue.push_all([1, 2, 3], |_| true);
        assert!(readable(&queue));
        assert_eq!(queue.drain(2), [1, 2]);
        assert!(readable(&queue));
        assert_eq!(queue.drain(2), [3]);
        assert!(!readable(&queue));
    }

    #[test]
    fn at_the_limit_the_oldest_expendable_item_goes() {
        let queue = WakeQueue::new(3).unwrap();
        // Even numbers stand for items that must not be lost.
        let lost = queue.push_all([2, 1, 3, 5, 4, 6, 8], |n| n % 2 == 1);
        assert_eq!(lost, [1, 3, 5]);
        assert_eq!(queue.dropped(), 3);
        assert_eq!(queue.drain(10), [2, 4, 6, 8]);
    }
}
