//! Replies in JSON.

use crate::reply::{IntoReply, Reply};
use serde::Serialize;
use std::error::Error as StdError;

/// A reply in JSON: the value that a handler returns. Its `content-type` is `application/json`.
///
/// ```
/// use nightcore::{Json, Request, Result};
///
/// #[derive(serde::Deserialize)]
/// struct Order {
///     price: u64,
///     count: u64,
/// }
///
/// #[derive(serde::Serialize)]
/// struct Bill {
///     sum: u64,
/// }
///
/// fn bill(req: &Request) -> Result<Json<Bill>> {
///     let order: Order = req.json()?;
///     Ok(Json(Bill { sum: order.price * order.count }))
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoReply for Json<T> {
    fn into_reply(self) -> Result<Reply, Box<dyn StdError + Send + Sync>> {
        Ok(Reply::json(&self.0)?)
    }
}
