package ibb

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// silent is a port on which nobody ever answers.
type silent struct{ begun []string }

func (s *silent) BeginIQ(_ context.Context, _ jid.JID, p *xmltree.Element, _ func(error)) (func(), error) {
	s.begun = append(s.begun, p.Name.Local)
	return func() {}, nil
}

func (s *silent) BulkIQ(_ context.Context, _ jid.JID, encode func([]byte, string) []byte, _ func(error)) (func(), error) {
	encode(nil, "x")
	return func() {}, nil
}

// ask gives a payload to m and returns "result", the condition of the error, or "" for no answer yet.
func ask(t *testing.T, m *Manager, from jid.JID, payload string) (string, *stanza.Error) {
	t.Helper()
	e, err := xmltree.Parse([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return askTyped(m, from, stanza.Set, e)
}

func askTyped(m *Manager, from jid.JID, typ stanza.IQType, e *xmltree.Element) (string, *stanza.Error) {
	var got string
	var se *stanza.Error
	m.HandleIQ(context.Background(), stanza.IQ{From: from, ID: "1", Type: typ, Payload: e}, func(_ *xmltree.Element, err error) {
		got = "result"
		if errors.As(err, &se) {
			got = se.Condition
		} else if err != nil {
			got = err.Error()
		}
	})
	return got, se
}

func data(seq uint64, text string) string {
	return `<data xmlns='` + NS + `' sid='s' seq='` + strconv.FormatUint(seq, 10) + `'>` + text + `</data>`
}

const (
	openS  = `<open xmlns='` + NS + `' sid='s' block-size='16' stanza='iq'/>`
	closeS = `<close xmlns='` + NS + `' sid='s'/>`
)

// expected returns a stream that romeo has opened with blocks of 16 bytes.
func expected(t *testing.T) (*Manager, *silent, *Conn) {
	t.Helper()
	port := &silent{}
	m := NewManager(Config{Port: port})
	t.Cleanup(m.Close)
	e, err := m.Expect(Params{Peer: romeo, Transport: Transport{"s", 16}})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := ask(t, m, romeo, openS); got != "result" {
		t.Fatalf("open: %s", got)
	}
	c, err := e.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m, port, c
}

func TestOpenRefused(t *testing.T) {
	port := &silent{}
	m := NewManager(Config{Port: port})
	defer m.Close()
	e, err := m.Expect(Params{Peer: romeo, Transport: Transport{"s", 4096}})
	if err != nil {
		t.Fatal(err)
	}
	const ns = `<open xmlns='` + NS + `' `
	for _, x := range []struct{ payload, want, typ string }{
		{ns + `sid='other' block-size='4096'/>`, "not-acceptable", "cancel"},
		{ns + `block-size='4096'/>`, "bad-request", "cancel"},
		{ns + `sid='s' block-size='4097'/>`, "resource-constraint", "modify"},
		{ns + `sid='s' block-size='65536'/>`, "resource-constraint", "modify"},
		{ns + `sid='s' block-size='0'/>`, "bad-request", "cancel"},
		{ns + `sid='s' block-size='many'/>`, "bad-request", "cancel"},
		{ns + `sid='s' block-size='4096' stanza='message'/>`, "not-acceptable", "cancel"},
		{ns + `sid='s' block-size='4096' stanza='pigeon'/>`, "bad-request", "cancel"},
		{data(0, ""), "item-not-found", "cancel"},
		{closeS, "item-not-found", "cancel"},
		{`<query xmlns='` + NS + `' sid='s'/>`, "feature-not-implemented", "cancel"},
		{`<open xmlns='urn:x' sid='s' block-size='4096'/>`, "bad-request", "cancel"},
	} {
		got, se := ask(t, m, romeo, x.payload)
		if got != x.want || se == nil || se.Type != x.typ {
			t.Errorf("%s: %q %v, want %s %s", x.payload, got, se, x.want, x.typ)
		}
	}
	if got, _ := askTyped(m, romeo, stanza.Get, element("open", "s")); got != "bad-request" {
		t.Errorf("iq of type get: %q", got)
	}
	if got, _ := askTyped(m, romeo, stanza.Set, nil); got != "bad-request" {
		t.Errorf("no payload: %q", got)
	}
	if got, _ := ask(t, m, juliet, openS); got != "not-acceptable" {
		t.Errorf("somebody else: %q", got)
	}
	// None of these spoils what was agreed on, and stray attributes are ignored.
	if got, _ := ask(t, m, romeo, ns+`sid='s' block-size='1000' odd='1'><x/></open>`); got != "result" {
		t.Fatalf("in the end: %q", got)
	}
	c, err := e.Accept(t.Context())
	if err != nil || c.BlockSize() != 1000 {
		t.Fatalf("%v, %v", c, err)
	}
	if got, _ := ask(t, m, romeo, openS); got != "not-acceptable" {
		t.Errorf("second open: %q", got)
	}
}

func TestOpenWithoutBlockSize(t *testing.T) {
	m := NewManager(Config{Port: &silent{}})
	defer m.Close()
	e, err := m.Expect(Params{Peer: romeo, Transport: Transport{"s", 2048}})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := ask(t, m, romeo, `<open xmlns='`+NS+`' sid='s'/>`); got != "result" {
		t.Fatal(got)
	}
	c, err := e.Accept(t.Context())
	if err != nil || c.BlockSize() != 2048 {
		t.Fatalf("%v", err)
	}
}

func TestAdmit(t *testing.T) {
	m := NewManager(Config{Port: &silent{}, Admit: func(from jid.JID) *stanza.Error {
		if from.Bare() == romeo.Bare() {
			return nil
		}
		return stanza.NewError(stanza.ServiceUnavailable)
	}})
	defer m.Close()
	stranger := jid.MustParse("mallory@evil.example/x")
	for _, p := range []string{openS, data(0, ""), closeS, `<x xmlns='` + NS + `'/>`} {
		if got, _ := ask(t, m, stranger, p); got != "service-unavailable" {
			t.Errorf("%s: %q", p, got)
		}
	}
	if got, _ := ask(t, m, romeo, closeS); got != "item-not-found" {
		t.Errorf("a friend: %q", got)
	}
}

func TestBadData(t *testing.T) {
	good := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef"))
	tooBig := base64.StdEncoding.EncodeToString([]byte("0123456789abcdefg"))
	for name, x := range map[string]struct{ payload, want string }{
		"sequence gap":       {data(2, good), "unexpected-request"},
		"sequence repeated":  {data(0, good), "unexpected-request"},
		"no sequence":        {`<data xmlns='` + NS + `' sid='s'>` + good + `</data>`, "bad-request"},
		"negative sequence":  {strings.Replace(data(1, good), "'1'", "'-1'", 1), "bad-request"},
		"endless sequence":   {strings.Replace(data(1, good), "'1'", "'99999999999999999999'", 1), "bad-request"},
		"too big":            {data(1, tooBig), "bad-request"},
		"much too big":       {data(1, strings.Repeat("QUJD", 9999)), "bad-request"},
		"no alphabet":        {data(1, "QU-D"), "bad-request"},
		"padding first":      {data(1, "=AAA"), "bad-request"},
		"padding inside":     {data(1, "BBBB=CCC"), "bad-request"},
		"padding missing":    {data(1, "QUI"), "bad-request"},
		"something after it": {data(1, "QUI=QUI="), "bad-request"},
		"hidden bits":        {data(1, "QUJ="), "bad-request"},
		"an element":         {data(1, "QUJD<x/>"), "bad-request"},
		"no-break space":     {data(1, "QUJD\u00a0"), "bad-request"},
	} {
		m, port, c := expected(t)
		if got, _ := ask(t, m, romeo, data(0, good)); got != "result" {
			t.Fatalf("good block: %q", got)
		}
		got, se := ask(t, m, romeo, x.payload)
		if got != x.want || se == nil || se.Type != "cancel" {
			t.Errorf("%s: %q, %v", name, got, se)
			continue
		}
		// Blocks that follow are not processed, those that came before can be read.
		if got, _ := ask(t, m, romeo, data(1, good)); got != "item-not-found" {
			t.Errorf("%s: then %q", name, got)
		}
		b, err := io.ReadAll(c)
		if string(b) != "0123456789abcdef" || !errors.Is(err, ErrProtocol) || !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: write: %v", name, err)
		}
		_ = c.Close()
		if len(port.begun) != 1 || port.begun[0] != "close" {
			t.Errorf("%s: sent %v", name, port.begun)
		}
	}
}

func TestDataOfOthers(t *testing.T) {
	m, _, c := expected(t)
	other, err := romeo.WithResource("garden")
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []jid.JID{juliet, other, romeo.Bare()} {
		for _, p := range []string{data(0, "QUJD"), closeS} {
			if got, _ := ask(t, m, from, p); got != "item-not-found" {
				t.Errorf("%s from %s: %q", p, from, got)
			}
		}
	}
	if got, _ := ask(t, m, romeo, strings.Replace(data(0, "QUJD"), "'s'", "'t'", 1)); got != "item-not-found" {
		t.Errorf("another sid: %q", got)
	}
	// A stray block-size is what Conversations writes; layout is in the examples of the XEP.
	p := strings.Replace(data(0, "\n    QU\r\n\tJD  \n"), " sid", " block-size='16' sid", 1)
	if got, _ := ask(t, m, romeo, p); got != "result" {
		t.Errorf("stray attribute: %q", got)
	}
	if got, _ := ask(t, m, romeo, closeS); got != "result" {
		t.Errorf("close: %q", got)
	}
	if b, err := io.ReadAll(c); string(b) != "ABC" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// TestSequence: peers that wrap the number, Conversations which does not, and
// Libervia which wraps too early.
func TestSequence(t *testing.T) {
	for name, x := range map[string]struct {
		libervia bool
		seq      func(n uint64) uint64
		ends     uint64 // a block that is refused
	}{
		"wrapped":          {false, func(n uint64) uint64 { return n % 65536 }, 0},
		"unwrapped":        {false, func(n uint64) uint64 { return n }, 0},
		"Libervia":         {true, func(n uint64) uint64 { return n % 65535 }, 0},
		"unknown Libervia": {false, func(n uint64) uint64 { return n % 65535 }, 65535},
	} {
		m := NewManager(Config{Port: &silent{}})
		e, err := m.Expect(Params{Peer: romeo, Transport: Transport{"s", 1}, Modulo65535: x.libervia})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := ask(t, m, romeo, strings.Replace(openS, "16", "1", 1)); got != "result" {
			t.Fatal(got)
		}
		c, err := e.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		el, one := element("data", "s").SetText("QQ=="), make([]byte, 1)
		for n := range uint64(65536 + 65536 + 3) {
			got, _ := askTyped(m, romeo, stanza.Set, el.Set("seq", strconv.FormatUint(x.seq(n), 10)))
			if x.ends != 0 && n == x.ends {
				if got != "unexpected-request" {
					t.Errorf("%s: block %d: %q", name, n, got)
				}
				break
			}
			if got != "result" {
				t.Errorf("%s: block %d: %q", name, n, got)
				break
			}
			if k, err := c.Read(one); k != 1 || err != nil || one[0] != 'A' {
				t.Fatalf("%s: %d %v", name, k, err)
			}
		}
		m.Close()
	}
}

func TestRegister(t *testing.T) {
	m := NewManager(Config{Port: &silent{}})
	p := Params{Peer: romeo, Transport: Transport{"s", 0}}
	e, err := m.Expect(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Expect(p); !errors.Is(err, ErrDuplicate) {
		t.Errorf("twice: %v", err)
	}
	if _, err := m.Open(t.Context(), p); !errors.Is(err, ErrDuplicate) {
		t.Errorf("twice: %v", err)
	}
	for _, bad := range []Params{{Transport: p.Transport}, {Peer: romeo}, {Peer: romeo, Transport: Transport{SID: strings.Repeat("s", maxSID+1)}}} {
		if _, err := m.Expect(bad); err == nil {
			t.Errorf("%+v passed", bad)
		}
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if _, err := e.Accept(t.Context()); !errors.Is(err, ErrBroken) {
		t.Errorf("accept after close: %v", err)
	}
	if got, _ := ask(t, m, romeo, openS); got != "not-acceptable" {
		t.Errorf("open after close: %q", got)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrNoProgress)
	if e, err = m.Expect(p); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Accept(ctx); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("accept with an ended context: %v", err)
	}
	m.Close()
	if _, err := m.Expect(p); !errors.Is(err, ErrBroken) {
		t.Errorf("after the end: %v", err)
	}
	if len(m.streams) != 0 {
		t.Errorf("%d streams left", len(m.streams))
	}
}

func TestAfterClose(t *testing.T) {
	m, port, c := expected(t)
	if got, _ := ask(t, m, romeo, data(0, "QUJD")); got != "result" {
		t.Fatal(got)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("again: %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	if err := c.CloseWrite(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("end: %v", err)
	}
	if err := c.SetDeadline(testTime); !errors.Is(err, net.ErrClosed) {
		t.Errorf("deadline: %v", err)
	}
	for _, p := range []string{data(1, "QUJD"), closeS} {
		if got, _ := ask(t, m, romeo, p); got != "item-not-found" {
			t.Errorf("%s: %q", p, got)
		}
	}
	if len(port.begun) != 1 {
		t.Errorf("sent %v", port.begun)
	}
	if c.RemoteAddr().Network() != "ibb" || c.RemoteAddr().String() != romeo.String()+" s" || c.LocalAddr() == nil {
		t.Errorf("addresses %v %v", c.LocalAddr(), c.RemoteAddr())
	}
}
