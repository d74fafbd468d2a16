//! The container's side of the arena: blocks it hands out itself, and the engine's regions it reads from.

use super::session::{Session, engine_gone, is_forked};
use crate::ipc::region::{Books, Region, payload_bytes, units_for};
use crate::ipc::socket::{self, Received};
use crate::protocol::control::{CONTAINER_BASE_REGION, Control, ControlKind, ENGINE_BASE_REGION};
use crate::protocol::limits::{BASE_UNITS, BLOCK_UNIT_BYTES, REGION_BYTES};
use crate::protocol::{Failure, MessageBuffer, Status};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A region whose blocks this process hands out.
#[derive(Debug)]
struct Own {
    id: u32,
    region: Arc<Region>,
    books: Books,
}

/// What the engine sends over the control socket and worker threads wait for.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) engine: HashMap<u32, Arc<Region>>,
    /// Answers to requests for regions, by the request's number.
    granted: HashMap<u64, Result<(u32, Arc<Region>), Failure>>,
    next_request: u64,
}

#[derive(Debug)]
pub(super) struct Arena {
    own: Mutex<Vec<Own>>,
    shared: Mutex<Shared>,
    changed: Condvar,
    /// The engine's base region, which holds the cancel words.
    pub(super) base: Arc<Region>,
    /// Who reads the control socket of an event loop.
    control: Mutex<()>,
}

/// A block just taken, not yet sent.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) region_id: u32,
    pub(super) block: u32,
    pub(super) region: Arc<Region>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Arena {
    pub(super) fn new(own: &OwnedFd, engine: &OwnedFd) -> io::Result<Arena> {
        let own_region = Arc::new(Region::map(own, BASE_UNITS)?);
        let base = Arc::new(Region::map(engine, BASE_UNITS)?);
        let own =
            Own { id: CONTAINER_BASE_REGION, region: own_region, books: Books::new(BASE_UNITS) };
        let shared = Shared {
            engine: HashMap::from([(ENGINE_BASE_REGION, base.clone())]),
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

    /// Takes a block of this many bytes; asks the engine for a region if there is no room.
    pub(super) fn allocate(&self, bytes: u64, session: &Session) -> Result<Block, Failure> {
        if let Some(block) = self.allocate_here(bytes) {
            return Ok(block);
        }
        let granted = self.request_region(bytes.max(REGION_BYTES), session);
        let (id, region) = match granted {
            Err(_) if bytes < REGION_BYTES => self.request_region(bytes, session)?,
            granted => granted?,
        };
        let mut books = Books::new(region.units());
        let block = books.allocate(&region, bytes);
        let block = block.ok_or_else(|| {
            Failure::new(Status::Internal, "the engine granted too small a region")
        })?;
        self.drop_idle(session);
        lock(&self.own).push(Own { id, region: region.clone(), books });
        Ok(Block { region_id: id, block, region })
    }

    fn allocate_here(&self, bytes: u64) -> Option<Block> {
        lock(&self.own).iter_mut().find_map(|own| {
            let block = own.books.allocate(&own.region, bytes)?;
            Some(Block { region_id: own.id, block, region: own.region.clone() })
        })
    }

    /// Frees the block of a message that is not sent after all.
    pub(super) fn take_back(&self, message: &MessageBuffer) {
        let header = message.header();
        if let Some(own) = lock(&self.own).iter().find(|own| own.id == header.region) {
            own.region.give_back(header.block);
        }
    }

    /// Gives regions back that are not the base and hold nothing, before one more is kept.
    fn drop_idle(&self, session: &Session) {
        lock(&self.own).retain_mut(|own| {
            let drop = own.id != CONTAINER_BASE_REGION && own.books.is_idle(&own.region);
            if drop {
                let control =
                    Control { region: own.id, ..Control::new(ControlKind::RegionDropped) };
                // If the engine is gone it needs to know nothing.
                let _ = socket::send(session.control(), control, "", &[]);
            }
            !drop
        });
    }

    /// Gives the memory of what is free back to the system.
    pub(super) fn trim(&self, session: &Session) {
        self.drop_idle(session);
        for own in &mut *lock(&self.own) {
            own.books.trim(&own.region);
        }
    }

    fn request_region(&self, bytes: u64, session: &Session) -> Result<(u32, Arc<Region>), Failure> {
        let number = {
            let mut shared = lock(&self.shared);
            shared.next_request += 1;
            shared.next_request
        };
        let size = units_for(bytes) * BLOCK_UNIT_BYTES as u64;
        let control = Control { id: number, size, ..Control::new(ControlKind::RegionRequest) };
        socket::send(session.control(), control, "", &[]).map_err(|_| engine_gone())?;
        session
            .wait_until(|shared| shared.granted.remove(&number))
            .unwrap_or_else(|| Err(engine_gone()))
    }

    pub(super) fn granted(&self, received: &Received) {
        let control = &received.control;
        let result = match (control.status, received.descriptors.first()) {
            (0, Some(fd)) => Region::map(fd, control.size as u32)
                .map(|region| (control.region, Arc::new(region)))
                .map_err(|e| {
                    Failure::new(Status::Internal, format!("cannot map shared memory: {e}"))
                }),
            _ => {
                let status = Status::failure_from_wire(control.status).unwrap_or(Status::Internal);
                Err(Failure::new(status, received.text.clone()))
            }
        };
        lock(&self.shared).granted.insert(control.id, result);
        self.changed.notify_all();
    }

    pub(super) fn added(&self, received: &Received) {
        let control = &received.control;
        let region = received.descriptors.first().map(|fd| Region::map(fd, control.size as u32));
        if let Some(Ok(region)) = region {
            lock(&self.shared).engine.insert(control.region, Arc::new(region));
            self.changed.notify_all();
        }
    }

    pub(super) fn dropped(&self, region: u32) {
        lock(&self.shared).engine.remove(&region);
    }

    /// Waits for something the launching thread brings; `None` when the session has ended.
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

    /// Looks without waiting.
    pub(super) fn look<T>(&self, found: impl FnOnce(&mut Shared) -> Option<T>) -> Option<T> {
        found(&mut lock(&self.shared))
    }

    pub(super) fn wake_all(&self) {
        // Under the lock, so that nobody is between looking and waiting.
        let _shared = lock(&self.shared);
        self.changed.notify_all();
    }

    pub(super) fn control_turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.control)
    }
}

/// A writable block of the arena: an answer or a call's body that is made in place is sent without a copy.
#[derive(Debug)]
pub struct Buffer {
    block: Block,
    capacity: usize,
    sent: bool,
}

impl Buffer {
    pub(super) fn new(capacity: usize, session: &Session) -> Result<Buffer, Failure> {
        if capacity as u64 > session.max_body_bytes() {
            return Err(too_large(capacity as u64, session.max_body_bytes()));
        }
        // Room for metadata behind the body; see `metadata_offset`.
        let bytes = payload_bytes(crate::protocol::limits::MAX_METADATA_BYTES, capacity as u64);
        Ok(Buffer { block: session.arena.allocate(bytes, session)?, capacity, sent: false })
    }

    /// How many bytes it has.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The block, now the message's that carries it.
    pub(super) fn into_block(mut self) -> Block {
        self.sent = true;
        Block {
            region_id: self.block.region_id,
            block: self.block.block,
            region: self.block.region.clone(),
        }
    }

    /// The memory to fill.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        let start = self.block.region.pointer(self.block.block, self.capacity as u64);
        // SAFETY: the block was taken by this process, is at least `capacity` long, and nobody reads it before
        // it is sent, which consumes the buffer. It is memory of a file, so it is initialised.
        unsafe { std::slice::from_raw_parts_mut(start, self.capacity) }
    }
}

/// A block that was never sent is free again; not in a fork, where it is still the parent's.
impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.sent && !is_forked() {
            self.block.region.give_back(self.block.block);
        }
    }
}

pub(super) fn too_large(bytes: u64, max: u64) -> Failure {
    Failure::new(
        Status::PayloadTooLarge,
        format!("a body of {bytes} bytes is over the limit of {max}"),
    )
}
