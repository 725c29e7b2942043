package transfer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/stanza"
)

// TestHintsOfTheSender: what the error alone does not know.
func TestHintsOfTheSender(t *testing.T) {
	server := prosody(t)
	romeo := online(t, server, server.Addr, "romeo", false, func(event.Event) {})
	refused := fmt.Errorf("offer: %w", &fault.OfferError{Answer: stanza.NewError(stanza.NotAcceptable)})
	busy := fmt.Errorf("offer: %w", &fault.OfferError{Answer: stanza.NewError(stanza.ResourceConstraint)})
	away := fmt.Errorf("offer: %w", &fault.OfferError{Answer: stanza.NewError(stanza.ServiceUnavailable)})
	insecure := &fault.Ended{Reason: jingle.Reason{Condition: jingle.SecurityError}}
	verify := "run `jetsend trust verify romeo@jet.test " + romeo.omemo.Fingerprint() + "`"
	for name, tt := range map[string]struct {
		o    offering
		err  error
		want string // in the last hint; "": there is none
	}{
		"refused":       {offering{upload: upload{form: dialect.FormJetsend}}, refused, verify},
		"security":      {offering{upload: upload{form: dialect.FormJetsend}}, insecure, verify},
		"other client":  {offering{upload: upload{form: dialect.FormJET}}, refused, "trust it there"},
		"after a byte":  {offering{upload: upload{form: dialect.FormJetsend, marked: true}}, insecure, ""},
		"false success": {offering{upload: upload{form: dialect.FormJET, marked: true}}, &fault.Ended{Reason: jingle.Reason{Condition: jingle.Success}}, "send it again, which begins a new OMEMO session"},
		"unconfirmed":   {offering{upload: upload{form: dialect.FormJetsend, marked: true}}, fault.ErrUnconfirmed, ""},
		"plaintext":     {offering{upload: upload{form: dialect.FormPlaintext}}, insecure, "leave --insecure-plaintext out to send it encrypted"},
		"no plaintext":  {offering{upload: upload{form: dialect.FormPlaintext}}, refused, ""},
		"busy":          {offering{upload: upload{form: dialect.FormJetsend}}, busy, "name all files to one `jetsend send`"},
		"takes none":    {offering{upload: upload{form: dialect.FormJetsend}}, away, "whether it takes files from you"},
		"declined":      {offering{upload: upload{form: dialect.FormJetsend}}, &fault.Ended{Reason: fault.Reason(jingle.Decline, fault.DetailPolicy)}, ""},
		"no answer":     {offering{opt: SendOptions{AnswerTimeout: time.Minute}}, fault.ErrNoAnswer, "`--answer-timeout 30m`"},
		"waited long":   {offering{opt: SendOptions{AnswerTimeout: time.Hour}}, fault.ErrNoAnswer, "`--answer-timeout 120m`"},
		"while resumed": {offering{resumed: true}, fault.ErrNoAnswer, "ask the contact to answer"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.o.e, tt.o.opt.To = &romeo.core, jid.MustParse("juliet@jet.test/balcony")
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
