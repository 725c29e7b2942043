package main

import (
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"jetsend/internal/config"
	"jetsend/internal/invite"
	"jetsend/internal/jid"
	"jetsend/internal/session"
)

// registers runs a command on a terminal where these answers are typed.
func (f *fixture) registers(answers ...string) {
	delete(f.env, "JETSEND_PASSWORD")
	delete(f.env, "JETSEND_JID")
	f.tty = &fakeTTY{answers: answers}
}

// TestRegister: the password is typed twice, or made, and kept; then one is logged in.
func TestRegister(t *testing.T) {
	const romeo = "romeo@montague.example"
	for _, tt := range []struct {
		name    string
		answers []string
		args    []string
		env     string // the password in the environment
		code    int
		want    string // what the server is told, as a pattern
		text    string
	}{
		{name: "typed", answers: []string{"long enough", "long enough"}, args: []string{romeo}, want: romeo + " long enough $", text: "the password is in the keyring"},
		{name: "typed wrong", answers: []string{"short", "long enough", "other enough", "long enough", "long enough"}, args: []string{romeo}, want: romeo + " long enough $", text: "try again"},
		{name: "never right", answers: []string{"short", "short", "short"}, args: []string{romeo}, code: 2, text: "no password was chosen"},
		{name: "left empty", answers: []string{""}, args: []string{romeo}, want: romeo + " [A-Z2-7]{26} $", text: "in the keyring"},
		{name: "made", args: []string{romeo, "--generate"}, want: romeo + " [A-Z2-7]{26} $", text: "logged in as"},
		{name: "made for nothing", args: []string{romeo, "--generate", "--store=none"}, code: 2, text: "would lose it"},
		{name: "from outside", env: "long enough", args: []string{romeo}, want: romeo + " long enough $", text: "logged in as"},
		{name: "from outside, and made", env: "x", args: []string{romeo, "--generate"}, code: 2, text: "JETSEND_PASSWORD gives a password"},
		{name: "asked for", answers: []string{romeo, ""}, want: romeo + " .*", text: "is made"},
		{name: "with an invitation", answers: []string{""}, args: []string{romeo, "xmpp:montague.example?register;preauth=T"}, want: romeo + " .* T$", text: "is made"},
		{name: "that names it", answers: []string{""}, args: []string{"xmpp:romeo@montague.example?register;preauth=T"}, want: romeo + " .* T$", text: "is made"},
		{name: "of somebody there", answers: []string{"romeo", ""}, args: []string{"xmpp:juliet@montague.example?roster;preauth=T;ibr=y"}, want: romeo + " .* T$", text: "is made"},
		{name: "of elsewhere", args: []string{romeo, "xmpp:verona.example?register;preauth=T"}, code: 2, text: "the invitation is of verona.example"},
		{name: "two of them", args: []string{"xmpp:a.example?register;preauth=T", "xmpp:a.example?register;preauth=U"}, code: 2, text: "one invitation"},
		{name: "no address", args: []string{"montague.example"}, code: 2, text: "is not the address of an account"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.registers(tt.answers...)
			if tt.env != "" {
				f.env["JETSEND_PASSWORD"] = tt.env
			}
			f.wants(tt.code, []string{tt.text}, append([]string{"register"}, tt.args...)...)
			if tt.want == "" {
				if len(f.registered) > 0 {
					t.Errorf("registered %q", f.registered)
				}
				return
			}
			if len(f.registered) != 1 || !regexp.MustCompile("^"+tt.want).MatchString(f.registered[0]) {
				t.Fatalf("registered %q", f.registered)
			}
			password := strings.Fields(strings.TrimPrefix(f.registered[0], romeo))[0]
			if len(f.dialled) != 1 || !f.dialled[0].Login || !strings.HasPrefix(f.dialled[0].Password, password) {
				t.Errorf("dialled %+v", f.dialled)
			}
			if kept := f.ring.m[romeo]; tt.env == "" && !strings.HasPrefix(kept, password) {
				t.Errorf("kept %q", kept)
			}
			if strings.Contains(f.err.String()+f.out.String(), password) && len(password) > 8 {
				t.Errorf("it is shown: %s", f.err.String())
			}
		})
	}
}

// TestRegisterRefused: why there is no account, and what to do then.
func TestRegisterRefused(t *testing.T) {
	for _, tt := range []struct {
		err   *session.RegisterError
		texts []string
	}{
		{&session.RegisterError{Condition: "conflict", Text: "exists"}, []string{"error: the address is taken already\n", "if it is yours run `jetsend login romeo@montague.example`"}},
		{&session.RegisterError{}, []string{"the server lets nobody register this way", "ask whoever runs the server"}},
		{&session.RegisterError{Text: "Go\x1b there", URL: "https://montague.example/new"}, []string{"open https://montague.example/new, and then run `jetsend login"}},
		{&session.RegisterError{Condition: "not-allowed", Text: "By invitation"}, []string{"does not let you register: By invitation"}},
	} {
		f := newFixture(t)
		f.registers("")
		f.registerErr = tt.err
		f.wants(8, tt.texts, "register", "romeo@montague.example")
		if len(f.dialled) > 0 || len(f.ring.m) > 0 || strings.Contains(f.err.String(), "\x1b") {
			t.Errorf("%v: %+v, %q", tt.err, f.dialled, f.err.String())
		}
	}
}

// TestRegisterForm: what a server asks besides is asked on the terminal, and where there is none
// the command says so.
func TestRegisterForm(t *testing.T) {
	form := session.Form{Instructions: "Hello\x1b", Fields: []*session.FormField{
		{Var: "email", Label: "Email\x1b", Required: true},
		{Var: "nick"},
		{Type: "fixed", Value: "Read this"},
		{Var: "captcha", Value: "https://montague.example/captcha/1"},
		{Var: "ocr", Label: "What do you see", Required: true, Media: []string{"cid:x"}},
		{Var: "plan", Required: true, Options: []string{"a", "b"}},
	}}
	f := newFixture(t)
	f.registers("", "r@x.example", "seven", "b")
	f.form = form
	f.wants(0, []string{"the server says: Hello", "the server says: Read this", "open https://montague.example/captcha/1", "is made"}, "register", "romeo@montague.example")
	var got []string
	for _, field := range form.Fields {
		got = append(got, field.Value)
	}
	if want := []string{"r@x.example", "", "Read this", "https://montague.example/captcha/1", "seven", "b"}; !slices.Equal(got, want) {
		t.Errorf("answered %q", got)
	}
	if strings.Contains(strings.Join(f.tty.shown, ""), "\x1b") {
		t.Errorf("asked %q", f.tty.shown)
	}
	f = newFixture(t)
	f.form = session.Form{Fields: []*session.FormField{{Var: "email", Label: "Email", Required: true}}}
	f.wants(8, []string{"the server also asks for Email, and there is no terminal to ask you"}, "register", "romeo@montague.example")
}

// TestLoginWithoutAccount: a bare login on a terminal leads to an account.
func TestLoginWithoutAccount(t *testing.T) {
	f := newFixture(t)
	f.registers("", "romeo@montague.example", "")
	f.wants(0, []string{"the account romeo@montague.example is made", "to invite somebody run `jetsend invite`"}, "login")
	if len(f.registered) != 1 {
		t.Errorf("registered %q", f.registered)
	}
	f = newFixture(t)
	f.registers("wrong", "wrong", "wrong")
	f.dialErr = &session.AuthError{Condition: wrongPassword}
	f.wants(4, []string{"no account there yet? run `jetsend register romeo@montague.example`"}, "login", "romeo@montague.example")
}

// TestAccountPassword: the new password is kept where the old one was.
func TestAccountPassword(t *testing.T) {
	f := newFixture(t)
	f.file(".config/jetsend/config.yaml", "accounts: {home: {jid: juliet@capulet.example, keyring: true}}\n")
	f.registers("new enough", "new enough")
	f.ring.m["juliet@capulet.example"] = "old"
	f.wants(0, []string{"juliet@capulet.example has its new password"}, "account", "password")
	if !slices.Equal(f.endpoint.done, []string{"password new enough"}) || f.ring.m["juliet@capulet.example"] != "new enough" || f.dialled[0].Password != "old" {
		t.Errorf("%q, %v", f.endpoint.done, f.ring.m)
	}
	f.endpoint.result = &session.RegisterError{Condition: "not-allowed"}
	f.tty.answers = []string{""}
	f.wants(8, []string{"the server does not let you"}, "account", "password")
	if f.ring.m["juliet@capulet.example"] != "new enough" {
		t.Error("a password is kept that is none")
	}
	f = newFixture(t) // in the environment
	f.tty = &fakeTTY{answers: []string{""}}
	f.wants(3, []string{"the password comes from JETSEND_PASSWORD: change it there as well", "there is no place to keep it"}, "account", "password")
	f.tty = &fakeTTY{answers: []string{"new enough", "new enough"}}
	f.wants(0, []string{"change it there as well"}, "account", "password")
	f.wants(0, nil, "account")
}

// TestInvitedWithoutAccount: who is invited and has no account gets one on the way.
func TestInvitedWithoutAccount(t *testing.T) {
	f := newFixture(t)
	l := invite.NewLink(jid.MustParse("juliet@capulet.example"), invite.Named(deviceNamed(27183, keyOne)))
	f.registers(l.String(), "", "romeo@montague.example", "")
	f.wants(0, []string{"the account romeo@montague.example is made", "showing the invitation to juliet@capulet.example"}, "contacts", "add")
	if len(f.registered) != 1 || !slices.Equal(f.endpoint.done, []string{"redeem juliet@capulet.example"}) {
		t.Errorf("%q, %q", f.registered, f.endpoint.done)
	}
	f = newFixture(t)
	f.registers()
	f.tty = nil
	f.file("link", l.String())
	f.wants(3, []string{"no account is configured"}, "contacts", "add", "--link-file", filepath.Join(f.env["HOME"], "link"))
}

// TestRegisterKeepsFirst: a password that was made is kept before the server hears it, or the
// server does not; and what the server refuses is not kept.
func TestRegisterKeepsFirst(t *testing.T) {
	f := newFixture(t)
	f.registers("")
	f.ring.err = errors.New("locked")
	f.wants(3, []string{"store the password: locked"}, "register", "romeo@montague.example", "--store=keyring")
	if len(f.registered) > 0 {
		t.Errorf("the server was told: %q", f.registered)
	}
	f.tty.answers = []string{""}
	f.wants(0, []string{"readable by you alone"}, "register", "romeo@montague.example")
	f = newFixture(t)
	f.registers("")
	f.registerErr = &session.RegisterError{Condition: "conflict"}
	f.wants(8, nil, "register", "romeo@montague.example")
	if c, err := config.Load(config.Options{File: filepath.Join(f.env["HOME"], ".config/jetsend/config.yaml")}); err != nil || len(c.Accounts) > 0 || len(f.ring.m) > 0 {
		t.Errorf("%+v, %v, %v", c.Accounts, f.ring.m, err)
	}
	// The answer to a change was lost: a login tells.
	for _, tt := range []struct {
		dials []error
		code  int
		want  string
	}{
		{[]error{nil, nil}, 8, "old"},
		{[]error{nil, &session.AuthError{Condition: wrongPassword}}, 0, "new enough"},
		{[]error{nil, session.ErrSessionLost}, 5, "new enough"},
	} {
		f := newFixture(t)
		f.file(".config/jetsend/config.yaml", "accounts: {home: {jid: juliet@capulet.example, keyring: true}}\n")
		f.registers("new enough", "new enough")
		f.ring.m["juliet@capulet.example"] = "old"
		f.endpoint.result = session.ErrSessionLost
		f.dialling = func(context.Context) error {
			err := tt.dials[0]
			tt.dials = tt.dials[1:]
			return err
		}
		f.wants(tt.code, nil, "account", "password")
		if got := f.ring.m["juliet@capulet.example"]; got != tt.want {
			t.Errorf("%d: kept %q", tt.code, got)
		}
	}
}

// TestNothingTyped: Enter is no address.
func TestNothingTyped(t *testing.T) {
	f := newFixture(t)
	f.file(".config/jetsend/config.yaml", "accounts: {home: {jid: juliet@capulet.example}}\n")
	f.registers("")
	f.wants(2, []string{"no address was typed"}, "register")
	f.registers("")
	f.wants(2, []string{"no address was typed"}, "register", "xmpp:capulet.example?register;preauth=T")
	f = newFixture(t)
	f.registers("", "")
	f.wants(2, []string{"no address was typed"}, "login")
	if len(f.registered) > 0 {
		t.Errorf("registered %q", f.registered)
	}
}
