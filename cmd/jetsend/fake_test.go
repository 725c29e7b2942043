package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jetsend/internal/acquaint"
	"jetsend/internal/config"
	"jetsend/internal/contact"
	"jetsend/internal/event"
	"jetsend/internal/invite"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
	"jetsend/internal/transfer"
)

// fixture is a run in this process, with a fake network.
type fixture struct {
	t           *testing.T
	env         map[string]string
	dialled     []dialOptions
	endpoint    *fakeEndpoint
	registered  []string // what was, with its password and token
	registerErr error
	form        session.Form // that servers ask
	dialErr     error
	dialling    func(context.Context) error // instead of dialErr
	tty         *fakeTTY                    // nil: no terminal
	ring        *fakeRing
	out, err    bytes.Buffer
	left        chan int // the code of a second SIGINT
}

func newFixture(t *testing.T) *fixture {
	home := t.TempDir()
	return &fixture{
		t: t, endpoint: &fakeEndpoint{self: jid.MustParse("juliet@capulet.example/jetsend.1a2b3c4d")}, ring: &fakeRing{m: map[string]string{}}, left: make(chan int, 1),
		env: map[string]string{"HOME": home, "JETSEND_JID": "juliet@capulet.example", "JETSEND_PASSWORD": "secret"},
	}
}

// run executes a command and returns its exit code.
func (f *fixture) run(args ...string) int {
	f.t.Helper()
	f.out.Reset()
	f.err.Reset()
	sys := system{
		Stdin: strings.NewReader(""), Stdout: &f.out, Stderr: &f.err,
		Env: func(k string) string { return f.env[k] }, Exit: func(code int) { f.left <- code },
		OpenTTY: func() (terminal, error) {
			if f.tty == nil {
				return nil, errors.New("no terminal")
			}
			return f.tty, nil
		},
	}
	a := newApp(sys)
	a.now = func() time.Time { return time.Date(2026, 11, 21, 20, 15, 0, 0, time.UTC) }
	a.keyring = f.ring
	a.person = f.tty != nil
	a.dial = func(ctx context.Context, o dialOptions) (endpoint, error) {
		f.dialled = append(f.dialled, o)
		if f.dialling != nil {
			if err := f.dialling(ctx); err != nil {
				return nil, err
			}
		}
		if f.dialErr != nil {
			return nil, f.dialErr
		}
		f.endpoint.report = o.Report
		return f.endpoint, nil
	}
	a.register = func(ctx context.Context, o dialOptions, token string, fill func(context.Context, *session.Form) error) error {
		f.registered = append(f.registered, o.Account.Addr.String()+" "+o.Password+" "+token)
		form := f.form
		if err := fill(ctx, &form); err != nil {
			return err
		}
		return f.registerErr
	}
	a.openKeys, a.openTransfers, a.openNames, a.openBook = openKeys, openTransfers, openNames, openBook
	return a.run(f.t.Context(), args)
}

// wants fails the test unless the run ends with code and standard error holds
// all the texts.
func (f *fixture) wants(code int, texts []string, args ...string) {
	f.t.Helper()
	if got := f.run(args...); got != code {
		f.t.Errorf("%q: exit code %d, want %d\n%s", args, got, code, f.err.String())
	}
	for _, text := range texts {
		if !strings.Contains(f.err.String(), text) {
			f.t.Errorf("%q: %q is not in:\n%s", args, text, f.err.String())
		}
	}
}

// fakeEndpoint remembers what it was asked for.
type fakeEndpoint struct {
	self     jid.JID
	sent     []transfer.SendOptions
	received []transfer.ReceiveOptions
	resumed  []transfer.ResumeOptions
	result   error
	during   func(context.Context, *fakeEndpoint) error        // instead of result
	sending  func(context.Context, transfer.SendOptions) error // what Send does, instead
	report   func(event.Event)
	contacts []contact.Entry
	own      []device
	learn    func() error // what LearnKeys does; nil: result
	changed  []device     // what it returns
	done     []string     // what was asked of the roster and the device
	closed   int
}

func (e *fakeEndpoint) LearnKeys(_ context.Context, of jid.JID) ([]device, error) {
	e.done = append(e.done, "learn "+of.String())
	if e.learn != nil {
		return slices.Clone(e.changed), e.learn()
	}
	return slices.Clone(e.changed), e.result
}

func (e *fakeEndpoint) Hold(on bool) { e.done = append(e.done, fmt.Sprint("hold ", on)) }

func (e *fakeEndpoint) LimitRate(n int64) { e.done = append(e.done, fmt.Sprint("limit ", n)) }

func (e *fakeEndpoint) Link() (*session.Link, string) { return nil, "" }

func (e *fakeEndpoint) OwnDevices(context.Context) ([]device, error) { return e.own, nil }

func (e *fakeEndpoint) RemoveOwnDevice(_ context.Context, id uint32) error {
	own, _ := e.Device()
	if id == own {
		return omemo.ErrThisDevice
	}
	for i, d := range e.own {
		if d.ID == id {
			e.own = append(e.own[:i], e.own[i+1:]...)
			return nil
		}
	}
	return omemo.ErrNoSuchDevice
}

func (e *fakeEndpoint) JID() jid.JID { return e.self }
func (e *fakeEndpoint) end(ctx context.Context) error {
	if e.during != nil {
		return e.during(ctx, e)
	}
	return e.result
}
func (e *fakeEndpoint) Reach(context.Context, transfer.SendOptions) error { return nil }

func (e *fakeEndpoint) Send(ctx context.Context, o transfer.SendOptions) error {
	if e.sending != nil {
		return e.sending(ctx, o)
	}
	e.sent = append(e.sent, o)
	return e.end(ctx)
}
func (e *fakeEndpoint) Receive(ctx context.Context, o transfer.ReceiveOptions) error {
	e.received = append(e.received, o)
	return e.end(ctx)
}
func (e *fakeEndpoint) Resume(ctx context.Context, o transfer.ResumeOptions) error {
	e.resumed = append(e.resumed, o)
	return e.end(ctx)
}
func (e *fakeEndpoint) Alive(context.Context) error { return nil }
func (e *fakeEndpoint) Device() (uint32, string)    { return 27183, strings.Repeat("01234567", 8) }
func (e *fakeEndpoint) Withdraw(context.Context) error {
	e.done = append(e.done, "withdraw")
	return e.result
}
func (e *fakeEndpoint) Roster() roster           { return e }
func (e *fakeEndpoint) Meet(ctx context.Context) { <-ctx.Done() }
func (e *fakeEndpoint) Await(ctx context.Context, _ invitationID) (*acquaint.Invitation, error) {
	return &acquaint.Invitation{Terms: acquaint.Terms{Uses: 1}, Used: 1}, e.end(ctx)
}
func (e *fakeEndpoint) ChangePassword(ctx context.Context, password string) error {
	e.done = append(e.done, "password "+password)
	return e.end(ctx)
}
func (e *fakeEndpoint) Redeem(ctx context.Context, l *invite.Link) error {
	e.done = append(e.done, "redeem "+l.Issuer.String())
	return e.end(ctx)
}
func (e *fakeEndpoint) Close(ctx context.Context) error {
	e.closed++
	return ctx.Err()
}
func (e *fakeEndpoint) List(context.Context) ([]contact.Entry, error)  { return e.contacts, e.result }
func (e *fakeEndpoint) Items(context.Context) ([]contact.Entry, error) { return e.contacts, e.result }
func (e *fakeEndpoint) Name(_ context.Context, j jid.JID, name string) error {
	e.done = append(e.done, "name "+j.String()+" "+name)
	return e.result
}
func (e *fakeEndpoint) Subscribe(_ context.Context, j jid.JID) error {
	e.done = append(e.done, "subscribe "+j.String())
	return e.result
}
func (e *fakeEndpoint) Approve(_ context.Context, j jid.JID) (sees bool, err error) {
	e.done = append(e.done, "approve "+j.String())
	for _, c := range e.contacts {
		sees = sees || c.JID == j && (c.Asks || c.Subscription == "both")
	}
	return sees, e.result
}
func (e *fakeEndpoint) Remove(_ context.Context, j jid.JID) error {
	e.done = append(e.done, "remove "+j.String())
	return e.result
}

// fakeTTY gives prepared answers.
type fakeTTY struct {
	mu      sync.Mutex
	answers []string
	shown   []string
	err     error
}

func (t *fakeTTY) Ask(_ context.Context, prompt string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shown = append(t.shown, prompt)
	if t.err != nil {
		return "", t.err
	}
	if len(t.answers) == 0 {
		return "", fmt.Errorf("nothing left to answer to %q", prompt)
	}
	answer := t.answers[0]
	t.answers = t.answers[1:]
	return answer, nil
}
func (t *fakeTTY) Password(ctx context.Context, prompt string) (string, error) {
	return t.Ask(ctx, prompt)
}
func (t *fakeTTY) Close() error { return nil }

// fakeRing is a keyring in memory, or one that does not answer.
type fakeRing struct {
	m   map[string]string
	err error
}

func (k *fakeRing) Get(account string) (string, error) {
	if p, ok := k.m[account]; ok {
		return p, k.err
	}
	return "", config.ErrNotInKeyring
}
func (k *fakeRing) Set(account, password string) error {
	if k.err == nil {
		k.m[account] = password
	}
	return k.err
}
func (k *fakeRing) Delete(account string) error { delete(k.m, account); return k.err }
