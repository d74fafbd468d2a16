//! Recommends the products that share the most tags with a product.

use nightcore::{Json, Request, Result, Worker};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::process::ExitCode;

/// The largest number of recommended products.
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
struct Similar {
    id: String,
    name: String,
}

fn recommend(req: &Request) -> Result<Json<Vec<Similar>>> {
    let wanted: Wanted = req.json()?;
    let products: Vec<Product> = req.call("Catalog", "{}")?.error_for_status()?.json()?;
    Ok(Json(similar(&wanted.product, &products)))
}

/// Returns the products that share tags with this one, those with the most shared tags first.
fn similar(id: &str, products: &[Product]) -> Vec<Similar> {
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
        .map(|(_, product)| Similar { id: product.id.clone(), name: product.name.clone() })
        .collect()
}

fn main() -> ExitCode {
    Worker::new().handle("Recommend", recommend).serve()
}
