CREATE TABLE messages (
    -- Also the message's id: AUTOINCREMENT gives none a second time.
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    queue      TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    -- Milliseconds since 1970 from which on it is visible.
    visible_at INTEGER NOT NULL,
    receives   INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What is visible, and what has been received too often, without reading what is not.
CREATE INDEX messages_by_visibility ON messages (queue, visible_at);
CREATE INDEX messages_exhausted ON messages (queue, visible_at) WHERE receives >= 20;

CREATE TABLE dead_letters (
    queue    TEXT    NOT NULL,
    id       INTEGER NOT NULL,
    body     TEXT    NOT NULL,
    receives INTEGER NOT NULL,
    PRIMARY KEY (queue, id)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 1;
