//! The container's side of the arena: the blocks that it hands out itself, and the engine's
//! regions, from which it reads.

use crate::ipc::region::{BlockAllocator, Region};
use crate::protocol::control::{
    CallerCreated, NewRegion, Refusal, RegionDropped, RegionGranted, RequestNumber,
};
use crate::protocol::limits::BASE_UNITS;
use crate::protocol::{Failure, MessageBuffer, RegionId, Status};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A region whose blocks this process hands out.
#[derive(Debug)]
struct Own {
    id: RegionId,
    region: Arc<Region>,
    blocks: BlockAllocator,
}

/// The answer to a request for a region.
type Granted = Result<(RegionId, Arc<Region>), Failure>;

/// Answers from the engine's control socket that worker threads wait for.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) engine: HashMap<RegionId, Arc<Region>>,
    /// The answers to requests for regions.
    granted: HashMap<RequestNumber, Granted>,
    last_request: u64,
    /// The answer to the request for a caller.
    caller: Option<CallerEnds>,
}

/// The ends of a caller's channel, or the reason why there is none.
pub(super) type CallerEnds = Result<Vec<OwnedFd>, Failure>;

#[derive(Debug)]
pub(super) struct Arena {
    own: Mutex<Vec<Own>>,
    shared: Mutex<Shared>,
    changed: Condvar,
    /// The engine's base region, which holds the cancel words.
    pub(super) base: Arc<Region>,
    /// Held by the thread that reads the control socket of an event loop.
    control: Mutex<()>,
}

/// A block that was just allocated and has not been sent yet.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) region_id: RegionId,
    pub(super) block: u32,
    pub(super) region: Arc<Region>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn map(fd: &OwnedFd, new: NewRegion) -> io::Result<(RegionId, Arc<Region>)> {
    Ok((new.region, Arc::new(Region::map(fd, new.units)?)))
}

impl Shared {
    /// The answer to this request for a region, once it has come.
    pub(super) fn take_granted(&mut self, request: RequestNumber) -> Option<Granted> {
        self.granted.remove(&request)
    }

    /// The ends of the caller's channel, once they have come.
    pub(super) fn take_caller(&mut self) -> Option<CallerEnds> {
        self.caller.take()
    }
}

impl Arena {
    pub(super) fn new(own: &OwnedFd, engine: &OwnedFd) -> io::Result<Arena> {
        let own_region = Arc::new(Region::map(own, BASE_UNITS)?);
        let base = Arc::new(Region::map(engine, BASE_UNITS)?);
        let own = Own {
            id: RegionId::CONTAINER_BASE,
            region: own_region,
            blocks: BlockAllocator::new(BASE_UNITS),
        };
        let shared = Shared {
            engine: HashMap::from([(RegionId::ENGINE_BASE, base.clone())]),
            ..Shared::default()
        };
        Ok(Arena {
            own: Mutex::new(vec![own]),
            shared: Mutex::new(shared),
            changed: Condvar::new(),
            base,
            control: Mutex::new(()),
        })
    }

    /// Allocates a block of this many bytes; `None` if no region has room.
    pub(super) fn allocate(&self, bytes: u64) -> Option<Block> {
        lock(&self.own).iter_mut().find_map(|own| {
            let block = own.blocks.allocate(&own.region, bytes)?;
            Some(Block { region_id: own.id, block, region: own.region.clone() })
        })
    }

    /// Frees the block of a message that is not sent.
    pub(super) fn take_back(&self, message: &MessageBuffer) {
        let Some(place) = message.block() else { return };
        if let Some(own) = lock(&self.own).iter().find(|own| own.id == place.region) {
            own.region.give_back(place.block);
        }
    }

    /// Adds a region that was just granted, and allocates a block of this many bytes in it.
    pub(super) fn add(&self, id: RegionId, region: Arc<Region>, bytes: u64) -> Option<Block> {
        let mut blocks = BlockAllocator::new(region.units());
        let block = blocks.allocate(&region, bytes)?;
        lock(&self.own).push(Own { id, region: region.clone(), blocks });
        Some(Block { region_id: id, block, region })
    }

    /// Forgets regions other than the base that hold no block. Returns the messages that tell the
    /// engine so.
    pub(super) fn drop_idle(&self) -> Vec<RegionDropped> {
        let is_idle =
            |own: &mut Own| own.id != RegionId::CONTAINER_BASE && own.blocks.is_idle(&own.region);
        let mut own = lock(&self.own);
        own.extract_if(.., is_idle).map(|own| RegionDropped { region: own.id }).collect()
    }

    /// Returns the memory of free blocks to the system.
    pub(super) fn trim(&self) {
        for own in &mut *lock(&self.own) {
            own.blocks.trim(&own.region);
        }
    }

    /// The number of a new request for a region.
    pub(super) fn new_request(&self) -> RequestNumber {
        let mut shared = lock(&self.shared);
        shared.last_request += 1;
        RequestNumber(shared.last_request)
    }

    /// Takes the answer to a request for a region.
    pub(super) fn granted(&self, granted: RegionGranted, descriptor: Option<&OwnedFd>) {
        let result = match (granted.grant, descriptor) {
            (Ok(new), Some(fd)) => map(fd, new).map_err(|error| {
                Failure::new(Status::Internal, format!("cannot map shared memory: {error}"))
            }),
            (Ok(_), None) => Err(Failure::new(Status::Internal, "no shared memory came")),
            (Err(refusal), _) => Err(Failure::new(refusal.status, refusal.text)),
        };
        lock(&self.shared).granted.insert(granted.request, result);
        self.changed.notify_all();
    }

    /// Takes the answer to the request for a caller.
    pub(super) fn caller_created(&self, created: CallerCreated, descriptors: Vec<OwnedFd>) {
        let refused = |refusal: Refusal| Failure::new(refusal.status, refusal.text);
        lock(&self.shared).caller = Some(created.created.map(|()| descriptors).map_err(refused));
        self.changed.notify_all();
    }

    /// Adds a region whose blocks the engine hands out.
    pub(super) fn added(&self, new: NewRegion, descriptor: Option<&OwnedFd>) {
        if let Some(Ok((id, region))) = descriptor.map(|fd| map(fd, new)) {
            lock(&self.shared).engine.insert(id, region);
            self.changed.notify_all();
        }
    }

    /// Forgets a region that the engine has dropped.
    pub(super) fn dropped(&self, region: RegionId) {
        lock(&self.shared).engine.remove(&region);
    }

    /// Waits for something that the launching thread brings; `None` when the session has ended.
    pub(super) fn wait_until<T>(
        &self,
        mut found: impl FnMut(&mut Shared) -> Option<T>,
        ended: impl Fn() -> bool,
    ) -> Option<T> {
        let mut shared = lock(&self.shared);
        loop {
            if let Some(found) = found(&mut shared) {
                return Some(found);
            }
            if ended() {
                return None;
            }
            shared = self.changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Checks for something without waiting.
    pub(super) fn poll<T>(&self, found: impl FnOnce(&mut Shared) -> Option<T>) -> Option<T> {
        found(&mut lock(&self.shared))
    }

    pub(super) fn wake_all(&self) {
        // The lock is taken so that no thread is between its check and its wait.
        let _shared = lock(&self.shared);
        self.changed.notify_all();
    }

    pub(super) fn control_turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.control)
    }
}
