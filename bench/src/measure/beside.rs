//! Measures internal calls beside other programs that keep cores busy. When no core is free to spin
//! on, a receiver that spins for messages must not be slower than one that parks at once.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::calls::pairs::median;
use crate::calls::self_timed::{Calls, Rounds};
use crate::report::figures::Report;
use crate::run::background::Background;
use crate::run::channel::Channel;
use crate::run::engine::Engine;
use crate::run::floors::Floors;
use crate::run::functions::Function;
use crate::run::settings::{Placement, Settings};

const BYTES: usize = 16;
/// The bar: rings take at most this multiple of the time of named pipes. The 0.05 allows for noise,
/// because two measurements of named pipes differ by as much.
const RING_BAR: f64 = 1.05;
/// The same bar for the mean. The mean shows the few slow calls, which wait some milliseconds for a
/// core on which another program computes. It also varies by this factor with the placement of the
/// threads.
const MEAN_BAR: f64 = 3.0;

/// Measures `beside.{one_busy,both_busy}.{fifo,ring}.16B.{p50_us,mean_us}` with unpinned threads.
pub fn measure(
    settings: &Settings,
    floors: &Floors,
    functions: &[Function],
    report: &mut Report,
) -> Result<()> {
    let start = |channel| Engine::start(settings, functions, Placement::Unpinned, channel);
    let (fifo, ring) = (start(Channel::Fifo)?, start(Channel::Ring)?);
    for (name, busy_cores) in [("one_busy", 1), ("both_busy", settings.cpus.len())] {
        if !settings.wants(&format!("beside.{name}")) {
            continue;
        }
        let mut neighbours = settings.cpus[..busy_cores]
            .iter()
            .map(|cpu| start_neighbour(floors, *cpu))
            .collect::<Result<Vec<Background>>>()?;
        let time = settings.effort.beside_round;
        let mut of_fifo = Rounds::new(Calls::in_c(&fifo, BYTES), time)?;
        let mut of_ring = Rounds::new(Calls::in_c(&ring, BYTES), time)?;
        for _ in 0..settings.effort.beside_rounds {
            of_fifo.run()?;
            of_ring.run()?;
        }
        for neighbour in &mut neighbours {
            ensure!(neighbour.ended()?.is_none(), "the program that keeps a core busy ended");
            neighbour.end()?;
        }
        let key =
            |channel: Channel, figure| format!("beside.{name}.{}.16B.{figure}", channel.name());
        let fifo_us = median(&of_fifo.p50_us);
        report.add(&key(Channel::Fifo, "p50_us"), fifo_us);
        report.add_with_bar(
            &key(Channel::Ring, "p50_us"),
            median(&of_ring.p50_us),
            RING_BAR * fifo_us,
        );
        let fifo_us = of_fifo.samples().mean_us();
        report.add(&key(Channel::Fifo, "mean_us"), fifo_us);
        report.add_with_bar(
            &key(Channel::Ring, "mean_us"),
            of_ring.samples().mean_us(),
            MEAN_BAR * fifo_us,
        );
    }
    fifo.stop()?;
    ring.stop()
}

fn start_neighbour(floors: &Floors, cpu: usize) -> Result<Background> {
    let (program, arguments) = floors.busy_command(cpu);
    Background::start(Command::new(program).args(arguments).stdin(Stdio::null()))
}
