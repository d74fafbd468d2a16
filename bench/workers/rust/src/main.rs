//! The measured worker in Rust; see ../../README.md.

use nightcore::Request;
use std::process::ExitCode;
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        eprintln!("usage: worker NAME");
        return ExitCode::from(2);
    };
    if name.starts_with("Caller") {
        nightcore::handle(&name, measure);
    } else {
        nightcore::handle(&name, |req: &Request| req.body().to_vec());
    }
    nightcore::serve()
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
            return Err(format!("{target} answered something else than it was sent").into());
        }
        if i >= warm_up {
            samples.extend_from_slice(&u64::try_from(took.as_nanos())?.to_le_bytes());
        }
    }
    Ok(samples)
}
