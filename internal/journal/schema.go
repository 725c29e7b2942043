package journal

// owner names this package's tables in [state.Migrate].
const owner = "journal"

// schema returns the migrations. A step that was released is never changed.
//
// Times are Unix milliseconds; the source's modification time is kept as
// seconds and nanoseconds, because one 64-bit count of nanoseconds does not
// hold every date that a peer may announce. released stays when a complete row
// is forgotten. transfer_keys holds the OMEMO identity keys that a transfer
// belongs to: those its envelopes were made for, or the one that wrapped it.
//
// spent remembers received transfers that were released and whose row is gone, as
// hashes; see spent.go.
//
// The second step came with directories and permission bits, the third with
// moved: until then every attempt counted as a sign of life; the fourth with what
// the sender says about a file; the fifth with spent, the sixth
// with pauses, the seventh with declined, the eighth with the identity of sources, the
// ninth with phase and source, the tenth with the patterns of what is left out, the
// eleventh with sets; see sets there.
func schema() []string {
	return []string{`
CREATE TABLE transfers (
	id        TEXT    NOT NULL CHECK (length(id) = 36),
	direction TEXT    NOT NULL CHECK (direction IN ('send', 'receive')),
	batch     TEXT    NOT NULL,
	peer      TEXT    NOT NULL CHECK (peer <> ''),
	resource  TEXT    NOT NULL,
	profile   INTEGER NOT NULL CHECK (profile IN (0, 1)),
	name      TEXT    NOT NULL,
	dir       TEXT    NOT NULL,
	path      TEXT    NOT NULL,
	size      INTEGER NOT NULL CHECK (size >= 0),
	mtime_s   INTEGER,
	mtime_ns  INTEGER,
	sha256    BLOB    CHECK (sha256 IS NULL OR length(sha256) = 32),
	state     TEXT    NOT NULL CHECK (state IN ('offered', 'running', 'interrupted', 'complete', 'failed', 'forgotten')),
	durable   INTEGER NOT NULL CHECK (durable BETWEEN 0 AND size),
	released  INTEGER NOT NULL CHECK (released = 0 OR released = 1 AND durable = size),
	retries   INTEGER NOT NULL,
	created   INTEGER NOT NULL,
	updated   INTEGER NOT NULL,
	finished  INTEGER,
	error     TEXT    NOT NULL,
	PRIMARY KEY (id, direction)
) STRICT, WITHOUT ROWID;
CREATE INDEX transfers_state ON transfers (state);

CREATE TABLE transfer_keys (
	id           TEXT NOT NULL,
	direction    TEXT NOT NULL,
	identity_key BLOB NOT NULL CHECK (length(identity_key) = 33),
	PRIMARY KEY (id, direction, identity_key),
	FOREIGN KEY (id, direction) REFERENCES transfers (id, direction) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
`, `
ALTER TABLE transfers ADD COLUMN mode INTEGER NOT NULL DEFAULT 0 CHECK (mode BETWEEN 0 AND 511);
ALTER TABLE transfers ADD COLUMN manifest BLOB CHECK (manifest IS NULL OR length(manifest) = 32);
`, `
ALTER TABLE transfers ADD COLUMN moved INTEGER NOT NULL DEFAULT 0;
UPDATE transfers SET moved = updated;
`, `
ALTER TABLE transfers ADD COLUMN description TEXT NOT NULL DEFAULT '';
`, `
CREATE TABLE spent (
	peer BLOB    NOT NULL CHECK (length(peer) = 16),
	id   BLOB    NOT NULL CHECK (length(id) = 16),
	at   INTEGER NOT NULL,
	PRIMARY KEY (peer, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_at ON spent (peer, at);
`, `
ALTER TABLE transfers ADD COLUMN paused TEXT NOT NULL DEFAULT '' CHECK (paused IN ('', 'here', 'there'));
`, `
ALTER TABLE transfers ADD COLUMN declined INTEGER NOT NULL DEFAULT 0 CHECK (declined IN (0, 1));
`, `
ALTER TABLE transfers ADD COLUMN origin BLOB CHECK (origin IS NULL OR length(origin) = 64);
`, meaning, `
ALTER TABLE transfers ADD COLUMN patterns TEXT NOT NULL DEFAULT '' CHECK (length(patterns) <= 65536);
`, sets}
}

// sets is the step for transfers of many arguments. Those have items, and the source of a
// file, since a condition on a column cannot be changed; nothing is told of their entries.
// The argument of a row of arguments is the id that follows from the other columns, for
// whoever looks for it. A row of folders outlives all transfers. Devices and inodes are
// unsigned numbers, as the signed ones of the same bits.
const sets = `
ALTER TABLE transfers ADD COLUMN items INTEGER NOT NULL DEFAULT 0 CHECK (items BETWEEN 0 AND 65536);
ALTER TABLE transfers ADD COLUMN entries INTEGER NOT NULL DEFAULT 0 CHECK (entries BETWEEN 0 AND 4194304);
CREATE TABLE arguments (
	id        TEXT    NOT NULL,
	direction TEXT    NOT NULL,
	number    INTEGER NOT NULL CHECK (number >= 0),
	argument  TEXT    NOT NULL CHECK (length(argument) = 36),
	name      TEXT    NOT NULL,
	path      TEXT    NOT NULL,
	patterns  TEXT    NOT NULL CHECK (length(patterns) <= 65536),
	folder    INTEGER NOT NULL CHECK (folder IN (0, 1)),
	size      INTEGER NOT NULL CHECK (size >= 0),
	entries   INTEGER NOT NULL CHECK (entries >= 0),
	durable   INTEGER NOT NULL CHECK (durable >= 0),
	done      INTEGER NOT NULL CHECK (done >= 0),
	changed   INTEGER NOT NULL CHECK (changed >= 0),
	equal     INTEGER NOT NULL CHECK (equal >= 0),
	kept      INTEGER NOT NULL CHECK (kept >= 0),
	renamed   INTEGER NOT NULL CHECK (renamed >= 0),
	failed    INTEGER NOT NULL CHECK (failed >= 0),
	state     TEXT    NOT NULL CHECK (state IN ('', 'placing', 'placed', 'failed')),
	device    INTEGER NOT NULL,
	inode     INTEGER NOT NULL,
	error     TEXT    NOT NULL,
	PRIMARY KEY (id, direction, number),
	FOREIGN KEY (id, direction) REFERENCES transfers (id, direction) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX arguments_argument ON arguments (argument);

CREATE TABLE folders (
	peer      TEXT    NOT NULL CHECK (peer <> ''),
	direction TEXT    NOT NULL CHECK (direction IN ('send', 'receive')),
	folder_id BLOB    NOT NULL CHECK (length(folder_id) = 16),
	path      TEXT    NOT NULL CHECK (path <> ''),
	device    INTEGER NOT NULL,
	inode     INTEGER NOT NULL,
	PRIMARY KEY (peer, direction, folder_id),
	UNIQUE (peer, direction, path)
) STRICT, WITHOUT ROWID;
`

// meaning is the step that writes down what other columns said until then: that the peer
// knows a transfer, by its retries; that a received file is verified, by a path, or poured,
// by the path of its partial file, which no released one has; and what is sent, by a
// manifest, or by a path that only spools have.
//
// The triggers do the same to what a process of an older version writes that was running
// when the step was taken. They change nothing that this version writes.
const meaning = `
ALTER TABLE transfers ADD COLUMN phase TEXT NOT NULL DEFAULT 'offered' CHECK (phase IN ('offered', 'known', 'verified', 'poured'));
ALTER TABLE transfers ADD COLUMN source TEXT NOT NULL DEFAULT 'file' CHECK (source IN ('file', 'tree', 'spool'));
UPDATE transfers SET phase = 'known' WHERE retries > 0;
UPDATE transfers SET phase = 'verified' WHERE direction = 'receive' AND (path <> '' OR released = 1);
UPDATE transfers SET phase = 'poured', path = '' WHERE direction = 'receive' AND path GLOB '*/.jetsend-' || id || '.part';
UPDATE transfers SET source = 'tree' WHERE manifest IS NOT NULL;
UPDATE transfers SET source = 'spool' WHERE direction = 'send' AND path GLOB '*/.spool-' || id;
CREATE TRIGGER transfers_older_row AFTER INSERT ON transfers
WHEN NEW.source = 'file' AND (NEW.manifest IS NOT NULL OR NEW.direction = 'send' AND NEW.path GLOB '*/.spool-' || NEW.id) BEGIN
	UPDATE transfers SET source = iif(manifest IS NULL, 'spool', 'tree') WHERE id = NEW.id AND direction = NEW.direction;
END;
CREATE TRIGGER transfers_older_change AFTER UPDATE ON transfers
WHEN NEW.retries > 0 AND NEW.phase = 'offered'
	OR NEW.direction = 'receive' AND NEW.released = 0 AND NEW.phase <> 'poured' AND (NEW.path <> '') <> (NEW.phase = 'verified') BEGIN
	UPDATE transfers SET phase = CASE
		WHEN direction = 'send' OR path = '' THEN 'known'
		WHEN path GLOB '*/.jetsend-' || id || '.part' THEN 'poured'
		ELSE 'verified' END
	WHERE id = NEW.id AND direction = NEW.direction;
END;
`
