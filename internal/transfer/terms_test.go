package transfer

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/inbox"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/policy"
	"jetsend/internal/source"
)

// steps are what can be seen of a decision: each line of its log, each event, each
// question. At one of them something happens.
type steps struct {
	slog.Handler
	mu   sync.Mutex
	n    int
	at   int
	then func()
}

func (s *steps) Enabled(context.Context, slog.Level) bool { return true }

func (s *steps) Handle(context.Context, slog.Record) error {
	s.step()
	return nil
}

func (s *steps) step() {
	s.mu.Lock()
	s.n++
	then := s.then
	due := s.n == s.at
	s.mu.Unlock()
	if due {
		then()
	}
}

// await has then happen at the nth step from now on.
func (s *steps) await(n int, then func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n, s.at, s.then = 0, n, then
}

func (s *steps) happened() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n >= s.at
}

// TestReloadWithinADecision: the options change between any two steps of the decision
// about an offer that neither the old ones, as a whole, let in nor the new ones. It is
// not let in.
func TestReloadWithinADecision(t *testing.T) {
	refuse := func(context.Context, Question) (bool, error) { return false, nil }
	asked := ReceiveOptions{Accept: policy.Ask, Ask: refuse}
	for name, pair := range map[string][2]ReceiveOptions{
		"asked, verified":       {asked, {Accept: policy.Verified}},
		"asked, small":          {asked, {Accept: policy.Contacts, MaxSize: 3}},
		"asked, another sender": {asked, {Accept: policy.From, From: []jid.JID{jid.MustParse("nurse@jet.test")}}},
		"asked, no second copy": {asked, {Accept: policy.Contacts, OnConflict: inbox.Skip}},
		"the trust mode":        {{Accept: policy.Contacts, Trust: omemo.VerifiedMode}, {Accept: policy.Verified}},
	} {
		t.Run(name, func(t *testing.T) { testReload(t, pair) })
	}
}

func testReload(t *testing.T, pair [2]ReceiveOptions) {
	s := prosody(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	seen := &steps{Handler: slog.DiscardHandler}
	juliet := onlineAs(t, s, "juliet", func(c *Config) {
		c.Session.Server, c.Receiver, c.Log, c.Report = s.Addr, true, slog.New(seen), func(event.Event) { seen.step() }
	})
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	start := pair[0]
	start.Dir = dir
	receiving(t, juliet, start)
	r := juliet.receiver.Load()
	change := func(to ReceiveOptions) {
		to.Dir = dir
		if put := to.Ask; put != nil {
			to.Ask = func(ctx context.Context, q Question) (bool, error) { seen.step(); return put(ctx, q) }
		}
		r.renew(func(under *terms) { under.ReceiveOptions = to })
	}
	for _, order := range [][2]ReceiveOptions{pair, {pair[1], pair[0]}} {
		for n, within := 1, true; within; n++ {
			change(order[0])
			waitIdle(t, juliet)
			seen.await(n, func() { change(order[1]) })
			if code := offeredBy(t, romeo, &source.Source{Name: "f"}, []byte("theirs"), ""); code == exitcode.OK {
				t.Errorf("let in by a change at step %d", n)
			}
			waitIdle(t, juliet)
			within = seen.happened()
			seen.await(0, nil)
		}
	}
	names, err := fs.Glob(os.DirFS(dir), "*")
	if err != nil || !slices.Equal(names, []string{"f"}) {
		t.Errorf("there are %q (%v)", names, err)
	}
}

// TestTermsAreTakenOnce: nothing but what begins a decision asks for the terms in force.
func TestTermsAreTakenOnce(t *testing.T) {
	begins := []string{
		"Endpoint.admit", "Endpoint.visible", // an offer or request, a look at our presence
		"keeper.settle", "keeper.look", "keeper.tidy",
		"receiver.prime", "receiver.contacts", // a round of priming
		"receiver.wait", "receiver.drain", "receiver.finishHooks", // the end of a run
		"receiver.renew",
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || fn.Name.Name == "terms" {
				continue
			}
			of := strings.TrimPrefix(types.ExprString(fn.Recv.List[0].Type), "*") + "." + fn.Name.Name
			ast.Inspect(fn, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if ok && strings.HasSuffix(types.ExprString(call.Fun), ".terms") || ok && strings.HasSuffix(types.ExprString(call.Fun), ".inForce.Load") {
					found = append(found, of)
				}
				return true
			})
		}
	}
	for _, of := range found {
		if !slices.Contains(begins, of) {
			t.Errorf("%s asks for the terms in the middle of a decision", of)
		}
	}
	if len(found) < len(begins) {
		t.Errorf("only %q ask for the terms", found)
	}
}
