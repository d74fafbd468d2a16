//! Mistakes that a worker can make with its ring. The name of its function selects the mistake that
//! it makes at its first call.

use crate::raw::{Kind, RawHeader, RawMessage};
use crate::ring::{LINE, LINES, Ring};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Sleeps forever. The process does not end by itself, because the engine must end it.
pub fn stay() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

pub fn die() -> ! {
    // SAFETY: kill takes plain numbers.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    stay()
}

/// Returns a generator of pseudorandom numbers.
fn numbers() -> impl FnMut() -> u32 {
    let mut state = u64::from(std::process::id()) | 1 << 32;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as u32
    }
}

pub fn answer(call: u64, body: &[u8]) -> RawMessage {
    let header = RawHeader { body_len: body.len() as u64, ..RawHeader::new(Kind::Complete, call) };
    RawMessage::new(header, b"", &[body])
}

/// Returns a call of a function, which need not exist.
pub fn invoke(call: u64, parent: u64, name: &[u8], body: &[u8]) -> RawMessage {
    let header =
        RawHeader { parent, body_len: body.len() as u64, ..RawHeader::new(Kind::Invoke, call) };
    RawMessage::new(header, name, &[body])
}

/// Makes the mistake that the function's name selects.
pub fn run(function: &str, mut ring: Ring) -> crate::Result<()> {
    ring.send_header(RawHeader::new(Kind::Ready, 0));
    let (kind, header, body) = ring.receive()?;
    if kind != Kind::Dispatch {
        return Err(format!("{kind:?} came instead of a call").into());
    }
    let call = header.call;
    match function {
        "Garbage" => {
            ring.put(&[0xa5; LINE * LINES as usize]);
            ring.announce();
            ring.ring();
        }
        "MoreThanThereIs" => {
            ring.written = ring.written.wrapping_add(LINES + 1);
            ring.announce();
            ring.ring();
        }
        "PartOfMessage" => {
            let before = ring.written;
            ring.put(answer(call, &[b'x'; 500]).as_bytes());
            ring.written = before.wrapping_add(2);
            ring.announce();
            ring.ring();
        }
        "Unwritten" => {
            ring.written = ring.written.wrapping_sub(1);
            ring.announce();
            ring.ring();
        }
        "ReadsBackwards" | "ReadsBeyond" => {
            for number in 1..=500_u32 {
                let step =
                    if function == "ReadsBeyond" { 1000 * number } else { number.wrapping_neg() };
                ring.map.given_back().store(ring.read.wrapping_add(step), Ordering::Release);
                ring.send(invoke(number.into(), call, b"Nope", b"").as_bytes());
            }
        }
        "NeverReads" => {
            for number in 1.. {
                ring.send(invoke(number, call, b"Nope", b"").as_bytes());
            }
        }
        "RingsWithoutEnd" => loop {
            ring.ring();
        },
        "NeverRings" => {
            let mut call = call;
            loop {
                while ring.map.engine_sleeps().load(Ordering::Acquire) == 0 {
                    std::thread::yield_now();
                }
                ring.put(answer(call, b"seen").as_bytes());
                ring.map.announced().store(ring.written, Ordering::Release);
                call = ring.receive()?.1.call;
                ring.give_back();
            }
        }
        "DiesBeforeBell" => {
            while ring.map.engine_sleeps().load(Ordering::Acquire) == 0 {
                std::thread::yield_now();
            }
            ring.put(answer(call, b"last words").as_bytes());
            ring.announce();
            die();
        }
        "FillsAndDies" => {
            let message = |number| invoke(number, call, b"Echo", &[b'x'; 900]);
            let lines = message(1).as_bytes().len().div_ceil(LINE) as u32;
            let room = LINES - ring.written % LINES;
            for number in 0..u64::from(room / lines) {
                ring.put(message(number + 1).as_bytes());
            }
            ring.announce();
            ring.ring();
            die();
        }
        "TalksWithoutEnd" | "ClosesAndTalksOn" => {
            // Every line is a message without meaning, and the ring always holds as many as it can.
            ring.written = ring.map.taken().load(Ordering::Acquire);
            for number in 1..=LINES {
                let cancel = RawHeader::new(Kind::Cancel, number.into());
                ring.put(RawMessage::new(cancel, b"", &[]).as_bytes());
            }
            ring.ring();
            if function == "ClosesAndTalksOn" {
                ring.bell = None;
            }
            loop {
                let taken = ring.map.taken().load(Ordering::Acquire);
                ring.map.announced().store(taken.wrapping_add(LINES), Ordering::Release);
            }
        }
        "FlagsAtRandom" => {
            let map = ring.map;
            std::thread::spawn(move || {
                let mut number = numbers();
                loop {
                    map.flags()[number() as usize % 4].store(number() % 3, Ordering::Relaxed);
                }
            });
            ring.send(answer(call, &body).as_bytes());
            loop {
                // The worker's own flag is lost as well as the engine's, so it polls, and rings the
                // bell in any case.
                ring.ring();
                let (_, header, body) = ring.look()?;
                ring.give_back();
                ring.send(answer(header.call, &body).as_bytes());
            }
        }
        "ChangesWhatItSaid" => {
            let map = ring.map;
            std::thread::spawn(move || {
                let mut number = numbers();
                loop {
                    map.part(number(), number()).store(number(), Ordering::Relaxed);
                }
            });
            ring.send(answer(call, &body).as_bytes());
            loop {
                let (_, header, body) = ring.receive()?;
                ring.give_back();
                ring.send(answer(header.call, &body).as_bytes());
            }
        }
        other => return Err(format!("nothing wrong is called {other}").into()),
    }
    stay()
}
