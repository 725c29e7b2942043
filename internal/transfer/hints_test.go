package transfer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"jetsend/internal/exitcode"
	"jetsend/internal/inbox"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/stanza"
	"jetsend/internal/state"
)

// TestTrustReason: who is refused for a key is told that alone, and the key in the
// groups in which people compare it.
func TestTrustReason(t *testing.T) {
	trust := &omemo.TrustError{JID: jid.MustParse("a@b.example"), Device: 7, Fingerprint: strings.Repeat("61", 32), Known: strings.Repeat("62", 32), Kind: omemo.Changed}
	f := failureOf(fmt.Errorf("encrypt for a@b.example: %w; device 7: %w", omemo.ErrNoDevice, trust), false)
	if f.Code != exitcode.Untrusted || f.Error() != "the key of device 7 of a@b.example has changed" {
		t.Errorf("%d, %s", f.Code, f)
	}
	hints := strings.Join(f.Hints, "\n")
	for _, want := range []string{grouped(strings.Repeat("61", 32)), grouped(strings.Repeat("62", 32)), "`jetsend trust verify a@b.example " + strings.Repeat("61", 32) + "`"} {
		if !strings.Contains(hints, want) {
			t.Errorf("%q is not in:\n%s", want, hints)
		}
	}
	if f := failureOf(fmt.Errorf("encrypt: %w", omemo.ErrNoDevice), false); f.Code != exitcode.Untrusted || len(f.Hints) != 1 || f.Hints[0] != noOMEMO {
		t.Errorf("no device: %+v", f)
	}
	dry := fmt.Errorf("encrypt: %w; device 7: %w", omemo.ErrNoDevice, omemo.ErrNoPrekeys)
	if f := failureOf(dry, false); f.Code != exitcode.Untrusted || len(f.Hints) == 0 || !strings.Contains(f.Hints[0], "new one-time keys") {
		t.Errorf("no prekeys: %+v", f)
	}
}

// TestHintsOfTheSender: what the error alone does not know.
func TestHintsOfTheSender(t *testing.T) {
	server := prosody(t)
	romeo := online(t, server, server.Addr, "romeo", false, func(Event) {})
	refused := fmt.Errorf("offer: %w", &offerRefused{Answer: stanza.NewError(stanza.NotAcceptable)})
	busy := fmt.Errorf("offer: %w", &offerRefused{Answer: stanza.NewError(stanza.ResourceConstraint)})
	away := fmt.Errorf("offer: %w", &offerRefused{Answer: stanza.NewError(stanza.ServiceUnavailable)})
	insecure := &endedByPeer{Reason: jingle.Reason{Condition: jingle.SecurityError}}
	verify := "run `jetsend trust verify romeo@jet.test " + romeo.omemo.Fingerprint() + "`"
	for name, tt := range map[string]struct {
		o    offering
		err  error
		want string // in the last hint; "": there is none
	}{
		"refused":       {offering{upload: upload{form: formJetsend}}, refused, verify},
		"security":      {offering{upload: upload{form: formJetsend}}, insecure, verify},
		"other client":  {offering{upload: upload{form: formJET}}, refused, "trust it there"},
		"after a byte":  {offering{upload: upload{form: formJetsend, marked: true}}, insecure, ""},
		"false success": {offering{upload: upload{form: formJET, marked: true}}, &endedByPeer{Reason: jingle.Reason{Condition: jingle.Success}}, "send it again, which begins a new OMEMO session"},
		"unconfirmed":   {offering{upload: upload{form: formJetsend, marked: true}}, errUnconfirmed, ""},
		"plaintext":     {offering{upload: upload{form: formInsecurePlaintext}}, insecure, "leave --insecure-plaintext out to send it encrypted"},
		"no plaintext":  {offering{upload: upload{form: formInsecurePlaintext}}, refused, ""},
		"busy":          {offering{upload: upload{form: formJetsend}}, busy, "name all files to one `jetsend send`"},
		"takes none":    {offering{upload: upload{form: formJetsend}}, away, "whether it takes files from you"},
		"declined":      {offering{upload: upload{form: formJetsend}}, &endedByPeer{Reason: declined(detailPolicy)}, ""},
		"no answer":     {offering{opt: SendOptions{AnswerTimeout: time.Minute}}, errNoAnswer, "`--answer-timeout 30m`"},
		"waited long":   {offering{opt: SendOptions{AnswerTimeout: time.Hour}}, errNoAnswer, "`--answer-timeout 120m`"},
		"while resumed": {offering{resumed: true}, errNoAnswer, "ask the contact to answer"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.o.e, tt.o.opt.To = romeo, jid.MustParse("juliet@jet.test/balcony")
			hints := tt.o.hints(tt.err)
			if strings.HasPrefix(tt.want, "run `jetsend trust") && !strings.Contains(hints[0], "run `jetsend trust reset juliet@jet.test`") {
				t.Errorf("%q", hints[0])
			}
			if last := slices.Concat([]string{""}, hints); !strings.HasSuffix(last[len(last)-1], tt.want) || (tt.want == "") != (hints == nil) {
				t.Errorf("%q", hints)
			}
		})
	}
}

// TestDamagedHints: the command moves all of the damaged state away, and a new one is
// made in its place.
func TestDamagedHints(t *testing.T) {
	path := state.Path(filepath.Join(t.TempDir(), "my state"), jid.MustParse("juliet@jet.test"))
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.WriteFile(path+suffix, []byte(strings.Repeat("garbage", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := state.Open(t.Context(), path)
	f := failureOf(err, false)
	if f.Code != exitcode.Config || len(f.Hints) != 2 || !strings.Contains(f.Reason, path) {
		t.Fatalf("%+v", f)
	}
	_, rest, _ := strings.Cut(f.Hints[1], "`")
	command, _, _ := strings.Cut(rest, "`")
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
	db, err := state.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFolderHints: the command that is named makes the folder one that is used.
func TestFolderHints(t *testing.T) {
	parent, err := inbox.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = parent.Close() }()
	for _, plant := range []func(path string) error{
		func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o777)) },
		func(path string) error { return os.Symlink("elsewhere", path) },
	} {
		if err := plant(parent.Path("romeo@jet.test")); err != nil {
			t.Fatal(err)
		}
		_, err := parent.Sub("romeo@jet.test")
		f := failureOf(&sinkError{Err: err}, false)
		if f.Code != exitcode.LocalFile || len(f.Hints) != 1 {
			t.Fatalf("%d, %q, %v", f.Code, f.Hints, err)
		}
		command := strings.Split(f.Hints[0], "`")[1]
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", command, err, out)
		}
		folder, err := parent.Sub("romeo@jet.test")
		if err != nil {
			t.Fatalf("after %s: %v", command, err)
		}
		if err := errors.Join(folder.Close(), os.Remove(parent.Path("romeo@jet.test"))); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFolderOfTheRow: a transfer that is resumed finds the folder of its contact by
// the same rules.
func TestFolderOfTheRow(t *testing.T) {
	row := journal.Row{Peer: jid.MustParse("romeo@jet.test"), Dir: filepath.Join(t.TempDir(), "romeo@jet.test")}
	if err := errors.Join(os.Mkdir(row.Dir, 0o700), os.Chmod(row.Dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	var folder *inbox.FolderError
	if _, err := openDir(&row); !errors.As(err, &folder) {
		t.Errorf("%v", err)
	}
	row.Peer = jid.MustParse("juliet@jet.test") // so that it is the user's own directory
	dir, err := openDir(&row)
	if err != nil {
		t.Fatal(err)
	}
	if why := dir.Exposed(); why == "" {
		t.Error("not known for exposed")
	}
	_ = dir.Close()
}
