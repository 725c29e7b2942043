package omemo

// owner names this package's tables in [state.Migrate].
const owner = "omemo"

// schema holds the migrations. A step that was released is never changed.
//
// identity is written once: the triggers make sure of it, because a device id
// whose identity key changes is dead to every contact. Times are Unix
// milliseconds. devices holds what contacts publish and which key was pinned;
// trust holds what the user decided about a key, whichever devices have it.
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
`}
