//! The measured worker in Rust; see ../../README.md.

use nightcore::{Request, Worker};
use std::process::ExitCode;
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        eprintln!("usage: worker NAME [TARGET...]");
        return ExitCode::from(2);
    };
    let targets: Vec<String> = arguments.collect();
    let worker = Worker::new();
    let worker = if !targets.is_empty() {
        worker.handle(&name, move |req: &Request| app(req, &targets))
    } else if name.starts_with("Caller") {
        worker.handle(&name, measure)
    } else {
        worker.handle(&name, |req: &Request| req.body().to_vec())
    };
    worker.serve()
}

/// Serves a function of the app: calls the targets in sequence.
fn app(req: &Request, targets: &[String]) -> Result<Vec<u8>> {
    for target in targets {
        if req.call(target, req.body())?.body().len() != req.body().len() {
            return Err(format!("{target} did not return the body that it was sent").into());
        }
    }
    Ok(req.body().to_vec())
}

fn measure(req: &Request) -> Result<Vec<u8>> {
    let plan = std::str::from_utf8(req.body())?;
    let words: Vec<&str> = plan.split(' ').collect();
    let [size, count, warm_up, target] = words[..] else {
        return Err(format!("{plan:?} is not \"SIZE COUNT WARMUP TARGET\"").into());
    };
    let (size, count, warm_up): (usize, usize, usize) =
        (size.parse()?, count.parse()?, warm_up.parse()?);
    let body = vec![b'x'; size];
    let mut samples = Vec::with_capacity(count * size_of::<u64>());
    for i in 0..warm_up + count {
        let start = Instant::now();
        let answered = req.call(target, &body)?.body().len();
        let took = start.elapsed();
        if answered != size {
            return Err(format!("{target} did not return the body that it was sent").into());
        }
        if i >= warm_up {
            samples.extend_from_slice(&u64::try_from(took.as_nanos())?.to_le_bytes());
        }
    }
    Ok(samples)
}
