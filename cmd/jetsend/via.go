package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"jetsend/internal/backoff"
	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/fileid"
	"jetsend/internal/local"
	"jetsend/internal/outbox"
	"jetsend/internal/source"
	"jetsend/internal/transfer"
)

// requestSend has a running receive send files on its own session.
const requestSend = "send"

// sendRequest is the body of requestSend.
type sendRequest struct {
	Like  string        `json:"like"` // see likeness
	To    string        `json:"to"`
	Name  string        `json:"name,omitempty"` // what the contact was called, unless the configuration knows
	Files []outbox.File `json:"files"`
	// Identity is that of the files, as the sender sees them.
	Identity   string      `json:"identity"`
	Options    config.Send `json:"options"`
	Transports []string    `json:"transports"`
}

// sendItem is one of the items that answer a requestSend. The first one says nothing but
// that the request is taken: from then on nobody else may send the files.
type sendItem struct {
	Event json.RawMessage `json:"event,omitempty"` // see [event.Encode]
	End   *sendEnd        `json:"end,omitempty"`
}

// sendEnd is how a send came to its end; Code 0 is well.
type sendEnd struct {
	Code     exitCode `json:"code"`
	Reason   string   `json:"reason,omitempty"`
	Hints    []string `json:"hints,omitempty"`
	Reported bool     `json:"reported,omitempty"`
	Rest     []int    `json:"rest,omitempty"` // the files that were not begun
}

// likeness is what a send and the receive that is to do it must have in common: the
// program, and all of the configuration that holds for a session.
func likeness(c *config.Config, account *config.Chosen) string {
	t := c.Transports
	t.Order = nil // it is in the request
	return fmt.Sprintf("%s %s %+v %q", currentVersion().Version, c.Trust, t, []any{
		account.Addr, account.Server, account.TLSCAFile, account.SOCKS5, account.AllowPlain, account.AllowSASLDowngrade,
	})
}

// identity says which files these are, and that they can be read.
func identity(files []outbox.File) (string, error) {
	var d fileid.Digest
	for _, of := range files {
		f, err := openWithoutWaiting(of.Path)
		if err != nil {
			return "", err
		}
		info, err := f.Stat()
		var id fileid.ID
		if err == nil {
			id, err = fileid.Of(f, info)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return "", err
		}
		d.Add(id)
	}
	return hex.EncodeToString(d.Sum()), nil
}

// viaPatience is how long a receive may take to take a request. Afterwards the send has a
// session of its own.
const viaPatience = 2 * time.Second

var (
	// errSlow: the receive has not answered in time.
	errSlow = errors.New("it does not answer in time")
	// errOwn: the send needs a session of its own.
	errOwn = errors.New("it has something that the receive cannot do")
)

// sendVia has the running receive of the account send. Unless that has taken it nothing has
// happened.
func (a *app) sendVia(cmd *cobra.Command, c *config.Config, o transfer.SendOptions, to target, whom []string) (taken bool, err error) {
	ctx := cmd.Context()
	b := &borrower{a: a, files: o.Files, byID: map[string]*borrowed{}}
	err = b.ask(ctx, c, o, to, whom)
	switch {
	case !b.taken && ctx.Err() != nil:
		return true, context.Cause(ctx)
	case !b.taken:
		a.log.Debug("the receive does not send", "error", err)
		return false, nil
	case b.ended == nil:
		a.log.Debug("the receive sends no more", "error", err)
		err = b.cut(ctx, c)
	default:
		err = b.end()
	}
	return true, withRest(cmd, err, whom[0])
}

// borrower is a send by another process.
type borrower struct {
	a     *app
	files []source.Named
	taken bool
	ended *sendEnd // nil as long as nothing was told

	all   []*borrowed // the transfers of which something was told, in order
	byID  map[string]*borrowed
	codes []exitCode // of those that have failed
}

// borrowed is a transfer by another process.
type borrowed struct {
	event.Head
	over bool
}

// ask asks the receive, and shows what it tells until it has come to its end.
func (b *borrower) ask(ctx context.Context, c *config.Config, o transfer.SendOptions, to target, whom []string) error {
	account, dir, err := b.a.place(c)
	if err != nil {
		return err
	}
	r, err := requestOf(c, account, o, to)
	if err != nil {
		return err
	}
	path, _ := b.a.localSocket(dir, account)
	if path == "" {
		return errNoSocket
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(viaPatience, func() { cancel(errSlow) })
	defer late.Stop()
	return local.Call(ctx, path, requestSend, r, func(item json.RawMessage) error {
		if b.taken {
			return b.take(item)
		}
		if !late.Stop() {
			return errSlow
		}
		b.taken = true
		b.a.log.Debug("the receive sends")
		b.a.print.Expect(len(o.Files))
		return b.a.settled([]target{to}, whom)
	})
}

// requestOf is the request for a send, if it can be one.
func requestOf(c *config.Config, account *config.Chosen, o transfer.SendOptions, to target) (r *sendRequest, err error) {
	if to.jid.IsZero() || o.LimitRate > 0 || o.Encryption == dialect.ChoosePlaintext || c.Send.OnComplete != "" {
		return nil, errOwn
	}
	r = &sendRequest{Like: likeness(c, account), To: to.jid.String(), Name: to.name, Options: c.Send, Transports: c.Transports.Order}
	r.Options.AnswerTimeout = &o.AnswerTimeout // there may be a terminal here alone
	if r.Files, err = named(o.Files); err != nil {
		return nil, err
	}
	r.Identity, err = identity(r.Files)
	return r, err
}

// take shows an item.
func (b *borrower) take(item json.RawMessage) error {
	var i sendItem
	if err := json.Unmarshal(item, &i); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	if i.End != nil {
		b.ended = i.End
		return nil
	}
	e, err := event.Decode(i.Event)
	if err != nil {
		return err
	}
	b.tell(e)
	return nil
}

// tell shows an event, and takes note of what is under way.
func (b *borrower) tell(e event.Event) {
	if h, ok := event.Of(e); ok {
		of := b.byID[h.Transfer]
		if of == nil {
			of = &borrowed{}
			b.all, b.byID[h.Transfer] = append(b.all, of), of
		}
		of.Head = h
		switch e := e.(type) {
		case event.Sent:
			of.over = true
		case event.Failed:
			of.over = true
			b.codes = append(b.codes, exitCode(e.Code))
		}
	}
	b.a.print.Event(e)
}

// end is the end that the receive has told.
func (b *borrower) end() error {
	if b.ended.Code == exitcode.OK {
		return nil
	}
	f := &fault.Failure{Code: b.ended.Code, Reason: b.ended.Reason, Hints: b.ended.Hints, Reported: b.ended.Reported}
	var rest []source.Named
	for _, n := range b.ended.Rest {
		if n >= 0 && n < len(b.files) {
			rest = append(rest, b.files[n])
		}
	}
	return notBegun(f, rest)
}

// notBegun is a failure with the files that were not begun, if there are any.
func notBegun(f *fault.Failure, rest []source.Named) error {
	if len(rest) == 0 {
		return f
	}
	return &fault.NotBegunError{Failure: f, Sources: rest}
}

// cut ends what the receive has left: it has gone, or says nothing more.
func (b *borrower) cut(ctx context.Context, c *config.Config) error {
	f := &failure{code: exitcode.Interrupted, reason: "the receive that was sending has ended"}
	if ctx.Err() != nil {
		f = b.a.explain(ctx, context.Cause(ctx))
	}
	if len(b.all) == 0 {
		if f.code == exitcode.Interrupted { // there is nothing to resume
			f.code = exitcode.Unreachable
		}
		return notBegun(&fault.Failure{Code: f.code, Reason: f.reason}, b.files)
	}
	ctx = context.WithoutCancel(ctx)
	err := b.a.withTransfers(ctx, c, func(t transfers) error {
		for _, of := range b.all {
			if !of.over {
				b.tell(leftAs(ctx, t, of.Head, f))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	rest := b.unseen()
	if rest != nil {
		b.codes = append(b.codes, f.code)
	}
	code := exitcode.Combine(b.codes...)
	if code == exitcode.OK {
		return nil
	}
	return notBegun(&fault.Failure{Code: code, Reason: "not every file was sent", Reported: true}, rest)
}

// unseen are the files of which no transfer was told.
func (b *borrower) unseen() (rest []source.Named) {
	if len(b.all) >= len(b.files) {
		return nil
	}
	seen := map[string]int{}
	for _, h := range b.all {
		seen[strings.TrimSuffix(h.Name, ".tar")]++ // which a directory has for some clients
	}
	for _, f := range b.files {
		name := strings.TrimSuffix(clean.Text(cmp.Or(f.Name, filepath.Base(f.Path))), ".tar")
		if seen[name] == 0 {
			rest = append(rest, f)
		}
		seen[name]--
	}
	return rest
}

// The locks of a process that is killed are there for a moment longer than its connections.
const (
	leftTries = 20
	leftPause = 100 * time.Millisecond
)

// leftAs is the end of a transfer that its process has left, as the journal has it.
func leftAs(ctx context.Context, t transfers, h event.Head, f *failure) event.Event {
	row, _, err := t.Get(ctx, h.Transfer)
	for i := 0; err == nil && row.State.Live() && i < leftTries; i++ {
		_ = backoff.Wait(ctx, leftPause) // it has no end
		row, _, err = t.Get(ctx, h.Transfer)
	}
	if err == nil && row.Released { // the receipt was the last thing that it saw to
		return event.Sent{Head: h, Size: row.Size, VerifiedByPeer: row.Profile}
	}
	return event.Failed{Head: h, Code: int(f.code), Reason: f.reason, Resumable: err == nil && !row.State.Over()}
}
