package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// The name spaces of registration in the stream: XEP-0077; the address of a web page, XEP-0066;
// the token of an invitation, XEP-0445 section 4; a picture in the form, XEP-0221.
const (
	nsRegister = "jabber:iq:register"
	nsOOB      = "jabber:x:oob"
	nsPreauth  = "urn:xmpp:pars:0"
	nsMedia    = "urn:xmpp:media-element"
)

// Bounds on the form of a server.
const (
	maxFormFields  = 64
	maxFormOptions = 256
)

// FormField is something that a server wants to know of who registers, beside the name and
// the password. Text in it is the server's and must be cleaned before display.
type FormField struct {
	Var, Label string
	Type       string // of XEP-0004 section 3.3; "" where it is no data form
	Required   bool
	Options    []string // of which one may be chosen
	// Media are the addresses of what has to be looked at for an answer: a CAPTCHA.
	Media []string
	// Value is the answer; what the server suggests before.
	Value string
}

// Form is what a server wants to know. Text in it is the server's.
type Form struct {
	Instructions string
	URL          string // a page on which one registers
	Fields       []*FormField

	data   bool // it is a data form
	hidden []*FormField
}

// RegisterError is a registration or a change that a server refuses.
type RegisterError struct {
	Condition string // of its error; "" where it says so by offering nothing
	Text      string // the server's own; clean before display
	URL       string // the page that its form names; clean before display
}

// Error implements error, in words that a user understands.
func (e *RegisterError) Error() string {
	switch e.Condition {
	case "":
		return "the server lets nobody register this way"
	case stanza.Conflict:
		return "the address is taken already"
	case "forbidden", "not-allowed", "registration-required":
		return "the server does not let you register"
	case "resource-constraint", "policy-violation":
		return "the server takes no more accounts from this address at the moment"
	}
	return "the server refuses: " + e.Condition
}

// refused turns the answer of a server into a *RegisterError; other errors stay.
func refused(err error, f *Form) error {
	var answer *stanza.Error
	if !errors.As(err, &answer) {
		return err
	}
	e := &RegisterError{Condition: answer.Condition, Text: answer.Text}
	if f != nil {
		e.URL = f.URL
	}
	return e
}

// Register makes the account of cfg at its server, which has to have proved who it is (XEP-0077
// section 3.1). token is that of an invitation of the server, or empty. fill answers what
// the server's form asks; it may take its time. The password is that of cfg. Errors are those of
// a login, and *RegisterError.
func Register(ctx context.Context, cfg Config, token string, fill func(context.Context, *Form) error) error {
	s := New(cfg)
	defer s.cancel()
	if s.err0 != nil {
		return s.err0
	}
	t, features, err := s.reachIn(ctx)
	if err != nil {
		return s.loginError(ctx, err)
	}
	defer t.hangUp()
	stop := context.AfterFunc(ctx, func() { _ = t.abort() })
	defer stop()
	if err := s.register(ctx, t, features, token, fill); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return fmt.Errorf("register %s: %w", s.cfg.JID, err)
	}
	return nil
}

// reachIn is reach within the time of a login.
func (s *Session) reachIn(ctx context.Context) (*transport, *xmltree.Element, error) {
	ctx, cancel := context.WithTimeout(ctx, s.loginMax)
	defer cancel()
	t, features, err := s.reach(ctx, nil)
	for n := 0; err != nil && n < maxRedirects && s.redirected(err); n++ {
		t, features, err = s.reach(ctx, nil)
	}
	return t, features, err
}

func (s *Session) register(ctx context.Context, t *transport, features *xmltree.Element, token string, fill func(context.Context, *Form) error) error {
	if token != "" {
		if _, err := s.askSoon(t, stanza.Set, xmltree.New(nsPreauth, "preauth").Set("token", token)); err != nil {
			return refused(err, nil)
		}
	}
	answer, err := s.askSoon(t, stanza.Get, xmltree.New(nsRegister, "query"))
	if err != nil {
		err = refused(err, nil)
		var no *RegisterError
		if errors.As(err, &no) && !registers(features) { // nor did it ever say that it does
			no.Condition = ""
		}
		return err
	}
	form := readForm(answer.Child(nsRegister, "query"))
	if !form.registers() {
		return &RegisterError{URL: form.URL, Text: form.Instructions}
	}
	if err := fill(ctx, form); err != nil {
		return err
	}
	password, err := s.cfg.Password(ctx)
	if err != nil {
		return err
	}
	_, err = s.askSoon(t, stanza.Set, form.filled(s.cfg.JID.Local(), password))
	return refused(err, form)
}

// askSoon is askTo to the server, which has as long for its answer as for any iq.
func (s *Session) askSoon(t *transport, typ stanza.IQType, payload *xmltree.Element) (*xmltree.Element, error) {
	late := time.AfterFunc(iqTimeout, func() { _ = t.abort() })
	answer, err := s.askTo(t, s.cfg.JID.Domain(), typ, payload)
	if !late.Stop() && err != nil {
		err = ErrSilent
	}
	return answer, err
}

// registers reports whether a stream says that one may register in it.
func registers(features *xmltree.Element) bool {
	return slices.ContainsFunc(features.Children, func(e *xmltree.Element) bool { return e.Name.Local == "register" })
}

// readForm reads the query of XEP-0077 section 3.1: a data form where there is one, else its
// elements, all of which are wanted.
func readForm(query *xmltree.Element) *Form {
	f := &Form{Instructions: query.ChildText(nsRegister, "instructions"), URL: query.Child(nsOOB, "x").ChildText(nsOOB, "url")}
	if x := query.Child(nsDataForm, "x"); x != nil {
		f.data = true
		if text := x.ChildText(nsDataForm, "instructions"); text != "" {
			f.Instructions = text
		}
		for _, e := range x.All(nsDataForm, "field") {
			f.add(parseField(e))
		}
		return f
	}
	if query == nil {
		return f
	}
	for _, e := range query.Children {
		if e.Name.Space == nsRegister && e.Name.Local != "instructions" && e.Name.Local != "registered" {
			f.add(&FormField{Var: e.Name.Local, Label: e.Name.Local, Required: true, Value: e.Text})
		}
	}
	return f
}

func (f *Form) add(field *FormField) {
	switch {
	case len(f.Fields)+len(f.hidden) == maxFormFields:
	case field.Var == "username", field.Var == "password", field.Type == "hidden", !f.data && field.Var == "key":
		f.hidden = append(f.hidden, field)
	default:
		f.Fields = append(f.Fields, field)
	}
}

// registers reports whether an account comes of filling it in.
func (f *Form) registers() bool {
	has := func(name string) bool {
		return slices.ContainsFunc(f.hidden, func(field *FormField) bool { return field.Var == name })
	}
	return has("username") && has("password")
}

func parseField(e *xmltree.Element) *FormField {
	f := &FormField{Var: e.Attr("var"), Label: e.Attr("label"), Type: e.Attr("type"), Required: e.Child(nsDataForm, "required") != nil}
	var values []string
	for _, v := range e.All(nsDataForm, "value") {
		values = append(values, v.Text)
	}
	f.Value = strings.Join(values, "\n")
	for _, o := range e.All(nsDataForm, "option") {
		if len(f.Options) < maxFormOptions {
			f.Options = append(f.Options, o.ChildText(nsDataForm, "value"))
		}
	}
	for _, u := range e.Child(nsMedia, "media").All(nsMedia, "uri") {
		f.Media = append(f.Media, strings.TrimSpace(u.Text))
	}
	return f
}

// filled is the answer to the form.
func (f *Form) filled(username, password string) *xmltree.Element {
	query := xmltree.New(nsRegister, "query")
	into := query
	if f.data {
		into = xmltree.New(nsDataForm, "x").Set("type", "submit")
		query.Add(into)
	}
	for _, field := range slices.Concat(f.hidden, f.Fields) {
		value := field.Value
		switch {
		case field.Var == "username":
			value = username
		case field.Var == "password":
			value = password
		case field.Type == "fixed", value == "" && !field.Required:
			continue
		}
		if f.data {
			into.Add(xmltree.New(nsDataForm, "field", xmltree.New(nsDataForm, "value").SetText(value)).Set("var", field.Var))
		} else {
			into.Add(xmltree.New(nsRegister, field.Var).SetText(value))
		}
	}
	return query
}

// ChangePassword gives the account another password (XEP-0077 section 3.3). The session goes
// on, and logs in with the old one if it has to.
func (s *Session) ChangePassword(ctx context.Context, password string) error {
	server, err := jid.Parse(s.JID().Domain())
	if err != nil {
		return err
	}
	query := xmltree.New(nsRegister, "query", xmltree.New(nsRegister, "username").SetText(s.JID().Local()), xmltree.New(nsRegister, "password").SetText(password))
	if _, err := s.IQ(ctx, server, stanza.Set, query); err != nil {
		return fmt.Errorf("change the password: %w", refused(err, nil))
	}
	return nil
}
