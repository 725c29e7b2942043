package transfer

import (
	"errors"
	"slices"
	"testing"

	"jetsend/internal/contact"
	"jetsend/internal/dialect"
	"jetsend/internal/fault"
	"jetsend/internal/route"
	"jetsend/internal/source"
)

// TestPaths: what is offered first to whom, where that is not the user's order.
func TestPaths(t *testing.T) {
	both, socks, inband := []string{route.S5B, route.IBB}, []string{route.S5B}, []string{route.IBB}
	for _, tt := range []struct {
		about  string
		client dialect.Software
		form   dialect.Form
		size   int64
		order  []string // of the user
		want   []string // nil: no way
	}{
		{"an empty file to Libervia", dialect.Libervia, dialect.FormPlaintext, 0, nil, []string{route.IBB, route.S5B}},
		{"by SOCKS5 alone", dialect.Libervia, dialect.FormPlaintext, 0, socks, nil},
		{"in-band alone", dialect.Libervia, dialect.FormPlaintext, 0, inband, inband},
		{"a byte to Libervia", dialect.Libervia, dialect.FormPlaintext, 1, both, both},
		{"an empty file to others", dialect.OtherClient, dialect.FormPlaintext, 0, both, both},
		{"old Conversations", dialect.Conversations, dialect.FormConversations, 0, []string{route.IBB, route.S5B}, both},
		{"old Conversations, in-band alone", dialect.Conversations, dialect.FormConversations, 0, inband, nil},
	} {
		o := &offering{upload: upload{src: &source.Source{Size: tt.size}, form: tt.form}, to: &contact.Peer{Software: tt.client}}
		o.opt.Route.Transports = tt.order
		given := slices.Clone(tt.order)
		got, err := o.paths()
		if tt.want == nil {
			if !errors.Is(err, fault.ErrNoTransport) {
				t.Errorf("%s: %v, %v", tt.about, got.Transports, err)
			}
		} else if err != nil || !slices.Equal(got.Order(), tt.want) {
			t.Errorf("%s: %v, %v", tt.about, got.Order(), err)
		}
		if !slices.Equal(given, tt.order) {
			t.Errorf("%s: the user's own order was changed to %v", tt.about, tt.order)
		}
	}
}
