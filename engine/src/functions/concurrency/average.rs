//! Moving averages of one function: its arrival rate and its service times.
//!
//! Calls are counted in short buckets, and a full bucket is added to exponentially weighted sums.
//! So an event costs one addition, and `exp` is computed only a few times a second.

/// The averages span this many service times, or this many calls, whichever is longer.
///
/// Over a time constant of `k` service times about `k·τ` calls are seen, so that the estimate of τ
/// has a standard error of √(τ/k). For every τ that is the same part, 1/√k, of the headroom √τ.
/// With 64 it is an eighth, so noise does not use up the headroom. With fewer than 64 calls, rate
/// and service time would be guesses.
const SPAN: f64 = 64.0;

/// The least time constant, ns. 64 service times of a tiny handler are shorter than a pause of the
/// kernel's scheduler, and a limit need not follow such a pause.
const SPAN_MIN_NS: f64 = 50e6;

/// The greatest time constant, ns: half of [`FORGET_NS`]. So averages have faded to e⁻² before they
/// are forgotten.
const SPAN_MAX_NS: f64 = FORGET_NS as f64 / 2.0;

/// Buckets in one time constant. So many that the weights are nearly exponential.
const BUCKETS: f64 = 16.0;

/// While the function has not been watched for long, a bucket is this part of that time: the first
/// calls give a rough estimate, which is corrected soon.
const YOUNG: f64 = 0.25;
/// A bucket is never shorter than this, ns, so that it holds more than one call.
const BUCKET_MIN_NS: f64 = 1e3;

/// After this time, in ns, without an arrival or an end, the averages are forgotten.
pub const FORGET_NS: u64 = 10_000_000_000;

/// Sums over calls. They are `f64`, so that sums of absurdly long times cannot overflow.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    arrived: f64,
    ended: f64,
    run_ns: f64,
    open_ns: f64,
}

#[derive(Debug, Clone)]
pub(super) struct Averages {
    /// The bucket that is being filled, the time of its beginning, and the time when it is full.
    bucket: Sums,
    bucket_from_ns: u64,
    bucket_full_ns: u64,
    /// The faded sums of earlier buckets, and the time that they stand for. The sums are divided by
    /// the time that was actually watched, so the averages are right from the first bucket on.
    faded: Sums,
    watched_ns: f64,
    span_ns: f64,
    rate_per_ns: f64,
    run_ns: f64,
    open_ns: f64,
    last_event_ns: Option<u64>,
}

impl Averages {
    pub fn new() -> Self {
        Averages {
            bucket: Sums::default(),
            bucket_from_ns: 0,
            bucket_full_ns: 0,
            faded: Sums::default(),
            watched_ns: 0.0,
            span_ns: SPAN_MIN_NS,
            rate_per_ns: 0.0,
            run_ns: 0.0,
            open_ns: 0.0,
            last_event_ns: None,
        }
    }

    /// Counts an arrival. The caller must have called [`Averages::pass`] if [`Averages::is_due`].
    pub fn arrived(&mut self, now_ns: u64) {
        self.seen(now_ns);
        self.bucket.arrived += 1.0;
    }

    /// Counts an end. The same holds as for [`Averages::arrived`].
    pub fn ended(&mut self, now_ns: u64, run_ns: u64, open_ns: u64) {
        self.seen(now_ns);
        self.bucket.ended += 1.0;
        self.bucket.run_ns += run_ns as f64;
        self.bucket.open_ns += open_ns as f64;
    }

    /// Counts many arrivals and ends. The same holds as for [`Averages::arrived`].
    pub fn add(&mut self, now_ns: u64, calls: u64, run_ns: u64) {
        self.seen(now_ns);
        self.bucket.arrived += calls as f64;
        self.bucket.ended += calls as f64;
        self.bucket.run_ns += run_ns as f64;
        self.bucket.open_ns += run_ns as f64;
    }

    fn seen(&mut self, now_ns: u64) {
        if self.last_event_ns.is_none() {
            self.open_bucket(now_ns);
        }
        self.last_event_ns = Some(now_ns);
    }

    /// Whether the bucket is full, so that the averages are to change.
    pub fn is_due(&self, now_ns: u64) -> bool {
        now_ns >= self.bucket_full_ns
    }

    /// Whether nothing is left of the averages.
    pub fn is_quiet(&self, now_ns: u64) -> bool {
        self.last_event_ns.is_none_or(|at| now_ns.saturating_sub(at) >= FORGET_NS)
    }

    /// Closes the bucket, full or not, and lets time pass up to `now_ns`.
    pub fn pass(&mut self, now_ns: u64) {
        if self.is_quiet(now_ns) {
            *self = Averages::new();
            return;
        }
        let full_ns = self.bucket_full_ns.min(now_ns);
        let bucket = std::mem::take(&mut self.bucket);
        if full_ns > self.bucket_from_ns {
            self.fold(bucket, full_ns - self.bucket_from_ns);
        } else {
            // No time has passed, so there is no rate yet.
            self.bucket = bucket;
        }
        if now_ns > full_ns {
            self.fold(Sums::default(), now_ns - full_ns);
        }
        self.open_bucket(now_ns);
        self.average();
    }

    fn open_bucket(&mut self, now_ns: u64) {
        self.bucket_from_ns = now_ns;
        let width_ns = (self.span_ns / BUCKETS).min(self.watched_ns * YOUNG).max(BUCKET_MIN_NS);
        self.bucket_full_ns = now_ns.saturating_add(width_ns as u64);
    }

    fn fold(&mut self, bucket: Sums, elapsed_ns: u64) {
        let elapsed = elapsed_ns as f64;
        let keep = (-elapsed / self.span_ns).exp();
        let watched = self.span_ns * (1.0 - keep);
        let weight = watched / elapsed;
        self.watched_ns = self.watched_ns * keep + watched;
        for (sum, new) in [
            (&mut self.faded.arrived, bucket.arrived),
            (&mut self.faded.ended, bucket.ended),
            (&mut self.faded.run_ns, bucket.run_ns),
            (&mut self.faded.open_ns, bucket.open_ns),
        ] {
            *sum = *sum * keep + new * weight;
        }
    }

    fn average(&mut self) {
        if self.watched_ns > 0.0 {
            self.rate_per_ns = self.faded.arrived / self.watched_ns;
        }
        // A quotient of two sums that fade alike keeps its value while no call ends. When almost
        // nothing is left to divide by, the last value is kept.
        if self.faded.ended > 1e-9 {
            self.run_ns = self.faded.run_ns / self.faded.ended;
            self.open_ns = self.faded.open_ns / self.faded.ended;
        }
        let between_ns = 1.0 / self.rate_per_ns.max(f64::MIN_POSITIVE);
        self.span_ns = (SPAN * self.run_ns.max(between_ns)).clamp(SPAN_MIN_NS, SPAN_MAX_NS);
    }

    /// Whether a bucket has been closed, so that the rate is known.
    pub fn is_known(&self) -> bool {
        self.watched_ns > 0.0
    }

    pub fn rate_per_ns(&self) -> f64 {
        self.rate_per_ns
    }

    pub fn run_ns(&self) -> f64 {
        self.run_ns
    }

    pub fn open_ns(&self) -> f64 {
        self.open_ns
    }

    /// The time constant, ns.
    pub fn span_ns(&self) -> u64 {
        self.span_ns as u64
    }
}
