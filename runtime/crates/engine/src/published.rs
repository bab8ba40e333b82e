//! What a reactor tells without being asked.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use remotemedia_session::{LiveObjects, Losses, Sessions};

/// A reactor's figures as of the end of its last turn. Reading them waits for nobody, so that
/// metrics are there when a reactor is not. Each figure is right by itself; two of them may be of
/// neighbouring turns.
#[derive(Debug, Default)]
pub(crate) struct Published {
    sessions: AtomicUsize,
    peers: AtomicUsize,
    instances: AtomicUsize,
    streams: AtomicUsize,
    addresses: AtomicUsize,
    in_flight: AtomicUsize,
    results_too_large: AtomicU64,
    stray_datagrams: AtomicU64,
    notifications: AtomicU64,
    audio_packets: AtomicU64,
    node_failed: AtomicU64,
    node_overrun: AtomicU64,
    node_skipped: AtomicU64,
    node_interrupted: AtomicU64,
}

impl Published {
    /// Told at the end of each turn.
    pub(crate) fn publish(&self, sessions: &Sessions) {
        // All fields by name: a new one must not be forgotten here.
        let LiveObjects { sessions: count, peers, instances, streams, addresses, in_flight } =
            sessions.live();
        self.sessions.store(count, Relaxed);
        self.peers.store(peers, Relaxed);
        self.instances.store(instances, Relaxed);
        self.streams.store(streams, Relaxed);
        self.addresses.store(addresses, Relaxed);
        self.in_flight.store(in_flight, Relaxed);
        let Losses {
            results_too_large,
            stray_datagrams,
            notifications,
            audio_packets,
            node_failed,
            node_overrun,
            node_skipped,
            node_interrupted,
        } = sessions.losses();
        self.results_too_large.store(results_too_large, Relaxed);
        self.stray_datagrams.store(stray_datagrams, Relaxed);
        self.notifications.store(notifications, Relaxed);
        self.audio_packets.store(audio_packets, Relaxed);
        self.node_failed.store(node_failed, Relaxed);
        self.node_overrun.store(node_overrun, Relaxed);
        self.node_skipped.store(node_skipped, Relaxed);
        self.node_interrupted.store(node_interrupted, Relaxed);
    }

    /// For placement and admission.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.load(Relaxed)
    }

    pub(crate) fn live(&self) -> LiveObjects {
        LiveObjects {
            sessions: self.sessions.load(Relaxed),
            peers: self.peers.load(Relaxed),
            instances: self.instances.load(Relaxed),
            streams: self.streams.load(Relaxed),
            addresses: self.addresses.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
        }
    }

    pub(crate) fn losses(&self) -> Losses {
        Losses {
            results_too_large: self.results_too_large.load(Relaxed),
            stray_datagrams: self.stray_datagrams.load(Relaxed),
            notifications: self.notifications.load(Relaxed),
            audio_packets: self.audio_packets.load(Relaxed),
            node_failed: self.node_failed.load(Relaxed),
            node_overrun: self.node_overrun.load(Relaxed),
            node_skipped: self.node_skipped.load(Relaxed),
            node_interrupted: self.node_interrupted.load(Relaxed),
        }
    }
}

#[cfg(test)]
impl Published {
    /// As if a turn had left so many sessions.
    pub(crate) fn publish_for_test(&self, sessions: usize) {
        self.sessions.store(sessions, Relaxed);
    }
}
