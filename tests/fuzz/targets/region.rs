//! A region of the arena to whose words and payloads the other side writes anything, between the
//! steps of this side or at the same time. Messages claim that payloads lie in it.

use crate::beside::beside;
use crate::steps::Steps;
use nightcore_engine::transport::Payload;
use nightcore_runtime::ipc::region::{BlockAllocator, Region, create_file, units_for};
use nightcore_runtime::protocol::limits::MAX_INLINE_BYTES;
use nightcore_runtime::protocol::{BlockPayload, RegionId, WirePayload};
use nix::sys::uio::pwrite;
use std::os::fd::OwnedFd;
use std::sync::Arc;

const UNITS: u32 = 70;

/// The state that a region's owner and a reader have.
struct SharedRegion {
    file: OwnedFd,
    region: Arc<Region>,
    blocks: BlockAllocator,
    payloads: Vec<Payload>,
    /// Whether another thread writes to the region now.
    is_beside: bool,
}

pub(super) fn target(data: &[u8]) {
    let mut steps = Steps::new(data);
    let file = create_file(UNITS).expect("shared memory");
    let region = Arc::new(Region::map(&file, UNITS).expect("a region"));
    let mut shared = SharedRegion {
        file,
        region,
        blocks: BlockAllocator::new(UNITS),
        payloads: Vec::new(),
        is_beside: false,
    };
    shared.steps(&mut steps);
    shared.payloads.into_iter().for_each(|payload| read(Some(payload), &mut steps));
}

impl SharedRegion {
    fn steps(&mut self, steps: &mut Steps<'_>) {
        while !steps.is_over() {
            match steps.u8() % 8 {
                0 | 1 => {
                    let bytes = steps.number();
                    if let Some(block) = self.blocks.allocate(&self.region, bytes) {
                        assert!(self.region.contains(block, bytes));
                        assert!(u64::from(block) + units_for(bytes) <= u64::from(UNITS));
                        // This is the reader's word, and the reader may lie about it.
                        if steps.u8() & 1 == 0 {
                            self.region.give_back(block);
                        }
                    }
                }
                2 => self.blocks.trim(&self.region),
                3 => {
                    self.blocks.is_idle(&self.region);
                }
                4 => change(&self.file, steps),
                5 => self.payloads.extend(receive(&self.region, steps)),
                6 => read(self.payloads.pop(), steps),
                _ if self.is_beside => change(&self.file, steps),
                _ => {
                    let (mine, theirs) = (steps.text(), steps.text());
                    let file = self.file.try_clone().expect("a descriptor");
                    let change_all = || {
                        let mut steps = Steps::new(theirs);
                        while !steps.is_over() {
                            change(&file, &mut steps);
                        }
                    };
                    self.is_beside = true;
                    beside(change_all, || self.steps(&mut Steps::new(mine)));
                    self.is_beside = false;
                }
            }
        }
    }
}

/// Writes to the file of the region: to cancel words, words of blocks, or payloads.
fn change(file: &OwnedFd, steps: &mut Steps<'_>) {
    let len = nix::sys::stat::fstat(file).expect("it is open").st_size as u64;
    // Most writes go to the words of blocks, which follow 8 KiB of cancel words.
    let offset = if steps.u8() & 1 == 0 {
        8192 + u64::from(steps.u16() % 280)
    } else {
        u64::from(steps.u32()) % len
    };
    let bytes = steps.text();
    let bytes = &bytes[..bytes.len().min((len - offset) as usize)];
    pwrite(file, bytes, offset as i64).expect("shared memory takes all");
}

/// Returns the payload of a worker's message that claims to lie in the region.
fn receive(region: &Arc<Region>, steps: &mut Steps<'_>) -> Option<Payload> {
    let (metadata_len, body_len) =
        (steps.number() as u32 % (32 * 1024 + 1), steps.number() % ((1 << 40) + 1));
    let block = BlockPayload {
        region: RegionId::CONTAINER_BASE,
        block: steps.number() as u32,
        metadata_len: metadata_len as usize,
        body_len,
    };
    Payload::receive(WirePayload::Block(block), |_| Some(region.clone())).ok()
}

/// Copies all of a payload, as the engine does on its way to another worker.
fn read(payload: Option<Payload>, steps: &mut Steps<'_>) {
    let Some(payload) = payload else { return };
    assert!(payload.len() <= u64::from(UNITS) * 4096);
    let mut metadata = vec![0; payload.metadata_len()];
    payload.copy_metadata(&mut metadata);
    let offset = u64::from(steps.u16()).min(payload.body_len());
    let mut body = vec![0; (payload.body_len() - offset) as usize];
    payload.copy_body(offset, &mut body);
    if payload.len() <= MAX_INLINE_BYTES as u64 {
        let len = payload.inline(|inline| inline.metadata.len() + inline.body.len());
        assert_eq!(len as u64, payload.len());
    }
}
