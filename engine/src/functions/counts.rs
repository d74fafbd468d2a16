//! Counters of a function's calls since the engine started.

use nightcore_runtime::protocol::Status;

/// The origin of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From outside, through the gateway.
    External,
    /// From a function.
    Internal,
}

/// How many outcomes calls have, in the order of the table of statuses: answered, one of the errors
/// that end a call, or refused by the gateway because the client's request is invalid.
pub const OUTCOMES: usize = Status::DepthExceeded as usize + 2;

/// The classes of the HTTP statuses that clients get: 2 stands for 200 to 299, for example.
pub const RESPONSE_CLASSES: [u16; 4] = [2, 3, 4, 5];

/// Counters since the engine started.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Accepted calls that came through the gateway.
    pub external: u64,
    /// Accepted calls that functions made.
    pub internal: u64,
    /// Calls that ended or were not accepted, by [`Origin`] and outcome.
    pub ended: [[u64; OUTCOMES]; 2],
    /// Responses to clients, by the classes of HTTP statuses in [`RESPONSE_CLASSES`].
    pub responses: [u64; RESPONSE_CLASSES.len()],
    /// Containers that were replaced because one of their handlers did not end.
    pub stuck: u64,
    /// Calls that were refused because of their input.
    pub quarantine_refused: u64,
    /// How often internal calls were sent again.
    pub retries: u64,
}

impl Counts {
    /// Counts an accepted call.
    pub fn accepted(&mut self, origin: Origin) {
        match origin {
            Origin::External => self.external += 1,
            Origin::Internal => self.internal += 1,
        }
    }

    /// Counts direct calls that ended, by outcome.
    pub fn direct(&mut self, outcomes: &[u32]) {
        let ended = &mut self.ended[Origin::Internal as usize];
        for (count, more) in ended.iter_mut().zip(outcomes) {
            *count += u64::from(*more);
            self.internal += u64::from(*more);
        }
    }

    /// Counts a call that ended or was not accepted.
    pub fn ended(&mut self, origin: Origin, status: Status) {
        let outcome = match status {
            Status::InvalidArgument => OUTCOMES - 1,
            _ => status.number() as usize,
        };
        if let Some(count) = self.ended[origin as usize].get_mut(outcome) {
            *count += 1;
        }
    }

    /// Counts a response to a client, by its HTTP status.
    pub fn responded(&mut self, status: u16) {
        let class = RESPONSE_CLASSES.iter().position(|class| *class == status / 100);
        if let Some(class) = class {
            self.responses[class] += 1;
        }
    }
}
