package contact

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/stanza"
)

// TestHints: what the error alone does not know.
func TestHints(t *testing.T) {
	f := &Finder{Account: &stage{}}
	const key = "0123456789abcdef"
	refused := fmt.Errorf("offer: %w", &fault.OfferError{Answer: stanza.NewError(stanza.NotAcceptable)})
	busy := fmt.Errorf("offer: %w", &fault.OfferError{Answer: stanza.NewError(stanza.ResourceConstraint)})
	away := fmt.Errorf("offer: %w", &fault.OfferError{Answer: stanza.NewError(stanza.ServiceUnavailable)})
	insecure := &fault.Ended{Reason: jingle.Reason{Condition: jingle.SecurityError}}
	verify := "run `jetsend trust verify romeo@jet.test " + key + "`"
	for name, tt := range map[string]struct {
		a    Attempt
		err  error
		want string // in the last hint; "": there is none
	}{
		"refused":       {Attempt{Form: dialect.FormJetsend}, refused, verify},
		"security":      {Attempt{Form: dialect.FormJetsend}, insecure, verify},
		"other client":  {Attempt{Form: dialect.FormJET}, refused, "trust it there"},
		"after a byte":  {Attempt{Form: dialect.FormJetsend, Started: true}, insecure, ""},
		"false success": {Attempt{Form: dialect.FormJET, Started: true}, &fault.Ended{Reason: jingle.Reason{Condition: jingle.Success}}, "send it again, which begins a new OMEMO session"},
		"unconfirmed":   {Attempt{Form: dialect.FormJetsend, Started: true}, fault.ErrUnconfirmed, ""},
		"plaintext":     {Attempt{Form: dialect.FormPlaintext}, insecure, "leave --insecure-plaintext out to send it encrypted"},
		"no plaintext":  {Attempt{Form: dialect.FormPlaintext}, refused, ""},
		"busy":          {Attempt{Form: dialect.FormJetsend}, busy, "name all files to one `jetsend send`"},
		"takes none":    {Attempt{Form: dialect.FormJetsend}, away, "whether it takes files from you"},
		"declined":      {Attempt{Form: dialect.FormJetsend}, &fault.Ended{Reason: fault.Reason(jingle.Decline, fault.DetailPolicy)}, ""},
		"no answer":     {Attempt{AnswerTimeout: time.Minute}, fault.ErrNoAnswer, "`--answer-timeout 30m`"},
		"waited long":   {Attempt{AnswerTimeout: time.Hour}, fault.ErrNoAnswer, "`--answer-timeout 120m`"},
		"while resumed": {Attempt{Resumed: true}, fault.ErrNoAnswer, "ask the contact to answer"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.a.To, tt.a.Fingerprint = jid.MustParse("juliet@jet.test/balcony"), key
			hints := f.Hints(tt.a, tt.err)
			if strings.HasPrefix(tt.want, "run `jetsend trust") && !strings.Contains(hints[0], "run `jetsend trust reset juliet@jet.test`") {
				t.Errorf("%q", hints[0])
			}
			if last := slices.Concat([]string{""}, hints); !strings.HasSuffix(last[len(last)-1], tt.want) || (tt.want == "") != (hints == nil) {
				t.Errorf("%q", hints)
			}
		})
	}
}
