"""The tables of run.db, and what brings an older journal up to them."""

from __future__ import annotations

VERSION = "2"

_SINCE_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE requests (k INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE attempts (           -- one row for each time that a request was sent: the ledger
    id INTEGER PRIMARY KEY, k INTEGER NOT NULL, sent REAL NOT NULL, ended REAL,
    outcome TEXT,                 -- 'answered', an error's kind, or NULL: in flight, or lost with the process
    detail TEXT NOT NULL DEFAULT '',
    reserved REAL,                -- dollars at worst; NULL: the price is unknown
    cost REAL,                    -- dollars; NULL: not settled, counted at its reserved price
    batch TEXT                    -- the key of the batch that it was sent in; NULL: sent alone
);
CREATE TABLE replies (
    k INTEGER PRIMARY KEY, text TEXT NOT NULL, finish TEXT NOT NULL, model TEXT NOT NULL, reply_id TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL, labels TEXT NOT NULL,
    cache_write_tokens INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE failures (           -- requests given up for good
    k INTEGER PRIMARY KEY, reason TEXT NOT NULL
);
CREATE TABLE candidates (
    id TEXT PRIMARY KEY, k INTEGER NOT NULL, place INTEGER NOT NULL,
    instruction TEXT NOT NULL, input TEXT NOT NULL, output TEXT NOT NULL, label TEXT NOT NULL,
    kept INTEGER,                 -- 1 kept, 0 rejected, NULL: came after the last row that was needed
    filter TEXT NOT NULL, reason TEXT NOT NULL, flags TEXT NOT NULL
);
"""
_SINCE_2 = """
CREATE TABLE batches (            -- one row for each batch that was, or was about to be, handed to the provider
    key TEXT PRIMARY KEY, submitted REAL NOT NULL, total INTEGER NOT NULL,
    batch TEXT,                   -- the provider's name for it; NULL: not known to have arrived
    ended REAL                    -- NULL: its results are not all here yet
);
CREATE TABLE sources (            -- the runs whose replies were taken over (--from)
    first INTEGER PRIMARY KEY, until INTEGER NOT NULL,  -- requests from `first` to below `until` came from there
    shift INTEGER NOT NULL,       -- request k here is request k - shift there
    name TEXT NOT NULL,           -- stands before the ids of its rows
    path TEXT NOT NULL, identity TEXT NOT NULL,
    prompt TEXT NOT NULL,         -- the prompt that reads its replies, with its options, as JSON
    cost REAL                     -- dollars that it had cost; NULL: unknown
);
"""
SCHEMA = _SINCE_1 + _SINCE_2
# What an older journal lacks, by its version.
UPGRADES = {
    "1": """
ALTER TABLE attempts ADD COLUMN batch TEXT;
ALTER TABLE replies ADD COLUMN cache_write_tokens INTEGER NOT NULL DEFAULT 0;
"""
    + _SINCE_2
}
