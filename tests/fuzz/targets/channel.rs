//! A container that was admitted and then may break any rule, on its control socket, on its
//! channels and in its arena, while clients call it.

use super::ring::{change_line, change_word};
use crate::engine::{self, Call, Engine, HOSTILE, hello, receive};
use crate::raw::{self, ControlKind, Kind, RawControl, RawHeader, RawMessage};
use crate::steps::Steps;
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::ipc::channel;
use nightcore_runtime::ipc::inbox::Inbox;
use nightcore_runtime::ipc::ring::{self, RingReader, RingWriter, Side};
use nightcore_runtime::protocol::Message;
use nightcore_runtime::protocol::control::{ChannelKind, Mode};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::uio::pwrite;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// The maximum number of client calls under way at once.
const MAX_CALLS: usize = 16;

/// A channel, as the hostile worker sees it.
struct Channel {
    reader: OwnedFd,
    writer: OwnedFd,
    inbox: Inbox,
    rings: Option<(OwnedFd, RingWriter, RingReader)>,
}

struct Container {
    control: OwnedFd,
    /// The files of the two base regions.
    arena: Vec<OwnedFd>,
    channels: Vec<Channel>,
    /// The calls that it was sent.
    dispatched: Vec<u64>,
}

pub(super) fn target(data: &[u8]) {
    let mut steps = Steps::new(data);
    let (kind, mode, version) = (steps.u8(), steps.u8(), steps.u8());
    let kind = if kind & 1 == 0 { ChannelKind::Ring } else { ChannelKind::Fifo };
    let mode = if mode & 1 == 0 { Mode::Threads } else { Mode::EventLoop };
    let version = 1 + u16::from(version & 1 == 0);
    engine::run(kind, async |engine| {
        let mut container = Container::start(engine, version, mode).await;
        let mut calls = Vec::new();
        while !steps.is_over() {
            container.step(engine, &mut calls, &mut steps).await;
        }
        engine.turn().await;
        // The channel ends of its workers are closed first, which ends its calls at once. The end
        // of its process is noticed only after a moment.
        container.channels.clear();
        engine.turn().await;
        drop(container);
        engine.assert_ends(calls).await;
    });
}

impl Container {
    async fn start(engine: &Engine, version: u16, mode: Mode) -> Container {
        let control = engine.connect();
        let hello = hello(engine.token(), version, mode);
        raw::send(control.as_fd(), hello, &format!("library\n{HOSTILE}"), &[])
            .expect("the engine listens");
        let arena = receive(&control).await.descriptors;
        let mut container =
            Container { control, arena, channels: Vec::new(), dispatched: Vec::new() };
        let created = receive(&container.control).await;
        container.channels.push(Channel::new(created.descriptors));
        container.put(0, &RawHeader::new(Kind::Ready, 0).bytes());
        container
    }

    async fn step(&mut self, engine: &mut Engine, calls: &mut Vec<Call>, steps: &mut Steps<'_>) {
        match steps.u8() % 14 {
            0 | 1 => engine.turn().await,
            2 => {
                if calls.len() < MAX_CALLS {
                    calls.push(engine.call(vec![b'x'; usize::from(steps.u16()) % 5000]));
                }
            }
            3 => {
                if !calls.is_empty() {
                    calls.remove(usize::from(steps.u8()) % calls.len()).abort();
                }
            }
            4 => self.hear(),
            5 => self.read(),
            6 | 7 => {
                let (which, message) = (usize::from(steps.u8()), self.message(steps));
                self.put(which, &message);
            }
            8 => {
                let which = usize::from(steps.u8());
                self.put(which, steps.text());
            }
            9 => {
                let bytes = self.control_message(steps);
                let _ = send(self.control.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL);
            }
            10 => {
                let file = &self.arena[usize::from(steps.u8() & 1)];
                let offset = u64::from(steps.u32()) % (BASE_BYTES);
                pwrite(file, steps.text(), offset as i64).expect("shared memory takes all");
            }
            11 | 12 => {
                let word = steps.u8() & 1 == 0;
                if let Some((file, ..)) =
                    self.channel(steps.u8()).and_then(|channel| channel.rings.as_ref())
                {
                    if word { change_word(file, steps) } else { change_line(file, steps) }
                }
            }
            _ => {
                let which = steps.u8();
                let close = steps.u8();
                match self.channel(which) {
                    Some(channel) if close & 7 != 0 => {
                        drop(channel::send(channel.writer.as_fd(), &[0]))
                    }
                    Some(_) => {
                        drop(self.channels.swap_remove(usize::from(which) % self.channels.len()))
                    }
                    None => {}
                }
            }
        }
    }

    fn channel(&self, which: u8) -> Option<&Channel> {
        self.channels.get(usize::from(which) % self.channels.len().max(1))
    }

    /// Reads the control socket. New workers are ready at once.
    fn hear(&mut self) {
        while let Ok(Some(received)) = raw::receive(self.control.as_fd()) {
            if received.kind == ControlKind::CreateWorker {
                self.channels.push(Channel::new(received.descriptors));
                self.put(self.channels.len() - 1, &RawHeader::new(Kind::Ready, 0).bytes());
            }
        }
    }

    /// Reads the engine's messages, of which only calls matter.
    fn read(&mut self) {
        for channel in &mut self.channels {
            let calls = &mut self.dispatched;
            let mut seen = |message: &Message<'_>| {
                let message = raw::read(message.as_bytes());
                calls.extend((message.kind == Kind::Dispatch).then_some(message.header.call));
            };
            if channel.inbox.fill(channel.reader.as_fd()).is_ok() && channel.rings.is_none() {
                while let Ok(Some(message)) = channel.inbox.take() {
                    seen(&message);
                }
            }
            if let Some((_, _, reader)) = &mut channel.rings {
                while let Ok(Some(message)) = reader.take() {
                    seen(&message);
                    if reader.give_back() {
                        let _ = channel::send(channel.writer.as_fd(), &[0]);
                    }
                }
            }
        }
    }

    /// Sends bytes on a channel, whether or not they are a message.
    fn put(&mut self, which: usize, bytes: &[u8]) {
        let channels = self.channels.len().max(1);
        let Some(channel) = self.channels.get_mut(which % channels) else { return };
        let bytes = &bytes[..bytes.len().min(1024)];
        match &mut channel.rings {
            Some((_, ring, _)) => {
                ring.send(bytes);
                let _ = channel::send(channel.writer.as_fd(), &[0]);
            }
            None => drop(channel::send(channel.writer.as_fd(), bytes)),
        }
    }

    fn call(&self, steps: &mut Steps<'_>) -> u64 {
        match steps.u8() {
            which @ 0..=199 if !self.dispatched.is_empty() => {
                self.dispatched[usize::from(which) % self.dispatched.len()]
            }
            _ => steps.number(),
        }
    }

    /// Returns bytes similar to a message.
    fn message(&self, steps: &mut Steps<'_>) -> Vec<u8> {
        let numbers = [5, 4, 6, 8, 7, 4, 5, 1, 2, 3, 9];
        let kind = numbers[usize::from(steps.u8()) % numbers.len()];
        let name: &[u8] =
            [&b"Echo"[..], b"Hostile", b"Nope", b"", b"\xff"][usize::from(steps.u8() % 5)];
        let body = vec![b'y'; usize::from(steps.u16()) % 900];
        let by_arena = steps.u8() % 4 == 3;
        let header = RawHeader {
            kind,
            flags: u16::from(steps.u8() & 1),
            status: u32::from(steps.u8() % 12),
            call: self.call(steps),
            parent: self.call(steps),
            function: u32::from(steps.u8() % 4),
            metadata_len: if steps.u8() % 8 == 7 { steps.number() as u32 } else { 0 },
            body_len: if by_arena { steps.number() } else { body.len() as u64 },
            deadline: if steps.u8() % 4 == 3 { steps.number() } else { 0 },
            sent_at: now_ns(),
            region: if by_arena { steps.u32() % 5 } else { 0 },
            block: if by_arena { steps.number() as u32 } else { 0 },
        };
        RawMessage::new(header, name, &[if by_arena { b"" } else { &body }]).as_bytes().to_vec()
    }

    /// Returns bytes similar to a control message.
    fn control_message(&self, steps: &mut Steps<'_>) -> Vec<u8> {
        if steps.u8() % 8 == 7 {
            return steps.text().to_vec();
        }
        let kinds =
            [ControlKind::RegionRequest, ControlKind::RegionDropped, ControlKind::WorkerFailed];
        let kind = kinds.get(usize::from(steps.u8() % 4)).copied().unwrap_or(ControlKind::Hello);
        let control = RawControl {
            id: steps.number(),
            size: steps.number(),
            region: steps.number() as u32,
            ..RawControl::new(kind)
        };
        control.encode(&String::from_utf8_lossy(steps.text()))
    }
}

/// The minimum size of a base region.
const BASE_BYTES: u64 = 4096 * 4096;

impl Channel {
    fn new(descriptors: Vec<OwnedFd>) -> Channel {
        let mut descriptors = descriptors.into_iter();
        let (reader, writer) = descriptors.next().zip(descriptors.next()).expect("two pipes");
        let rings = descriptors.next().map(|file| {
            let (writer, reader) = ring::open(&file, Side::Worker).expect("a ring");
            (file, writer, reader)
        });
        Channel { reader, writer, inbox: Inbox::default(), rings }
    }
}
