//! Mistakes that a worker can make on a channel of either kind when it gets its first call. The
//! name of its function selects the mistake.

use crate::channel::Channel;
use crate::raw::{self, ControlKind, Kind, RawControl, RawHeader, RawMessage};
use crate::wrongs::{answer, die, invoke, stay};
use nix::sys::socket::{MsgFlags, send};
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// The size of a body that is too large for a message.
const LARGE: u64 = 5000;
/// The size of a body over the limit for bodies, which the test sets to 1 MiB. The worker's region
/// is larger.
const OVER_THE_LIMIT: u64 = (1 << 20) + 1;

fn complete(call: u64) -> RawHeader {
    RawHeader::new(Kind::Complete, call)
}

fn in_region(call: u64, region: u32, block: u32) -> RawHeader {
    RawHeader { body_len: LARGE, region, block, ..complete(call) }
}

/// The number of internal calls for each request, and the number of requests for which they are
/// made.
const CALLS: u64 = 1024;
const REQUESTS: u64 = 60;

/// Makes more internal calls than a worker may, for many requests, and then cancels calls that it
/// never made. The engine must refuse all calls over the limit at once.
fn call_without_end(channel: &mut Channel, first: u64) -> crate::Result<()> {
    let mut requests = VecDeque::from([first]);
    for number in 0..REQUESTS {
        while requests.is_empty() {
            requests.extend(channel.next_of(Kind::Dispatch)?);
        }
        let request = requests.pop_front().unwrap_or(first);
        for call in 1..=CALLS {
            let call = number * CALLS + call;
            channel.send(invoke(call, request, b"Sleep", b"20000").as_bytes());
        }
        let mut refused = if number == 0 { CALLS } else { 0 };
        while refused < CALLS {
            match channel.next_message()? {
                (Kind::Failed, _) => refused += 1,
                (Kind::Dispatch, request) => requests.push_back(request),
                (other, _) => return Err(format!("{other:?} came instead of a refusal").into()),
            }
        }
    }
    println!("all calls are made");
    loop {
        channel.send(RawMessage::new(RawHeader::new(Kind::Cancel, u64::MAX), b"", &[]).as_bytes());
    }
}

/// Requests regions without end, and drops each one at once.
fn change_regions_without_end(control: &OwnedFd) -> crate::Result<()> {
    for number in 0_u64.. {
        if number == 300 {
            println!("three hundred regions were made");
        }
        let request = RawControl { size: 16 << 20, ..RawControl::new(ControlKind::RegionRequest) };
        raw::send(control.as_fd(), request, "", &[])?;
        let granted = raw::receive(control.as_fd())?.ok_or("the engine closed the socket")?;
        let region = granted.control.region;
        let dropped = RawControl { region, ..RawControl::new(ControlKind::RegionDropped) };
        raw::send(control.as_fd(), dropped, "", &[])?;
    }
    Ok(())
}

/// Makes the mistake that the function's name selects.
pub fn run(function: &str, control: &OwnedFd, mut channel: Channel) -> crate::Result<()> {
    channel.send_header(RawHeader::new(Kind::Ready, 0));
    let call = channel.next_call()?;
    let say =
        |message: RawControl, text: &str| drop(raw::send(control.as_fd(), message, text, &[]));
    match function {
        "AnswersTwice" => {
            channel.send(answer(call, b"first").as_bytes());
            channel.send(answer(call, b"second").as_bytes());
        }
        "AnswersForOthers" => channel.send(answer(call + 1, b"not mine").as_bytes()),
        "CallsForOthers" => channel.send(invoke(1, call + 1, b"Echo", b"").as_bytes()),
        "CallsAlone" => {
            let header = RawHeader::new(Kind::InvokeAlone, 1);
            channel.send(RawMessage::new(header, b"Echo", &[]).as_bytes());
        }
        "AsksForCallers" => {
            for _ in 0..2 {
                say(RawControl::new(ControlKind::CallerRequest), "");
            }
        }
        "IsReadyTwice" => channel.send_header(RawHeader::new(Kind::Ready, 0)),
        "SaysMoreThanItSends" => channel.send_header(RawHeader { body_len: 900, ..complete(call) }),
        "SaysMoreThanFits" => channel.send_header(RawHeader { body_len: LARGE, ..complete(call) }),
        "NamesNoRegion" => channel.send_header(in_region(call, 99, 0)),
        "NamesEnginesRegion" => channel.send_header(in_region(call, 2, 0)),
        "NamesBlockBeyond" => channel.send_header(in_region(call, 1, 4095)),
        "NamesLastBlockThereCouldBe" => channel.send_header(in_region(call, 1, u32::MAX)),
        "AnswersOverTheLimit" => {
            channel.send_header(RawHeader { body_len: OVER_THE_LIMIT, ..in_region(call, 1, 0) });
        }
        "CallsOverTheLimit" => {
            let place = RawHeader {
                body_len: OVER_THE_LIMIT,
                region: 1,
                ..RawHeader::new(Kind::Invoke, 1)
            };
            channel.send(
                RawMessage::new(RawHeader { parent: call, ..place }, b"Echo", &[]).as_bytes(),
            );
        }
        "FailsWithNoError" => {
            channel.send_header(RawHeader { status: 0, ..RawHeader::new(Kind::Failed, call) })
        }
        "AsksAndNeverReads" => {
            for number in 1.. {
                channel.send(invoke(number, call, b"Nope", b"").as_bytes());
            }
        }
        "TalksForEver" => loop {
            // The message has no effect, and the engine allows it.
            channel.send(RawMessage::new(RawHeader::new(Kind::Cancel, 1), b"", &[]).as_bytes());
        },
        "GarblesItsSocket" => drop(send(control.as_raw_fd(), &[0xa5; 200], MsgFlags::MSG_NOSIGNAL)),
        "GreetsAgain" => say(RawControl::new(ControlKind::Hello), "raw\nEcho"),
        "PassesDescriptors" => {
            let message = RawControl { region: 77, ..RawControl::new(ControlKind::RegionDropped) };
            let many = [control.as_fd(); 8];
            drop(raw::send(control.as_fd(), message, "", &many));
        }
        "FailsWorkersForEver" => loop {
            say(RawControl::new(ControlKind::WorkerFailed), &"no luck ".repeat(1000));
        },
        "WantsMemoryForEver" => loop {
            say(RawControl { size: 1 << 30, ..RawControl::new(ControlKind::RegionRequest) }, "");
        },
        "CallsWithoutEnd" => call_without_end(&mut channel, call)?,
        "ChangesRegionsWithoutEnd" => change_regions_without_end(control)?,
        "LeavesItsSocketToAChild" => {
            // SAFETY: the child, a copy of this only thread, only waits.
            if unsafe { libc::fork() } != 0 {
                die();
            }
        }
        other => return Err(format!("no lie is called {other}").into()),
    }
    stay()
}
