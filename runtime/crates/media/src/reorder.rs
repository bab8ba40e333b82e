//! Packets by sequence number, from arrival until they are decoded or given up.

use std::collections::VecDeque;

use remotemedia_core::Micros;

/// The most packets that wait. When one more comes, the oldest is dropped and counted: the gap
/// before it has by then been waited for far too long.
pub(crate) const MAX_PENDING: usize = 64;
/// The longest payload kept: what fits into a datagram on any usual path.
pub(crate) const MAX_PAYLOAD: usize = 1_500;
/// Buffers kept for reuse; a burst's other buffers are freed.
const MAX_FREE: usize = 8;

/// A packet that waits to be decoded.
#[derive(Debug)]
pub(crate) struct Packet {
    /// Extended sequence number.
    pub(crate) number: u64,
    pub(crate) timestamp: u32,
    /// `timestamp` on the receiver's unwrapped time line.
    pub(crate) ticks: i64,
    pub(crate) arrival: Micros,
    pub(crate) payload: Vec<u8>,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// Newest so far.
    InOrder,
    /// Waited for, and here.
    Reordered,
    /// The same number came before.
    Duplicate,
    /// Its place was given up before it came.
    Late,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Reorder {
    /// Ascending by number; all are `next` or later.
    pending: VecDeque<Packet>,
    free: Vec<Vec<u8>>,
    /// The number to decode next.
    next: u64,
    /// Bit `n`: number `next - 1 - n` was decoded, not given up.
    decoded: u128,
}

impl Reorder {
    pub(crate) fn new(next: u64) -> Self {
        Self { pending: VecDeque::new(), free: Vec::new(), next, decoded: 0 }
    }

    /// Starts anew at `next` and returns how many packets that threw away.
    pub(crate) fn restart(&mut self, next: u64) -> usize {
        let dropped = self.pending.len();
        while let Some(packet) = self.pending.pop_front() {
            self.recycle(packet.payload);
        }
        self.next = next;
        self.decoded = 0;
        dropped
    }

    /// Where a packet of this number would go, without taking it.
    pub(crate) fn place(&self, number: u64) -> Inserted {
        if let Some(age) = self.next.checked_sub(number + 1) {
            let known = age < 128 && self.decoded >> age & 1 == 1;
            return if known { Inserted::Duplicate } else { Inserted::Late };
        }
        match self.pending.back() {
            Some(last) if number <= last.number => {
                if self.pending.iter().any(|packet| packet.number == number) {
                    Inserted::Duplicate
                } else {
                    Inserted::Reordered
                }
            }
            _ => Inserted::InOrder,
        }
    }

    /// Takes a packet whose [`Reorder::place`] is `InOrder` or `Reordered`. Returns true when that
    /// pushed the oldest one out.
    pub(crate) fn insert(
        &mut self,
        number: u64,
        timestamp: u32,
        ticks: i64,
        arrival: Micros,
        payload: &[u8],
    ) -> bool {
        let mut buffer = self.free.pop().unwrap_or_default();
        buffer.extend_from_slice(payload);
        let packet = Packet { number, timestamp, ticks, arrival, payload: buffer };
        let index = self.pending.partition_point(|other| other.number < number);
        self.pending.insert(index, packet);
        if self.pending.len() <= MAX_PENDING {
            return false;
        }
        if let Some(oldest) = self.pending.pop_front() {
            self.recycle(oldest.payload);
        }
        true
    }

    /// When the first packet sent after this one arrived: since then it has been known to be missing.
    pub(crate) fn revealed_at(&self, number: u64) -> Option<Micros> {
        let later = self.pending.iter().filter(|packet| packet.number > number);
        later.map(|packet| packet.arrival).min()
    }

    /// How many packets wait.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// The oldest packet that waits.
    pub(crate) fn front(&self) -> Option<&Packet> {
        self.pending.front()
    }

    /// How many packets are missing before the front one.
    pub(crate) fn missing(&self) -> u64 {
        self.pending.front().map_or(0, |front| front.number - self.next)
    }

    /// Whether waiting any longer would cost packets.
    pub(crate) fn is_full(&self) -> bool {
        self.pending.len() >= MAX_PENDING
    }

    /// The number to decode next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Takes the front packet and gives up what is missing before it. Its payload comes back with
    /// [`Reorder::recycle`].
    pub(crate) fn pop(&mut self) -> Option<Packet> {
        let packet = self.pending.pop_front()?;
        let step = packet.number + 1 - self.next;
        self.decoded = if step < 128 { self.decoded << step } else { 0 } | 1;
        self.next = packet.number + 1;
        Some(packet)
    }

    pub(crate) fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.free.len() < MAX_FREE {
            buffer.clear();
            self.free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(reorder: &mut Reorder, number: u64) -> bool {
        reorder.insert(number, 0, 0, Micros::ZERO, &[number as u8])
    }

    #[test]
    fn packets_come_out_by_number() {
        let mut reorder = Reorder::new(10);
        for number in [10, 12, 13, 11] {
            insert(&mut reorder, number);
        }
        let order: Vec<u64> =
            std::iter::from_fn(|| reorder.pop()).map(|packet| packet.number).collect();
        assert_eq!(order, [10, 11, 12, 13]);
    }

    #[test]
    fn the_place_of_a_packet_is_known() {
        let mut reorder = Reorder::new(10);
        insert(&mut reorder, 10);
        insert(&mut reorder, 13);
        assert_eq!(reorder.place(14), Inserted::InOrder);
        assert_eq!(reorder.place(12), Inserted::Reordered);
        assert_eq!(reorder.place(13), Inserted::Duplicate);
        reorder.pop();
        assert_eq!(reorder.missing(), 2);
        reorder.pop();
        assert_eq!(reorder.place(13), Inserted::Duplicate);
        assert_eq!(reorder.place(10), Inserted::Duplicate);
        assert_eq!(reorder.place(12), Inserted::Late);
        assert_eq!(reorder.place(9), Inserted::Late);
    }

    #[test]
    fn a_full_buffer_drops_the_oldest() {
        let mut reorder = Reorder::new(0);
        for number in 1..=MAX_PENDING as u64 {
            assert!(!insert(&mut reorder, number));
        }
        assert!(reorder.is_full());
        assert!(insert(&mut reorder, MAX_PENDING as u64 + 1));
        assert_eq!(reorder.front().map(|packet| packet.number), Some(2));
    }
}
