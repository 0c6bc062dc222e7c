CREATE TABLE items (
    -- Texts as bytes, which SQLite compares as the port says.
    pk         BLOB NOT NULL,
    sk         BLOB NOT NULL,
    -- As `encoding.rs` writes them.
    attributes BLOB NOT NULL,
    -- The time to live, in seconds since 1970, of items that have one.
    expires    INTEGER,
    PRIMARY KEY (pk, sk)
) STRICT, WITHOUT ROWID;

CREATE INDEX items_by_expiry ON items (expires) WHERE expires IS NOT NULL;

-- "TWit"
PRAGMA application_id = 1415014772;
PRAGMA user_version = 1;
