package omemo

// owner names this package's tables in [state.Migrate].
const owner = "omemo"

// schema holds the migrations. A step that was released is never changed.
//
// identity is written once: the triggers make sure of it, because a device id
// whose identity key changes is dead to every contact. Times are Unix
// milliseconds. devices holds what contacts publish and which key was pinned;
// trust holds what the user decided about a key, whichever devices have it.
//
// The columns of sessions beside the record say what can be asked without
// reading it: the current state's base key, which names it; whether it is ours
// and unanswered; the next numbers of its newest chains. upkeep holds, for each
// device: where it was last heard, or else primed; when its session last opened
// a message or was begun (alive); whether it has begun a session in which it was
// sent nothing (reply); when it got the last step; and when, and how often in a
// row, its session was healed; since when, and how often, its session was begun anew
// for offers of ours (renewed, renewals). primed holds where which session was made known.
var schema = []string{`
CREATE TABLE identity (
	id          INTEGER PRIMARY KEY CHECK (id = 1),
	jid         TEXT    NOT NULL,
	device      INTEGER NOT NULL CHECK (device BETWEEN 1 AND 2147483647),
	private_key BLOB    NOT NULL CHECK (length(private_key) = 32),
	public_key  BLOB    NOT NULL CHECK (length(public_key) = 33),
	created     INTEGER NOT NULL
) STRICT;
CREATE TRIGGER identity_never_changes BEFORE UPDATE ON identity
	BEGIN SELECT RAISE(ABORT, 'the omemo identity is written once'); END;
CREATE TRIGGER identity_never_leaves BEFORE DELETE ON identity
	BEGIN SELECT RAISE(ABORT, 'the omemo identity is written once'); END;

CREATE TABLE publication (
	id          INTEGER PRIMARY KEY CHECK (id = 1),
	next_prekey INTEGER NOT NULL,
	generation  INTEGER NOT NULL,
	published   INTEGER NOT NULL,
	announced   INTEGER NOT NULL,
	listed      INTEGER NOT NULL,
	holder      TEXT    NOT NULL,
	held_until  INTEGER NOT NULL
) STRICT;

CREATE TABLE prekeys (
	id          INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 16777214),
	private_key BLOB    NOT NULL CHECK (length(private_key) = 32)
) STRICT;

CREATE TABLE signed_prekeys (
	id          INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 16777214),
	private_key BLOB    NOT NULL CHECK (length(private_key) = 32),
	signature   BLOB    NOT NULL CHECK (length(signature) = 64),
	created     INTEGER NOT NULL
) STRICT;

CREATE TABLE lists (
	jid         TEXT PRIMARY KEY,
	updated     INTEGER NOT NULL
) STRICT;

CREATE TABLE devices (
	jid          TEXT    NOT NULL,
	device       INTEGER NOT NULL CHECK (device BETWEEN 1 AND 2147483647),
	identity_key BLOB    CHECK (identity_key IS NULL OR length(identity_key) = 33),
	active       INTEGER NOT NULL,
	is_new       INTEGER NOT NULL,
	first_seen   INTEGER NOT NULL,
	last_used    INTEGER NOT NULL,
	PRIMARY KEY (jid, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE trust (
	jid          TEXT    NOT NULL,
	identity_key BLOB    NOT NULL CHECK (length(identity_key) = 33),
	decision     INTEGER NOT NULL,
	decided      INTEGER NOT NULL,
	PRIMARY KEY (jid, identity_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
	jid          TEXT    NOT NULL,
	device       INTEGER NOT NULL,
	record       BLOB    NOT NULL,
	updated      INTEGER NOT NULL,
	PRIMARY KEY (jid, device)
) STRICT;
`, `
ALTER TABLE publication ADD COLUMN relisted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE publication ADD COLUMN relists  INTEGER NOT NULL DEFAULT 0;

ALTER TABLE sessions ADD COLUMN base     TEXT    NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN pending  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN sent     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN received INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET
	base     = COALESCE(json_extract(CAST(record AS TEXT), '$.SessionState.SenderBaseKey'), ''),
	pending  = json_extract(CAST(record AS TEXT), '$.SessionState.PendingPreKey') IS NOT NULL,
	sent     = COALESCE(json_extract(CAST(record AS TEXT), '$.SessionState.SenderChain.ChainKey.Index'), 0),
	received = COALESCE(json_extract(CAST(record AS TEXT), '$.SessionState.ReceiverChains[#-1].ChainKey.Index'), 0);

CREATE TABLE upkeep (
	jid      TEXT    NOT NULL,
	device   INTEGER NOT NULL,
	resource TEXT    NOT NULL DEFAULT '',
	alive    INTEGER NOT NULL DEFAULT 0,
	reply    INTEGER NOT NULL DEFAULT 0,
	stepped  INTEGER NOT NULL DEFAULT 0,
	healed   INTEGER NOT NULL DEFAULT 0,
	heals    INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (jid, device)
) STRICT, WITHOUT ROWID;
INSERT INTO upkeep (jid, device, alive) SELECT jid, device, updated FROM sessions;

CREATE TABLE primed (
	jid      TEXT    NOT NULL,
	device   INTEGER NOT NULL,
	resource TEXT    NOT NULL,
	base     TEXT    NOT NULL,
	PRIMARY KEY (jid, device, resource)
) STRICT, WITHOUT ROWID;
`, `
ALTER TABLE upkeep ADD COLUMN renewed  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE upkeep ADD COLUMN renewals INTEGER NOT NULL DEFAULT 0;
`, `
ALTER TABLE prekeys ADD COLUMN public_key BLOB CHECK (length(public_key) = 33); -- null in those from before
`, `
ALTER TABLE trust ADD COLUMN invited INTEGER NOT NULL DEFAULT 0; -- the decision is that of an invitation
`}
