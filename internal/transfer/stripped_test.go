package transfer

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/policy"
	"jetsend/internal/profile"
	"jetsend/internal/source"
	"jetsend/internal/xmpptest"
)

// TestStrippedFeature: a server that hides our profile from a sender who has
// met it before gets nothing for it; only the user can ask for less.
func TestStrippedFeature(t *testing.T) {
	s := prosody(t)
	feature := []byte("<feature var='" + profile.NS + "'/>")
	caps := regexp.MustCompile(`<c [^>]*xmlns=['"]http://jabber.org/protocol/caps['"][^>]*/>`) // else what the hash is of is known
	hide := func(_ xmpptest.Direction, raw []byte) [][]byte {
		raw = caps.ReplaceAll(raw, nil)
		return [][]byte{bytes.ReplaceAll(bytes.ReplaceAll(raw, feature, nil), bytes.ReplaceAll(feature, []byte("'"), []byte(`"`)), nil)}
	}
	tap := xmpptest.StartTap(t, s, xmpptest.Pass)
	dir, state := t.TempDir(), t.TempDir()
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	receiving(t, juliet, ReceiveOptions{Dir: dir, Accept: policy.Contacts})
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	send := func(how dialect.Choice) (event.Sent, error) {
		var out events
		romeo := onlineIn(t, state, s, tap.Addr, "romeo", false, out.report)
		defer func() {
			if err := romeo.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		err := romeo.Send(t.Context(), SendOptions{
			To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: path}}, Wait: time.Minute, Encryption: how,
		})
		sent, _ := last[event.Sent](&out)
		return sent, err
	}
	if sent, err := send(dialect.ChooseBest); err != nil || !sent.VerifiedByPeer {
		t.Fatalf("honest server: %+v %v", sent, err)
	}
	tap.SetRewrite(hide)
	var f *fault.Failure
	if _, err := send(dialect.ChooseBest); !errors.As(err, &f) || f.Code != exitcode.Untrusted || len(f.Hints) == 0 {
		t.Errorf("feature hidden: %v", err)
	}
	if sent, err := send(dialect.ChooseJET); err != nil || sent.VerifiedByPeer {
		t.Errorf("asked for: %+v %v", sent, err)
	}
	tap.SetRewrite(xmpptest.Pass)
	if sent, err := send(dialect.ChooseBest); err != nil || !sent.VerifiedByPeer {
		t.Errorf("honest again: %+v %v", sent, err)
	}
}
