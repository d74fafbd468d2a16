//! What a call carries, as far as the dispatcher must know it.

/// Tells inputs of a function from each other.
pub type Fingerprint = u64;

/// What a call carries.
pub trait Input {
    /// The same for inputs that are the same, whoever sends them and when; for others most likely another one.
    fn fingerprint(&self) -> Fingerprint;

    /// The same once more, without a copy of what it carries.
    fn share(&mut self) -> Self;
}

/// For tests that look at no input.
#[cfg(test)]
impl Input for () {
    fn fingerprint(&self) -> Fingerprint {
        0
    }

    fn share(&mut self) {}
}
