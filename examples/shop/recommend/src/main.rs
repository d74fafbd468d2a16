//! Recommends what shares most tags with a product.

use nightcore::Request;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::error::Error;
use std::process::ExitCode;

/// How many products are recommended at most.
const MOST: usize = 3;

#[derive(Deserialize)]
struct Wanted {
    product: String,
}

#[derive(Deserialize)]
struct Product {
    id: String,
    name: String,
    tags: Vec<String>,
}

#[derive(Serialize)]
struct Similar<'p> {
    id: &'p str,
    name: &'p str,
}

fn recommend(req: &Request) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
    let wanted: Wanted = serde_json::from_slice(req.body())?;
    let answer = req.call("Catalog", "{}")?;
    let products: Vec<Product> = serde_json::from_slice(answer.body())?;
    Ok(serde_json::to_vec(&similar(&wanted.product, &products))?)
}

/// The products that share a tag with this one, those that share most first.
fn similar<'p>(id: &str, products: &'p [Product]) -> Vec<Similar<'p>> {
    let Some(this) = products.iter().find(|product| product.id == id) else {
        return Vec::new();
    };
    let mut others: Vec<(usize, &Product)> = products
        .iter()
        .filter(|product| product.id != id)
        .map(|product| (product.tags.iter().filter(|tag| this.tags.contains(tag)).count(), product))
        .filter(|(shared, _)| *shared > 0)
        .collect();
    others.sort_by_key(|(shared, _)| Reverse(*shared));
    others
        .iter()
        .take(MOST)
        .map(|(_, product)| Similar { id: &product.id, name: &product.name })
        .collect()
}

fn main() -> ExitCode {
    nightcore::handle("Recommend", recommend);
    nightcore::serve()
}
