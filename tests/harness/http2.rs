//! A client that speaks just enough HTTP/2, frame by frame, so that it can also misbehave.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The time limit of the HTTP/1.1 client.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest frame that a peer accepts unless its settings say otherwise.
const MAX_FRAME_BYTES: usize = 16 * 1024;

/// The initial window of a connection and of a stream, unless the peer's settings say otherwise.
const FIRST_WINDOW: usize = 65_535;
/// The time of silence after which the gateway is taken to wait for its client.
const QUIET: Duration = Duration::from_secs(3);

/// Kinds of frames.
#[allow(missing_docs)] // The names are those of RFC 9113.
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RESET: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GO_AWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
/// The setting for the size of the other side's header table. With 0, each answer contains its
/// status literally.
pub const HEADER_TABLE_BYTES: u16 = 1;
/// The setting for the number of bytes of each answer that may be sent before the client opens the
/// window.
pub const INITIAL_WINDOW: u16 = 4;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names are those of RFC 9113.
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// An answer. Only the status of its head is parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2Response {
    /// The status.
    pub status: u16,
    /// The number of DATA frames, including empty ones.
    pub data_frames: usize,
    /// The content of the DATA frames.
    pub body: Vec<u8>,
}

/// A connection over HTTP/2 with prior knowledge.
#[derive(Debug)]
pub struct Http2 {
    stream: TcpStream,
    next: u32,
    unread: VecDeque<Frame>,
}

/// Encodes a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Appends a number as HPACK encodes it into the remaining bits of a byte.
fn push_number(block: &mut Vec<u8>, prefix: u8, bits: u8, mut number: usize) {
    let most = (1 << bits) - 1;
    if number < most {
        block.push(prefix | number as u8);
        return;
    }
    block.push(prefix | most as u8);
    number -= most;
    while number >= 128 {
        block.push(number as u8 | 128);
        number >>= 7;
    }
    block.push(number as u8);
}

/// Returns a header block of literals.
pub fn header_block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            push_number(&mut block, 0, 7, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// Returns the status at the beginning of a header block: an index of HPACK's static table, or a
/// literal.
fn status(block: &[u8]) -> Option<u16> {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    // A table size update comes first.
    let block = &block[block.iter().take_while(|byte| **byte & 0xe0 == 0x20).count()..];
    match block {
        [index @ 0x88..=0x8e, ..] => Some(INDEXED[usize::from(index - 0x88)]),
        [0x48 | 0x08 | 0x18, 3, digits @ ..] => str::from_utf8(digits.get(..3)?).ok()?.parse().ok(),
        [0x48 | 0x08 | 0x18, length, coded @ ..] if length & 0x80 != 0 => {
            digits(coded.get(..usize::from(length & 0x7f))?)
        }
        _ => None,
    }
}

/// Decodes three digits in HPACK's Huffman code. The digits 0 to 2 have five bits, and the others
/// have six.
fn digits(coded: &[u8]) -> Option<u16> {
    let all = coded.iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
    let mut left = 8 * coded.len() as u32;
    let mut number = 0;
    for _ in 0..3 {
        let five = (all >> left.checked_sub(5)?) & 31;
        let (digit, bits) = match five {
            0..=2 => (five, 5),
            _ => (((all >> left.checked_sub(6)?) & 63).checked_sub(22)?, 6),
        };
        left -= bits;
        number = 10 * number + digit as u16;
    }
    Some(number)
}

impl Http2 {
    /// Connects, with a window of a mebibyte for each answer.
    #[track_caller]
    pub fn open(address: SocketAddr) -> Http2 {
        Http2::open_with(address, &[(INITIAL_WINDOW, 1 << 20)])
    }

    /// Connects with these settings.
    #[track_caller]
    pub fn open_with(address: SocketAddr, settings: &[(u16, u32)]) -> Http2 {
        Http2::try_open_with(address, settings)
            .unwrap_or_else(|e| panic!("cannot connect to {address}: {e}"))
    }

    /// Connects with these settings. Fails if no one listens.
    pub fn try_open_with(address: SocketAddr, settings: &[(u16, u32)]) -> io::Result<Http2> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.set_write_timeout(Some(ANSWER_WITHIN))?;
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        let mut client = Http2 { stream, next: 1, unread: VecDeque::new() };
        let begin = [PREFACE, &frame(kind::SETTINGS, 0, 0, &payload)].concat();
        client.write(&begin)?;
        Ok(client)
    }

    /// Returns the socket.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends the bytes unchanged.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends the head of a request, after which a body may follow. Returns its stream.
    fn send_head(&mut self, headers: &[(&str, &str)], is_all: bool) -> io::Result<u32> {
        let stream = self.next;
        self.next += 2;
        let block = header_block(headers);
        let mut pieces = block.chunks(MAX_FRAME_BYTES).peekable();
        let mut kind = kind::HEADERS;
        let mut end_stream = if is_all { END_STREAM } else { 0 };
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next() {
            let end_headers = if pieces.peek().is_none() { END_HEADERS } else { 0 };
            bytes.extend(frame(kind, end_stream | end_headers, stream, piece));
            (kind, end_stream) = (kind::CONTINUATION, 0);
        }
        self.write(&bytes)?;
        Ok(stream)
    }

    /// Sends a request with these headers, including pseudo-headers. Returns its stream.
    pub fn send_block(&mut self, headers: &[(&str, &str)], body: &[u8]) -> io::Result<u32> {
        let stream = self.send_head(headers, body.is_empty())?;
        let mut bytes = Vec::new();
        let mut pieces = body.chunks(MAX_FRAME_BYTES).peekable();
        while let Some(piece) = pieces.next() {
            let flags = if pieces.peek().is_none() { END_STREAM } else { 0 };
            bytes.extend(frame(kind::DATA, flags, stream, piece));
        }
        self.write(&bytes)?;
        Ok(stream)
    }

    /// Sends a request. Returns its stream.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<u32> {
        let mut all =
            vec![(":method", method), (":scheme", "http"), (":path", path), (":authority", "test")];
        all.extend(headers);
        self.send_block(&all, body)
    }

    /// Reads the next frame, and acknowledges settings.
    pub fn next_frame(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head)?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload)?;
        if kind == kind::SETTINGS && flags & ACK == 0 {
            // A peer that is closing reads no more.
            let _ = self.write(&frame(kind::SETTINGS, ACK, 0, b""));
        }
        if kind == kind::PING && flags & ACK == 0 {
            let _ = self.write(&frame(kind::PING, ACK, 0, &payload));
        }
        Ok(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// Reads the answer on a stream. Fails if the stream or the connection ends first.
    pub fn receive(&mut self, stream: u32) -> io::Result<Http2Response> {
        let mut response = Http2Response { status: 0, data_frames: 0, body: Vec::new() };
        let mut earlier = std::mem::take(&mut self.unread);
        loop {
            let frame = match earlier.pop_front() {
                Some(frame) => frame,
                None => self.next_frame()?,
            };
            if frame.stream != stream {
                self.unread.push_back(frame);
                continue;
            }
            match frame.kind {
                kind::HEADERS => {
                    let found = status(&frame.payload);
                    response.status = found.ok_or_else(|| {
                        io::Error::other(format!("no status in {:02x?}", frame.payload))
                    })?;
                }
                kind::DATA => {
                    response.data_frames += 1;
                    response.body.extend(&frame.payload);
                }
                kind::RESET => {
                    return Err(io::Error::other(format!("reset: {:?}", frame.payload)));
                }
                _ => continue,
            }
            if frame.flags & END_STREAM != 0 {
                self.unread.extend(earlier);
                return Ok(response);
            }
        }
    }

    /// Sends `streams` requests at once. Only `part` bytes of each body are sent, and the rest
    /// never is. Returns the statuses of the answers. A request without an answer has no status,
    /// and neither has one that is open when the connection ends.
    pub fn send_parts(&mut self, path: &str, streams: usize, part: usize) -> Vec<u16> {
        self.stream.set_read_timeout(Some(QUIET)).expect("a timeout can be set");
        let streams: Vec<u32> = (0..streams)
            .map_while(|_| {
                let headers = [
                    (":method", "POST"),
                    (":scheme", "http"),
                    (":path", path),
                    (":authority", "test"),
                ];
                self.send_head(&headers, false).ok()
            })
            .collect();
        let mut left: BTreeMap<u32, usize> = streams.iter().map(|stream| (*stream, part)).collect();
        // These are the windows of the connection and of each stream.
        let mut room = FIRST_WINDOW;
        let mut rooms: BTreeMap<u32, usize> =
            streams.iter().map(|stream| (*stream, FIRST_WINDOW)).collect();
        let mut answers = Vec::new();
        loop {
            for stream in &streams {
                let (Some(left), Some(of_stream)) = (left.get_mut(stream), rooms.get_mut(stream))
                else {
                    continue;
                };
                let bytes = MAX_FRAME_BYTES.min(*left).min(room).min(*of_stream);
                if bytes > 0 {
                    let sent = self.write(&frame(kind::DATA, 0, *stream, &vec![b'x'; bytes]));
                    if sent.is_err() {
                        return answers;
                    }
                    (*left, room, *of_stream) = (*left - bytes, room - bytes, *of_stream - bytes);
                }
            }
            if room > 0 && left.iter().any(|(stream, left)| *left > 0 && rooms[stream] > 0) {
                continue;
            }
            // A gateway that does not open its window and does not answer will not send anything
            // else.
            let Ok(frame) = self.next_frame() else { return answers };
            match frame.kind {
                kind::WINDOW_UPDATE => {
                    let more = frame.payload.as_slice().try_into().map(u32::from_be_bytes);
                    let more = more.unwrap_or_default() as usize;
                    match frame.stream {
                        0 => room += more,
                        stream => *rooms.entry(stream).or_default() += more,
                    }
                }
                kind::SETTINGS => {
                    for setting in frame.payload.chunks_exact(6) {
                        let value =
                            u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]);
                        if setting[..2] == INITIAL_WINDOW.to_be_bytes() {
                            let more = (value as usize).saturating_sub(FIRST_WINDOW);
                            rooms.values_mut().for_each(|room| *room += more);
                        }
                    }
                }
                kind::HEADERS => {
                    answers.extend(status(&frame.payload));
                    left.remove(&frame.stream);
                }
                kind::RESET => drop(left.remove(&frame.stream)),
                _ => {}
            }
        }
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Http2Response {
        let stream = self.send(method, path, headers, body).expect("the gateway reads requests");
        self.receive(stream).unwrap_or_else(|e| panic!("{method} {path}: no answer: {e}"))
    }

    /// Sends a ping without waiting for the answer.
    pub fn ping(&mut self) -> io::Result<()> {
        self.write(&frame(kind::PING, 0, 0, b"nightcor"))
    }
}
