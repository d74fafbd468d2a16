//! The engine's side of a container's arena.

use nightcore_runtime::ipc::region::{BlockAllocator, Region, create_file, units_for};
use nightcore_runtime::protocol::limits::{BASE_UNITS, BLOCK_UNIT_BYTES, REGION_BYTES};
use nightcore_runtime::protocol::{Failure, RegionId, Status};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// The budget of shared memory for a container, in bytes and in each direction, if the largest body
/// is small.
const MIN_BUDGET_BYTES: u64 = 512 * 1024 * 1024;
/// With a large limit of the body, the budget is this many of the largest bodies.
const BUDGET_BODIES: u64 = 8;
/// Most regions of a container, in each direction. Each region is a mapping, and a process may have
/// about 65,000 mappings.
const MAX_REGIONS: usize = 256;

/// Most blocks that a container may keep. A container cannot have this many calls and answers under
/// way. To find a block that was given back, the engine may have to look at all of them, which
/// takes about 50 µs.
const MAX_BLOCKS: usize = 16 * 1024;

/// A region whose blocks the engine hands out.
struct Own {
    id: RegionId,
    region: Arc<Region>,
    blocks: BlockAllocator,
}

/// A block that was just allocated.
pub(super) struct EngineBlock {
    pub(super) region_id: RegionId,
    pub(super) region: Arc<Region>,
    pub(super) block: u32,
}

/// A change of the engine's regions. The container must be told of it before it can read a block.
pub(super) enum RegionNotice {
    /// The engine made a new region: its id, its units, its file.
    Added(RegionId, u32, OwnedFd),
    /// The engine dropped this region.
    Dropped(RegionId),
}

/// The shared memory of the engine and one container.
pub struct Arena {
    own: Vec<Own>,
    container: HashMap<RegionId, Arc<Region>>,
    last_id: RegionId,
    budget_units: u64,
    /// How many blocks were handed out in regions that have been dropped since.
    allocated_before: u64,
    pub(super) base: Arc<Region>,
}

impl Arena {
    /// Creates the arena of a new container, and the files of its two base regions.
    pub(super) fn new(max_body_bytes: u64) -> io::Result<(Arena, [OwnedFd; 2])> {
        let files = [create_file(BASE_UNITS)?, create_file(BASE_UNITS)?];
        let container = Arc::new(Region::map(&files[0], BASE_UNITS)?);
        let base = Arc::new(Region::map(&files[1], BASE_UNITS)?);
        let budget = MIN_BUDGET_BYTES.max(max_body_bytes.saturating_mul(BUDGET_BODIES));
        let arena = Arena {
            own: vec![Own {
                id: RegionId::ENGINE_BASE,
                region: base.clone(),
                blocks: BlockAllocator::new(BASE_UNITS),
            }],
            container: HashMap::from([(RegionId::CONTAINER_BASE, container)]),
            last_id: RegionId::ENGINE_BASE,
            budget_units: budget / BLOCK_UNIT_BYTES as u64,
            allocated_before: 0,
            base,
        };
        Ok((arena, files))
    }

    /// How many blocks the engine has handed out in this arena, ever.
    pub(super) fn allocated(&self) -> u64 {
        self.allocated_before + self.own.iter().map(|own| own.blocks.allocated()).sum::<u64>()
    }

    /// Bytes of the blocks that the engine handed out and that the container has not given back.
    pub(super) fn used_bytes(&mut self) -> u64 {
        let units = self.own.iter_mut().map(|own| u64::from(own.blocks.units_taken(&own.region)));
        units.sum::<u64>() * BLOCK_UNIT_BYTES as u64
    }

    /// Bytes of all regions: first those of the engine, then those of the container.
    pub(super) fn mapped_bytes(&self) -> [u64; 2] {
        let own = self.own.iter().map(|own| u64::from(own.region.units())).sum::<u64>();
        let container =
            self.container.values().map(|region| u64::from(region.units())).sum::<u64>();
        [own, container].map(|units| units * BLOCK_UNIT_BYTES as u64)
    }

    /// Finds a region whose blocks the container hands out.
    pub(super) fn container_region(&self, id: RegionId) -> Option<Arc<Region>> {
        self.container.get(&id).cloned()
    }

    /// Allocates a block. If a region had to be created or dropped for it, `told` says so, and the
    /// container must be told first.
    pub(super) fn allocate(
        &mut self,
        bytes: u64,
        told: &mut Vec<RegionNotice>,
    ) -> Result<EngineBlock, Failure> {
        self.check_blocks()?;
        for own in &mut self.own {
            if let Some(block) = own.blocks.allocate(&own.region, bytes) {
                return Ok(EngineBlock { region_id: own.id, region: own.region.clone(), block });
            }
        }
        self.drop_idle(told);
        let used: u64 = self.own.iter().map(|own| u64::from(own.region.units())).sum();
        let regions = self.own.len();
        let made = self.create(bytes.max(REGION_BYTES), used, regions);
        let (id, region, file) = made.or_else(|_| self.create(bytes, used, regions))?;
        told.push(RegionNotice::Added(id, region.units(), file));
        let mut blocks = BlockAllocator::new(region.units());
        let block = blocks.allocate(&region, bytes);
        let block =
            block.ok_or_else(|| Failure::new(Status::Internal, "a new region has no room"))?;
        self.own.push(Own { id, region: region.clone(), blocks });
        Ok(EngineBlock { region_id: id, region, block })
    }

    /// Refuses a block to a container that keeps too many blocks.
    fn check_blocks(&mut self) -> Result<(), Failure> {
        let count = |own: &[Own]| own.iter().map(|own| own.blocks.outstanding()).sum::<usize>();
        if count(&self.own) < MAX_BLOCKS {
            return Ok(());
        }
        // This notes the blocks that were given back.
        self.used_bytes();
        let blocks = count(&self.own);
        if blocks < MAX_BLOCKS {
            return Ok(());
        }
        let text =
            format!("{blocks} payloads in shared memory were not given back by this process");
        Err(Failure::new(Status::Overloaded, text))
    }

    fn drop_idle(&mut self, told: &mut Vec<RegionNotice>) {
        let allocated_before = &mut self.allocated_before;
        self.own.retain_mut(|own| {
            let drop = own.id != RegionId::ENGINE_BASE && own.blocks.is_idle(&own.region);
            if drop {
                *allocated_before += own.blocks.allocated();
                told.push(RegionNotice::Dropped(own.id));
            }
            !drop
        });
    }

    /// Returns the memory of free blocks to the system.
    pub(super) fn trim(&mut self, told: &mut Vec<RegionNotice>) {
        self.drop_idle(told);
        for own in &mut self.own {
            own.blocks.trim(&own.region);
        }
    }

    /// Creates a region whose blocks the container hands out. Returns its id, its units and its
    /// file.
    pub(super) fn grant(&mut self, bytes: u64) -> Result<(RegionId, u32, OwnedFd), Failure> {
        let used: u64 = self.container.values().map(|region| u64::from(region.units())).sum();
        let (id, region, file) = self.create(bytes, used, self.container.len())?;
        let units = region.units();
        self.container.insert(id, region);
        Ok((id, units, file))
    }

    /// Forgets a region that the container has dropped.
    pub(super) fn dropped_by_container(&mut self, id: RegionId) {
        if id != RegionId::CONTAINER_BASE {
            self.container.remove(&id);
        }
    }

    fn create(
        &mut self,
        bytes: u64,
        used: u64,
        regions: usize,
    ) -> Result<(RegionId, Arc<Region>, OwnedFd), Failure> {
        let units = units_for(bytes);
        if used + units > self.budget_units || regions >= MAX_REGIONS {
            let text =
                format!("{} MiB of shared memory are in use for this container", used * 4 / 1024);
            return Err(Failure::new(Status::Overloaded, text));
        }
        let made = create_file(units as u32).and_then(|file| {
            let region = Region::map(&file, units as u32)?;
            Ok((file, Arc::new(region)))
        });
        let (file, region) = made.map_err(|e| {
            Failure::new(Status::Overloaded, format!("cannot make shared memory: {e}"))
        })?;
        let id = self.last_id.number().checked_add(1).and_then(RegionId::new);
        let id = id.ok_or_else(|| Failure::new(Status::Overloaded, "no id of a region is left"))?;
        self.last_id = id;
        Ok((id, region, file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_larger_than_the_base_gets_a_region_and_the_budget_is_kept() {
        let (mut arena, _files) = Arena::new(1 << 20).unwrap();
        let mut told = Vec::new();
        let block = arena.allocate(20 << 20, &mut told).unwrap();
        assert!(matches!(told[..], [RegionNotice::Added(id, 5120, _)] if id.number() == 3));
        assert_eq!((arena.allocated(), arena.used_bytes()), (1, 20 << 20));
        assert_eq!(
            arena.mapped_bytes()[0],
            (20 << 20) + u64::from(BASE_UNITS) * BLOCK_UNIT_BYTES as u64
        );
        assert_eq!(
            arena.allocate(MIN_BUDGET_BYTES, &mut told).err().unwrap().status,
            Status::Overloaded
        );
        block.region.give_back(block.block);
        told.clear();
        let block = arena.allocate(21 << 20, &mut told).unwrap();
        let ids = match told[..] {
            [RegionNotice::Dropped(old), RegionNotice::Added(new, ..)] => {
                [old, new].map(RegionId::number)
            }
            _ => panic!("a region is dropped and one is added"),
        };
        assert_eq!(ids, [3, 4]);
        assert_eq!(arena.allocated(), 2, "{:?}", block.region_id);
    }

    #[test]
    fn a_container_that_keeps_its_blocks_gets_no_more() {
        let (mut arena, _files) = Arena::new(1 << 20).unwrap();
        let mut told = Vec::new();
        let mut take = |arena: &mut Arena| arena.allocate(1, &mut told);
        let blocks: Vec<EngineBlock> = (0..MAX_BLOCKS)
            .map(|_| take(&mut arena).map_err(|failure| failure.message).unwrap())
            .collect();
        assert_eq!(take(&mut arena).err().unwrap().status, Status::Overloaded);
        blocks[7].region.give_back(blocks[7].block);
        assert!(take(&mut arena).is_ok());
        assert!(take(&mut arena).is_err());
    }

    #[test]
    fn a_container_cannot_take_more_than_its_budget() {
        let (mut arena, _files) = Arena::new(1 << 20).unwrap();
        let mut granted = 0;
        while arena.grant(4096).is_ok() {
            granted += 1;
        }
        assert_eq!(granted, MAX_REGIONS - 1);
        arena.dropped_by_container(RegionId::CONTAINER_BASE);
        assert!(arena.container_region(RegionId::CONTAINER_BASE).is_some());
        assert_eq!(arena.grant(1 << 60).err().unwrap().status, Status::Overloaded);
    }
}
