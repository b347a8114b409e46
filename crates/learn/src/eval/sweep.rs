//! All items for a block of users, tile by tile.

use crate::eval::error::Result;
use crate::model::scorer::Scorer;

/// The most users of a block: so often an item that was brought into the cache is used.
pub(super) const BLOCK_USERS: usize = 64;
/// The items of a tile. Its scores, 256 KiB, stay in a core's cache until they are counted.
const TILE_ITEMS: usize = 1024;

/// Calls `visit(place, first, scores)` with the scores of the user `users[place]` and the items `first`, `first + 1`
/// and so on. For each user, the tiles come in the order of the items. `room` is where the scores are put.
pub(super) fn sweep(
    scorer: &dyn Scorer,
    users: &[u32],
    room: &mut Vec<f32>,
    mut visit: impl FnMut(usize, u32, &mut [f32]),
) -> Result<()> {
    let n_items = scorer.n_items();
    for first in (0..n_items).step_by(TILE_ITEMS) {
        let width = TILE_ITEMS.min(n_items - first);
        let items = first as u32..(first + width) as u32;
        room.resize(users.len() * width, 0.0);
        scorer.score_tile(users, items.clone(), room)?;
        for (place, scores) in room.chunks_exact_mut(width).enumerate() {
            visit(place, items.start, scores);
        }
    }
    Ok(())
}
