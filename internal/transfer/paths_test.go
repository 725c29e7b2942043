package transfer

import (
	"errors"
	"slices"
	"testing"
)

// TestPaths: what is offered first to whom, where that is not the user's order.
func TestPaths(t *testing.T) {
	both, socks, inband := []string{S5B, IBB}, []string{S5B}, []string{IBB}
	for _, tt := range []struct {
		about  string
		client client
		form   form
		size   int64
		order  []string // of the user
		want   []string // nil: no way
	}{
		{"an empty file to Libervia", libervia, formInsecurePlaintext, 0, nil, []string{IBB, S5B}},
		{"by SOCKS5 alone", libervia, formInsecurePlaintext, 0, socks, nil},
		{"in-band alone", libervia, formInsecurePlaintext, 0, inband, inband},
		{"a byte to Libervia", libervia, formInsecurePlaintext, 1, both, both},
		{"an empty file to others", otherClient, formInsecurePlaintext, 0, both, both},
		{"old Conversations", conversations, formConversations, 0, []string{IBB, S5B}, both},
		{"old Conversations, in-band alone", conversations, formConversations, 0, inband, nil},
	} {
		o := &offering{upload: upload{src: &source{Size: tt.size}, form: tt.form}, to: &peer{Software: tt.client}}
		o.opt.Route.Transports = tt.order
		given := slices.Clone(tt.order)
		got, err := o.paths()
		if tt.want == nil {
			if !errors.Is(err, errNoTransport) {
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
