//! When each peer wants to be called, without looking at all of them.

use remotemedia_core::{Key, Micros};

/// A binary heap of deadlines with one entry a peer, which can move.
#[derive(Default)]
pub(crate) struct Timers {
    heap: Vec<(Micros, Key)>,
    /// By place of the peer: where its entry lies in the heap.
    places: Vec<Option<usize>>,
}

impl Timers {
    /// Sets a peer's deadline, or clears it. The peer's key may be stale only to clear.
    pub(crate) fn set(&mut self, peer: Key, deadline: Option<Micros>) {
        if self.places.len() <= peer.index() {
            self.places.resize(peer.index() + 1, None);
        }
        match (self.places[peer.index()], deadline) {
            (None, None) => {}
            (None, Some(at)) => {
                self.heap.push((at, peer));
                self.rise(self.heap.len() - 1);
            }
            (Some(place), Some(at)) => {
                self.heap[place] = (at, peer);
                let place = self.rise(place);
                self.sink(place);
            }
            (Some(place), None) => {
                self.heap.swap_remove(place);
                self.places[peer.index()] = None;
                if place < self.heap.len() {
                    let place = self.rise(place);
                    self.sink(place);
                }
            }
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Micros> {
        self.heap.first().map(|(at, _)| *at)
    }

    /// Peers with a deadline.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Takes the next peer whose deadline has come.
    pub(crate) fn pop(&mut self, now: Micros) -> Option<Key> {
        let (at, peer) = *self.heap.first()?;
        if at > now {
            return None;
        }
        self.set(peer, None);
        Some(peer)
    }

    fn put(&mut self, place: usize, entry: (Micros, Key)) {
        self.heap[place] = entry;
        self.places[entry.1.index()] = Some(place);
    }

    /// Moves an entry towards the front; returns where it came to rest.
    fn rise(&mut self, mut place: usize) -> usize {
        let entry = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent] <= entry {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, entry);
        place
    }

    fn sink(&mut self, mut place: usize) {
        let entry = self.heap[place];
        loop {
            let left = 2 * place + 1;
            let Some(first) = self.heap.get(left) else { break };
            let right = self.heap.get(left + 1).is_some_and(|right| right < first);
            let child = left + usize::from(right);
            if self.heap[child] >= entry {
                break;
            }
            self.put(place, self.heap[child]);
            place = child;
        }
        self.put(place, entry);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_heap_agrees_with_a_list(
            steps in prop::collection::vec((0_u64..20, prop::option::of(0_u64..100)), 1..200),
        ) {
            let mut timers = Timers::default();
            let mut list = [None; 20];
            for (peer, deadline) in steps {
                let key = Key::from_bits(peer);
                timers.set(key, deadline.map(Micros));
                list[peer as usize] = deadline.map(Micros);
                prop_assert_eq!(timers.next(), list.iter().flatten().min().copied());
            }
            let mut order = Vec::new();
            while let Some(peer) = timers.pop(Micros(u64::MAX)) {
                order.push((list[peer.index()].take().unwrap(), peer));
            }
            prop_assert!(order.is_sorted());
            prop_assert!(list.iter().all(Option::is_none));
        }
    }

    #[test]
    fn what_is_not_due_stays() {
        let mut timers = Timers::default();
        timers.set(Key::from_bits(3), Some(Micros(10)));
        assert_eq!(timers.pop(Micros(9)), None);
        assert_eq!(timers.pop(Micros(10)), Some(Key::from_bits(3)));
        assert_eq!(timers.next(), None);
    }
}
