package fault

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"jetsend/internal/archive"
	"jetsend/internal/crypto"
	"jetsend/internal/exitcode"
	"jetsend/internal/inbox"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/source"
	"jetsend/internal/stanza"
	"jetsend/internal/stream"
)

// exported are the errors of this package, and one of each of its types, with the rows
// that they have. A Failure and a Refusal have the row of what they wrap.
func exported() map[string]struct {
	err error
	row string
} {
	type is = struct {
		err error
		row string
	}
	return map[string]is{
		"ErrInterrupted": {ErrInterrupted, "stopped by hand"},
		"ErrTerminated":  {ErrTerminated, "terminated"},
		"ErrDrained":     {ErrDrained, "drained"},
		"ErrSuperseded":  {ErrSuperseded, "superseded"},
		"ErrNextPart":    {ErrNextPart, "next part"},
		"ErrInUse":       {ErrInUse, "in use"},
		"ErrRunning":     {ErrRunning, "running"},
		"ErrNoAnswer":    {ErrNoAnswer, "no answer"},
		"ErrSilent":      {ErrSilent, "peer gone"},
		"ErrNotThere":    {ErrNotThere, "not there"},
		"ErrDeclined":    {ErrDeclined, "declined"},
		"ErrRefused":     {ErrRefused, "not to be had"},
		"ErrPaused":      {ErrPaused, "paused"},
		"ErrGone":        {ErrGone, "gone"},
		"ErrAbandoned":   {ErrAbandoned, "abandoned"},
		"ErrReplayed":    {ErrReplayed, "replayed offer"},
		"ErrUnfit":       {ErrUnfit, "unfit answer"},
		"ErrNoTransport": {ErrNoTransport, "no transport"},
		"ErrStreamLost":  {ErrStreamLost, "stream lost"},
		"ErrEnded":       {ErrEnded, "session ended"},
		"ErrPeerGone":    {ErrPeerGone, "peer gone"},
		"ErrNoProgress":  {ErrNoProgress, "no progress"},
		"ErrUnconfirmed": {ErrUnconfirmed, "unconfirmed"},
		"ErrPrefix":      {ErrPrefix, "other bytes"},
		"ErrChecksum":    {ErrChecksum, "hash of the whole"},
		"ErrOutput":      {ErrOutput, "output"},

		"Ended":      {&Ended{}, endedByPeer},
		"OfferError": {&OfferError{stanza.NewError(stanza.Forbidden)}, "offer refused"},
		"Refusal":    {Refuse(ErrDeclined, jingle.Reason{}), "declined"},
		"Failure":    {&Failure{Err: ErrChecksum}, "hash of the whole"},
	}
}

// TestEveryErrorHasARow: what this package has of errors is in the table, and found there.
func TestEveryErrorHasARow(t *testing.T) {
	var names []string
	for _, file := range parsed(t) {
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if v, ok := s.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Err") {
						names = append(names, v.Names[0].Name)
					}
				}
			case *ast.FuncDecl:
				if d.Name.Name == "Error" && d.Recv != nil {
					names = append(names, d.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name)
				}
			}
		}
	}
	all := exported()
	slices.Sort(names)
	if want := slices.Sorted(maps.Keys(all)); !slices.Equal(names, want) {
		t.Errorf("the package has %v, the test %v", names, want)
	}
	for name, is := range all {
		for _, err := range []error{is.err, fmt.Errorf("what we did: %w", is.err)} {
			if k := Of(err); k.Name != is.row {
				t.Errorf("%s is %q, want %q", name, k.Name, is.row)
			}
		}
	}
}

func parsed(t *testing.T) []*ast.File {
	t.Helper()
	entries, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range entries {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// TestTable walks the table: each row has a name and a code of its own, is the row of each
// of its errors, and says to the other end what that can understand.
func TestTable(t *testing.T) {
	names := map[string]bool{}
	typed := map[string]error{ // of the rows that are known by a type or by a question
		"state full":          nil, // errors that SQLite alone makes, as the next
		"state damaged":       nil,
		"folder":              &inbox.FolderError{},
		endedByPeer:           &Ended{},
		"trust":               &omemo.TrustError{},
		"refused archive":     fmt.Errorf("%w: %w", ErrDeclined, &archive.RefusedError{}),
		"changed, when asked": fmt.Errorf("%w: %w", ErrGone, source.ErrChanged),
		"source":              &source.Error{Err: syscall.EIO},
		"sink":                &stream.SinkError{Err: syscall.EIO},
		"offer refused":       &OfferError{stanza.NewError(stanza.Forbidden)},
		"stanza error":        stanza.NewError(stanza.Forbidden),
		"path":                &fs.PathError{Err: syscall.EMFILE},
		"network":             net.ErrClosed,
		"unexpected":          errors.New("boom"),
	}
	for _, r := range table {
		if names[r.Name] || r.Name == "" {
			t.Errorf("two rows are called %q", r.Name)
		}
		names[r.Name] = true
		errs := r.errs
		if r.is != nil {
			err, known := typed[r.Name]
			if !known {
				t.Errorf("no error of the row %q", r.Name)
			}
			errs = append(slices.Clone(errs), err)
		}
		for _, err := range errs {
			if err == nil {
				continue
			}
			k := Of(err)
			if k.Name != r.Name {
				t.Errorf("%v of %q is %q", err, r.Name, k.Name)
			}
			walk(t, k)
		}
	}
}

// walk looks at what one kind says.
func walk(t *testing.T, k Kind) {
	t.Helper()
	if k.Code == exitcode.OK || k.Condition == "" {
		t.Errorf("%q has the code %d and the condition %q", k.Name, k.Code, k.Condition)
	}
	if d, known := detailNamed(k.Detail); k.Detail != "" && k.Detail != DetailConflict && !known {
		t.Errorf("%q says %q, which means nothing", k.Name, d.Name)
	}
	fresh, old := Standing{Resumes: true}, Standing{Resumes: true, Accepted: true, Started: true, Phase: journal.PhaseKnown, Durable: 1, Remains: func() bool { return true }}
	if k.Retryable(fresh) && !k.Retryable(old) || k.Retryable(old) && k.Code != exitcode.Interrupted && k.Code != exitcode.Offline {
		t.Errorf("%q is tried again, with the code %d", k.Name, k.Code)
	}
	for _, receiving := range []bool{false, true} {
		fresh, old := fresh, old
		fresh.Receiving, old.Receiving = receiving, receiving
		if k.Resumable(fresh) && !k.Resumable(old) {
			t.Errorf("%q: what has come further is not resumable", k.Name)
		}
		if k.Code == exitcode.Interrupted && !k.Resumable(old) {
			t.Errorf("%q: interrupted, and not resumable", k.Name)
		}
		old.Resumes = false
		if k.Resumable(old) {
			t.Errorf("%q: a form that cannot be taken up is resumable", k.Name)
		}
	}
	if k.Sound(3, 5) > 3 && k.Spoils != Nothing || k.Sound(3, 5) != 5 && k.Spoils == Nothing {
		t.Errorf("%q: %d bytes are sound", k.Name, k.Sound(3, 5))
	}
	if quiet := k.Quiet; quiet && !k.Waits(false) {
		t.Errorf("%q: nobody waits for the next session", k.Name)
	}
}

// TestProvenOnly: a detail changes what this end keeps only when it was proven.
func TestProvenOnly(t *testing.T) {
	kept := Standing{Receiving: true, Resumes: true, Accepted: true, Phase: journal.PhaseKnown, Durable: 1}
	for _, d := range Details() {
		reason := Reason(jingle.FailedApplication, d.Name)
		said, proven := Of(&Ended{Reason: reason}), Of(&Ended{Reason: reason, Proven: true})
		if said.Over || said.Paused != journal.NotPaused || !said.Resumable(kept) || said.Proven() {
			t.Errorf("%s: %+v without a proof", d.Name, said)
		}
		if proven.Over != d.Over || proven.Resumable(kept) == d.Over || (proven.Paused == journal.PausedThere) != (d.Name == DetailPaused) || !proven.Proven() {
			t.Errorf("%s: %+v", d.Name, proven)
		}
		sending := kept
		sending.Receiving = false
		if proven.Resumable(sending) == d.Over || !said.Resumable(sending) {
			t.Errorf("%s: a sender may go on: %v, %v", d.Name, proven.Resumable(sending), said.Resumable(sending))
		}
		if changes(d.Name) != (proven.Over || proven.Paused != journal.NotPaused) {
			t.Errorf("%s is sealed: %v", d.Name, changes(d.Name))
		}
	}
}

// TestOwnCode: a Failure has its own code, and what that implies, whatever it wraps; but
// what it wraps is what the other end is told, and what cannot be resumed.
func TestOwnCode(t *testing.T) {
	k := Of(&Failure{Code: exitcode.Offline, Err: source.ErrChanged, Hints: []string{"x"}})
	known := Standing{Resumes: true, Accepted: true}
	if k.Code != exitcode.Offline || k.CodeAt(false) != exitcode.Offline || !k.Retryable(known) || k.Retryable(Standing{Resumes: true}) || len(k.Hints) != 1 {
		t.Errorf("%+v", k)
	}
	if k.Resumable(known) || k.Condition != jingle.FailedApplication || k.Detail != DetailSourceChanged {
		t.Errorf("%+v", k)
	}
	if k := Of(nil); k.Name != "" || k.Code != exitcode.OK || k.Said(jingle.Success) || k.Over || k.Cut {
		t.Errorf("nil is %+v", k)
	}
}

// TestForgedElement: a sealed element that a server has broken costs no byte of the file,
// as a tag that does not fit does.
func TestForgedElement(t *testing.T) {
	forged := fmt.Errorf("%w: checksum: %w", profile.ErrSealed, crypto.ErrAuthentication)
	if k := Of(forged); k.Spoils != Nothing || k.CodeAt(true) != exitcode.Integrity {
		t.Errorf("%s spoils %v", k.Name, k.Spoils)
	}
	if k := Of(crypto.ErrAuthentication); k.Spoils != Session {
		t.Errorf("%s spoils %v", k.Name, k.Spoils)
	}
}
