package main

import (
	"context"
	"database/sql"
	_ "embed" // the shim
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	_ "modernc.org/sqlite" // the driver
)

//go:embed shim/loopback.c
var shimSource []byte

// States of a file transfer in Dino's database.
const (
	dinoComplete = 0
	dinoOffered  = 2
	dinoFailed   = 3
)

// openDatabase opens one of Dino's databases for one use.
func openDatabase(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// execute runs statements on a database of a Dino that is not running.
func execute(ctx context.Context, path, statements string, args ...any) (err error) {
	db, err := openDatabase(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, statements, args...); err != nil {
		return fmt.Errorf("change %s: %w", path, err)
	}
	return nil
}

// ask runs a query for one row and reports whether there is one.
func ask(ctx context.Context, path, query string, args []any, into ...any) (found bool, err error) {
	db, err := openDatabase(path)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	switch err := db.QueryRowContext(ctx, query, args...).Scan(into...); {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask %s: %w", path, err)
	}
	return true, nil
}

// seedDatabase makes an empty database of the installed Dino's own version, by
// letting Dino make it, at path.
func seedDatabase(ctx context.Context, d *desktop, path string) error {
	if err := d.run(); err != nil {
		return err
	}
	err := poll(ctx, dinoTimeout, "wait for Dino to make its databases", func(context.Context) (bool, error) {
		if !d.dino.running() {
			return false, fmt.Errorf("it ended by itself: %w", d.dino.err)
		}
		// Its plugins come last, and this is the last one's.
		_, err := os.Stat(d.data("pgp.db"))
		return err == nil, err
	})
	pause(ctx, seedSettle)
	d.stop()
	if err != nil {
		return err
	}
	if err := execute(ctx, d.data("dino.db"), "vacuum into ?", path); err != nil {
		return err
	}
	if err := os.RemoveAll(d.data("")); err != nil {
		return fmt.Errorf("clear Dino's data: %w", err)
	}
	if err := os.Mkdir(d.data(""), 0o700); err != nil {
		return fmt.Errorf("make Dino's data: %w", err)
	}
	return nil
}

// seedSettle is how long Dino gets to finish what it began after its last
// database appeared.
const seedSettle = 300 * time.Millisecond

// enroll enters the account and the conversation into a copy of the seed.
func (d *desktop) enroll(ctx context.Context, seed string) error {
	empty, err := os.ReadFile(seed)
	if err != nil {
		return fmt.Errorf("read seed: %w", err)
	}
	if err := os.WriteFile(d.data("dino.db"), empty, 0o600); err != nil {
		return fmt.Errorf("write Dino's database: %w", err)
	}
	now := time.Now().Unix()
	for _, step := range []struct {
		statement string
		args      []any
	}{
		{
			`insert into account(bare_jid,resourcepart,password,alias,enabled,mam_earliest_synced) values(?,?,?,'',1,0)`,
			[]any{d.bareJID(), d.resource(), passwordOf(d.user)},
		},
		{`insert into jid(bare_jid) values(?)`, []any{d.server.jid(d.peer)}},
		{
			`insert into conversation(account_id,jid_id,active,active_last_changed,last_active,type,encryption,
				read_up_to_item,notification,send_typing,send_marker,pinned)
			select 1,id,1,?,?,0,?,-1,0,0,0,0 from jid where bare_jid=?`,
			[]any{now, now, dinoOMEMO, d.server.jid(d.peer)},
		},
	} {
		if err := execute(ctx, d.data("dino.db"), step.statement, step.args...); err != nil {
			return err
		}
	}
	return nil
}

// fileTransfer is a row of Dino's file_transfer table.
type fileTransfer struct {
	state, encryption int
	size              int64
	path              string // name in its files directory
}

// transfer looks up the newest transfer of a file name.
func (d *desktop) transfer(ctx context.Context, name string, incoming bool) (fileTransfer, bool, error) {
	direction := 1
	if incoming {
		direction = 0
	}
	var t fileTransfer
	found, err := ask(ctx, d.data("dino.db"),
		`select state,encryption,coalesce(size,-1),coalesce(path,'') from file_transfer where file_name=? and direction=? order by id desc limit 1`,
		[]any{name, direction}, &t.state, &t.encryption, &t.size, &t.path)
	return t, found, err
}

// device returns Dino's own OMEMO device id and the fingerprint of its identity
// key: 64 hexadecimal digits.
func (d *desktop) device(ctx context.Context) (id int64, fingerprint string, err error) {
	var key string
	err = poll(ctx, dinoTimeout, "wait for Dino's OMEMO device", func(ctx context.Context) (bool, error) {
		return ask(ctx, d.data("omemo.db"), `select device_id,identity_key_public_base64 from identity`, nil, &id, &key)
	})
	if err != nil {
		return 0, "", err
	}
	fingerprint, err = fingerprintOf(key)
	return id, fingerprint, err
}

// learned returns the fingerprint that Dino knows a contact's device by, "" for
// one that it does not know.
func (d *desktop) learned(ctx context.Context, jid string, device int64) (string, error) {
	var key string
	found, err := ask(ctx, d.data("omemo.db"),
		`select coalesce(identity_key_public_base64,'') from identity_meta where address_name=? and device_id=?`,
		[]any{jid, device}, &key)
	if err != nil || !found || key == "" {
		return "", err
	}
	return fingerprintOf(key)
}

// fingerprintOf turns a public key as Dino stores it into a fingerprint.
func fingerprintOf(key string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return "", fmt.Errorf("read identity key: %w", err)
	}
	if len(raw) != 33 { // a type byte and the key
		return "", fmt.Errorf("read identity key: it has %d bytes", len(raw))
	}
	return hex.EncodeToString(raw[1:]), nil
}

// sessionsWith counts Dino's OMEMO sessions with devices of a bare JID; a
// device other than 0 narrows it to that one.
func (d *desktop) sessionsWith(ctx context.Context, jid string, device int64) (int, error) {
	var n int
	_, err := ask(ctx, d.data("omemo.db"),
		`select count(*) from session where name=? and (?=0 or device_id=?)`, []any{jid, device, device}, &n)
	return n, err
}

// loseSessions makes Dino, which is not running, forget every OMEMO session.
func (d *desktop) loseSessions(ctx context.Context) error {
	return execute(ctx, d.data("omemo.db"), `delete from session`)
}

// messages counts the chat messages that Dino has, of either side.
func (d *desktop) messages(ctx context.Context) (int, error) {
	var n int
	_, err := ask(ctx, d.data("dino.db"), `select count(*) from message`, nil, &n)
	return n, err
}

// shown counts the lines that Dino's conversations show: messages, files, calls.
func (d *desktop) shown(ctx context.Context) (int, error) {
	var n int
	_, err := ask(ctx, d.data("dino.db"), `select count(*) from content_item`, nil, &n)
	return n, err
}
