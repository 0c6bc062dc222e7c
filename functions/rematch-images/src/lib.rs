//! The function `rematch-images`: matches and judges stored inventories again. No registry is asked.
