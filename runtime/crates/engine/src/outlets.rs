//! What all reactors share with the engine.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use remotemedia_session::Notification;

use crate::lane::LaneItem;
use crate::queue::WakeQueue;

/// The ways out of the reactors.
#[derive(Debug)]
pub(crate) struct Outlets {
    pub(crate) lane: WakeQueue<LaneItem>,
    pub(crate) notifications: WakeQueue<Notification>,
    /// By reactor: work of its own that the lane had no room for. Bounded by what its sessions may
    /// have in the lane.
    lost: Vec<Mutex<Vec<u64>>>,
}

impl Outlets {
    /// Queues of so many items, for so many reactors.
    pub(crate) fn new(lane: usize, notifications: usize, reactors: usize) -> std::io::Result<Self> {
        Ok(Self {
            lane: WakeQueue::new(lane)?,
            notifications: WakeQueue::new(notifications)?,
            lost: (0..reactors).map(|_| Mutex::default()).collect(),
        })
    }

    /// Moves work to the lane. When it is full the oldest goes, whosever it is: its reactor finds it
    /// in [`Outlets::take_lost`].
    pub(crate) fn push_work(&self, work: VecDeque<LaneItem>) {
        for item in self.lane.push_all(work, |_| true) {
            if let Some(lost) = self.lost.get(usize::from(item.reactor)) {
                lost.lock().unwrap_or_else(PoisonError::into_inner).push(item.work.token);
            }
        }
    }

    /// The work of a reactor that was lost since it asked last.
    pub(crate) fn take_lost(&self, reactor: u8) -> Vec<u64> {
        self.lost.get(usize::from(reactor)).map_or_else(Vec::new, |lost| {
            std::mem::take(&mut *lost.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }
}

#[cfg(test)]
mod tests {
    use remotemedia_core::{AudioFormat, FrameMeta, Payload, StreamId};
    use remotemedia_session::LaneWork;

    use super::*;

    fn item(reactor: u8, token: u64) -> LaneItem {
        let work = LaneWork {
            token,
            pipeline: "".into(),
            session: "".into(),
            participant: "".into(),
            stream: "".into(),
            node: "".into(),
            entry: "".into(),
            port: "".into(),
            meta: FrameMeta::new(StreamId(0), 0, 0, AudioFormat::MONO_16K),
            payload: Payload::Audio([].into()),
        };
        LaneItem { reactor, work }
    }

    #[test]
    fn a_reactor_learns_which_of_its_work_a_full_lane_lost() {
        let outlets = Outlets::new(2, 1, 2).unwrap();
        outlets.push_work([item(0, 1), item(1, 1)].into());
        assert_eq!([outlets.take_lost(0), outlets.take_lost(1)], [vec![0; 0], vec![]]);
        outlets.push_work([item(1, 2), item(1, 3), item(1, 4)].into());
        assert_eq!([outlets.take_lost(0), outlets.take_lost(1)], [vec![1], vec![1, 2]]);
        assert_eq!(outlets.take_lost(1), [0; 0], "told once");
        let left: Vec<u64> = outlets.lane.drain(9).iter().map(|item| item.work.token).collect();
        assert_eq!(left, [3, 4]);
    }
}
