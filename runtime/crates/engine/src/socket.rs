//! The media socket of a reactor: batched receive, batched send, one port for every session.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};
use remotemedia_peer::Transmit;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// What the kernel is asked to hold for a reactor that is busy for a moment; it gives less where
/// `net.core.rmem_max` says so.
const SOCKET_BUFFER_BYTES: usize = 8 << 20;

/// One receive buffer: large enough for a datagram and for what GRO glues together.
const RECEIVE_BUFFER_BYTES: usize = 65_536;

/// The longest datagram run handed to the kernel at once (UDP length field, less headers).
const MAX_GSO_BYTES: usize = 60_000;

/// Whether a batch that was received took all that there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batch {
    /// There may be more.
    Full,
    /// What comes next came later.
    Last,
}

/// A UDP socket with its batching state.
#[derive(Debug)]
pub(crate) struct MediaSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    ipv6: bool,
}

impl MediaSocket {
    /// Binds a port of `bind`, or of the wildcard: IPv6 and IPv4 on one socket where the machine
    /// has IPv6, else IPv4.
    pub(crate) fn bind(bind: Option<IpAddr>, port: u16) -> io::Result<Self> {
        let wildcard = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        match bind {
            Some(address) => Self::bind_to(SocketAddr::new(address, port)),
            None => Self::bind_to(SocketAddr::new(wildcard, port))
                .or_else(|_| Self::bind_to(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))),
        }
    }

    fn bind_to(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // Best effort: the kernel clamps to its limit without an error.
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(Self { socket, state, ipv6: address.is_ipv6() })
    }

    pub(crate) fn port(&self) -> io::Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    /// Whether IPv6 datagrams can be sent.
    pub(crate) fn has_ipv6(&self) -> bool {
        self.ipv6
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Receives up to one batch and gives each datagram to `each` with its source and the local
    /// address it came to.
    pub(crate) fn receive(
        &self,
        buffers: &mut ReceiveBuffers,
        mut each: impl FnMut(SocketAddr, Option<IpAddr>, &[u8]),
    ) -> io::Result<Batch> {
        let ReceiveBuffers { bytes, meta } = buffers;
        let batches = {
            let mut chunks = bytes.chunks_exact_mut(RECEIVE_BUFFER_BYTES);
            let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            self.socket.try_io(Interest::READABLE, || {
                self.state.recv(UdpSockRef::from(&self.socket), &mut slices, meta)
            })?
        };
        for (meta, buffer) in
            meta.iter().zip(bytes.chunks_exact(RECEIVE_BUFFER_BYTES)).take(batches)
        {
            let from = canonical(meta.addr);
            let local = meta.dst_ip.map(|ip| ip.to_canonical());
            if meta.len == 0 || meta.stride == 0 {
                continue;
            }
            for datagram in buffer[..meta.len.min(buffer.len())].chunks(meta.stride) {
                each(from, local, datagram);
            }
        }
        Ok(if batches == BATCH_SIZE { Batch::Full } else { Batch::Last })
    }

    /// Sends one run of datagrams.
    pub(crate) fn send(&self, run: &SendRun) -> io::Result<()> {
        let transmit = quinn_udp::Transmit {
            destination: self.native(run.to),
            ecn: None,
            contents: &run.bytes,
            segment_size: (run.segment < run.bytes.len()).then_some(run.segment),
            src_ip: run.from,
        };
        self.socket.try_io(Interest::WRITABLE, || {
            self.state.try_send(UdpSockRef::from(&self.socket), &transmit)
        })
    }

    /// How many datagrams one run may have.
    pub(crate) fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn native(&self, address: SocketAddr) -> SocketAddr {
        match address {
            SocketAddr::V4(v4) if self.ipv6 => {
                SocketAddr::V6(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0))
            }
            other => other,
        }
    }
}

/// Where a batch is received into; one a reactor, reused for ever.
#[derive(Debug)]
pub(crate) struct ReceiveBuffers {
    bytes: Vec<u8>,
    meta: [RecvMeta; BATCH_SIZE],
}

impl ReceiveBuffers {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; RECEIVE_BUFFER_BYTES * BATCH_SIZE],
            meta: [RecvMeta::default(); BATCH_SIZE],
        }
    }
}

/// Datagrams to one destination that the kernel cuts apart (generic segmentation offload): all of
/// one size, the last possibly shorter.
#[derive(Debug)]
pub(crate) struct SendRun {
    to: SocketAddr,
    from: Option<IpAddr>,
    segment: usize,
    bytes: Vec<u8>,
    closed: bool,
}

impl SendRun {
    pub(crate) fn start(first: &Transmit, mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        bytes.extend_from_slice(&first.payload);
        Self {
            to: first.to,
            from: first.from,
            segment: first.payload.len(),
            bytes,
            closed: first.payload.is_empty(),
        }
    }

    /// Adds a datagram if it fits the run; false when it must begin one of its own.
    pub(crate) fn extend(&mut self, next: &Transmit, max_segments: usize) -> bool {
        let fits = !self.closed
            && next.to == self.to
            && next.from == self.from
            && !next.payload.is_empty()
            && next.payload.len() <= self.segment
            && self.bytes.len() + next.payload.len() <= MAX_GSO_BYTES
            && self.bytes.len() / self.segment < max_segments;
        if fits {
            self.bytes.extend_from_slice(&next.payload);
            // A shorter datagram can only be the last of its run.
            self.closed = next.payload.len() < self.segment;
        }
        fits
    }

    /// Gives the buffer back for the next run.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transmit(to: u16, len: usize) -> Transmit {
        Transmit {
            to: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), to),
            from: None,
            payload: vec![to.to_be_bytes()[1]; len].into(),
        }
    }

    #[test]
    fn a_run_takes_equal_datagrams_and_one_shorter_last() {
        let mut run = SendRun::start(&transmit(1, 100), Vec::new());
        assert!(run.extend(&transmit(1, 100), 64));
        assert!(!run.extend(&transmit(2, 100), 64), "another destination");
        assert!(!run.extend(&transmit(1, 101), 64), "longer than the first");
        assert!(run.extend(&transmit(1, 60), 64));
        assert!(!run.extend(&transmit(1, 60), 64), "after a shorter one");
        assert_eq!(run.bytes.len(), 260);
    }

    #[test]
    fn a_run_has_at_most_the_segments_that_the_kernel_takes() {
        let mut run = SendRun::start(&transmit(1, 10), Vec::new());
        assert!(run.extend(&transmit(1, 10), 2));
        assert!(!run.extend(&transmit(1, 10), 2));
    }

    #[tokio::test]
    async fn datagrams_arrive_from_both_families_on_one_socket() {
        let server = MediaSocket::bind(None, 0).unwrap();
        let port = server.port().unwrap();
        let mut buffers = ReceiveBuffers::new();
        let mut targets = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        if server.has_ipv6() {
            targets.push(Ipv6Addr::LOCALHOST.into());
        }
        for target in targets {
            let client = MediaSocket::bind(Some(target), 0).unwrap();
            let mut run = SendRun::start(
                &Transmit {
                    to: SocketAddr::new(target, port),
                    from: None,
                    payload: vec![7; 50].into(),
                },
                Vec::new(),
            );
            let again = Transmit {
                to: SocketAddr::new(target, port),
                from: None,
                payload: vec![8; 20].into(),
            };
            assert!(run.extend(&again, 64));
            // Before the runtime has heard of the socket, nothing is ready.
            client.writable().await.unwrap();
            client.send(&run).unwrap();
            let mut got = Vec::new();
            while got.len() < 2 {
                server.readable().await.unwrap();
                let _ = server.receive(&mut buffers, |from, local, bytes| {
                    got.push((from.ip(), local, bytes.to_vec()));
                });
            }
            assert_eq!(got[0], (target, Some(target), vec![7; 50]));
            assert_eq!(got[1], (target, Some(target), vec![8; 20]));
            // And back, from the address that was asked.
            let reply = SendRun::start(
                &Transmit {
                    to: SocketAddr::new(target, client.port().unwrap()),
                    from: Some(target),
                    payload: vec![9; 5].into(),
                },
                Vec::new(),
            );
            server.send(&reply).unwrap();
            let mut answer = None;
            while answer.is_none() {
                client.readable().await.unwrap();
                let _ = client.receive(&mut buffers, |from, _, bytes| {
                    answer = Some((from.ip(), bytes.to_vec()));
                });
            }
            assert_eq!(answer, Some((target, vec![9; 5])));
        }
    }
}
