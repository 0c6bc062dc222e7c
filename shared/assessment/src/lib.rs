//! From an inventory to a recorded result: matched, judged, stored, and put into its slots.
