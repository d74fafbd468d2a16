//! Options of calls.

use crate::error::Error;
use nightcore_runtime::protocol::Failure;
use nightcore_runtime::worker;
use std::time::Duration;

/// A timeout and metadata for one call.
///
/// ```
/// use nightcore::CallOptions;
/// use std::time::Duration;
///
/// let options = CallOptions::new().timeout(Duration::from_millis(50)).metadata("x-user", "17");
/// ```
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    options: worker::CallOptions,
    /// The first mistake in the metadata.
    mistake: Option<Failure>,
}

impl CallOptions {
    /// Returns options without metadata, and without a timeout for this call.
    #[must_use]
    pub fn new() -> CallOptions {
        CallOptions::default()
    }

    /// Ends the call with `DEADLINE_EXCEEDED` after this time. The deadline of the request still
    /// applies. A call with a timeout of zero fails with `INVALID_ARGUMENT`.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> CallOptions {
        self.options.timeout = Some(timeout);
        self
    }

    /// Adds a pair of metadata. A name has 1 to 255 characters of visible ASCII; its upper-case
    /// letters become lower-case. All pairs together take at most 32 KiB. The call reports a
    /// mistake here with `INVALID_ARGUMENT`, or with `PAYLOAD_TOO_LARGE` for metadata over the
    /// limit.
    #[must_use]
    pub fn metadata(mut self, name: &str, value: impl AsRef<[u8]>) -> CallOptions {
        if let Err(error) = self.options.metadata.push(name, value.as_ref()) {
            let failure = Failure::new(error.status(), format!("metadata {name:?}: {error}"));
            self.mistake.get_or_insert(failure);
        }
        self
    }

    /// Returns the options if there is no mistake in them.
    pub(crate) fn checked(&self) -> Result<&worker::CallOptions, Error> {
        match &self.mistake {
            None => Ok(&self.options),
            Some(mistake) => Err(mistake.clone().into()),
        }
    }
}
