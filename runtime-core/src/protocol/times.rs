//! The buckets in which times are counted. They are part of the protocol, since a worker counts
//! the calls of direct channels in memory that the engine reads.

/// Twenty numbers a decade, from preferred series (R20): a bucket is 12 % wide.
pub const STEPS: [u64; 20] = [
    100, 112, 125, 140, 160, 180, 200, 224, 250, 280, 315, 355, 400, 450, 500, 560, 630, 710, 800,
    900,
];
/// From 100 ns, less than which no clock tells well, to 100 s, longer than calls take that anybody
/// waits for.
const DECADES: usize = 9;
/// The number of buckets.
pub const BUCKETS: usize = DECADES * STEPS.len() + 1;
/// The longest time of each bucket, ns; its shortest is just above the longest of the one before.
pub const UP_TO_NS: [u64; BUCKETS] = up_to_ns();
/// By the number of bits of a time: the first bucket in which it may be.
const FIRST: [u8; 65] = first();

const fn up_to_ns() -> [u64; BUCKETS] {
    let mut all = [u64::MAX; BUCKETS];
    let (mut bucket, mut decade) = (0, 1);
    while bucket + 1 < BUCKETS {
        all[bucket] = STEPS[bucket % STEPS.len()] * decade;
        bucket += 1;
        if bucket % STEPS.len() == 0 {
            decade *= 10;
        }
    }
    all
}

const fn first() -> [u8; 65] {
    let mut all = [0; 65];
    let mut bits = 1;
    while bits <= 64 {
        let shortest = 1 << (bits - 1);
        let mut bucket = all[bits - 1];
        while UP_TO_NS[bucket as usize] < shortest {
            bucket += 1;
        }
        all[bits] = bucket;
        bits += 1;
    }
    all
}

/// The bucket of a time.
#[inline]
pub fn bucket_of(ns: u64) -> usize {
    let mut bucket = FIRST[64 - ns.leading_zeros() as usize] as usize;
    while UP_TO_NS[bucket] < ns {
        bucket += 1;
    }
    bucket
}
