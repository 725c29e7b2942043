package contact

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/jid"
	"jetsend/internal/session"
)

// asleep is a client that never answers.
const asleep = time.Hour

// TestInquiry: a client that never answers is not waited for, once another has
// answered that suits; a better one may be slower than that, and one that calls itself
// a jetsend has all the time that there is.
func TestInquiry(t *testing.T) {
	type one struct {
		name  string
		node  string
		after time.Duration
		form  dialect.Form
	}
	const profile = session.CapsNode
	for name, tt := range map[string]struct {
		clients []one
		least   dialect.Form // 0: any
		plain   bool
		want    string // names, in the order of the answers
		after   time.Duration
	}{
		"nobody":                      {},
		"one":                         {clients: []one{{"a", "", time.Second, dialect.FormJET}}, want: "a", after: time.Second},
		"one, asleep":                 {clients: []one{{"a", "", asleep, dialect.FormJET}}, after: DiscoWait},
		"Dino and a phone asleep":     {clients: []one{{"dino", "https://dino.im", 50 * time.Millisecond, dialect.FormJET}, {"phone", "http://conversations.im", asleep, dialect.FormJET}}, want: "dino", after: 50*time.Millisecond + grace},
		"jetsend and a phone asleep":  {clients: []one{{"jetsend", profile, 50 * time.Millisecond, dialect.FormJetsend}, {"phone", "http://conversations.im", asleep, dialect.FormJET}}, want: "jetsend", after: 50 * time.Millisecond},
		"two jetsends, one asleep":    {clients: []one{{"jetsend", profile, 50 * time.Millisecond, dialect.FormJetsend}, {"other", profile, asleep, dialect.FormJetsend}}, want: "jetsend", after: 50*time.Millisecond + grace},
		"two jetsends":                {clients: []one{{"one", profile, 50 * time.Millisecond, dialect.FormJetsend}, {"two", profile, 300 * time.Millisecond, dialect.FormJetsend}}, want: "one two", after: 300 * time.Millisecond},
		"jetsend a little later":      {clients: []one{{"dino", "", 50 * time.Millisecond, dialect.FormJET}, {"jetsend", "", 400 * time.Millisecond, dialect.FormJetsend}}, want: "dino jetsend", after: 400 * time.Millisecond},
		"jetsend that says so, late":  {clients: []one{{"dino", "", 50 * time.Millisecond, dialect.FormJET}, {"jetsend", profile, 4 * time.Second, dialect.FormJetsend}}, want: "dino jetsend", after: 4 * time.Second},
		"… and is not waited for":     {clients: []one{{"dino", "", 50 * time.Millisecond, dialect.FormJET}, {"jetsend", profile, asleep, dialect.FormJetsend}}, want: "dino", after: DiscoWait},
		"… with a phone asleep":       {clients: []one{{"dino", "", 50 * time.Millisecond, dialect.FormJET}, {"phone", "", asleep, dialect.FormJET}, {"jetsend", profile, 4 * time.Second, dialect.FormJetsend}}, want: "dino jetsend", after: 4 * time.Second},
		"a slow line":                 {clients: []one{{"dino", "", 2 * time.Second, dialect.FormJET}, {"other", "", 3900 * time.Millisecond, dialect.FormJET}, {"phone", "", asleep, dialect.FormJET}}, want: "dino other", after: 4 * time.Second},
		"the first does not suit":     {clients: []one{{"gajim", "", 50 * time.Millisecond, dialect.FormNone}, {"dino", "", 3 * time.Second, dialect.FormJET}}, want: "gajim dino", after: 3 * time.Second},
		"none suits, a phone asleep":  {clients: []one{{"gajim", "", 50 * time.Millisecond, dialect.FormNone}, {"phone", "", asleep, dialect.FormJET}}, want: "gajim", after: DiscoWait},
		"jetsends alone suit":         {clients: []one{{"dino", "", 50 * time.Millisecond, dialect.FormJET}, {"phone", "", asleep, dialect.FormJET}}, least: dialect.FormJetsend, want: "dino", after: DiscoWait},
		"plain, and a phone asleep":   {clients: []one{{"gajim", "", 50 * time.Millisecond, dialect.FormPlaintext}, {"phone", "", asleep, dialect.FormJET}}, plain: true, want: "gajim", after: 50*time.Millisecond + grace},
		"plain, and a jetsend asleep": {clients: []one{{"gajim", "", 50 * time.Millisecond, dialect.FormPlaintext}, {"jetsend", profile, asleep, dialect.FormPlaintext}}, plain: true, want: "gajim", after: 50*time.Millisecond + grace},
	} {
		synctest.Test(t, func(t *testing.T) {
			scripts := map[jid.JID]one{}
			var clients []session.Resource
			for _, c := range tt.clients {
				full := jid.MustParse("juliet@jet.test/" + c.name)
				scripts[full] = c
				clients = append(clients, session.Resource{JID: full, Caps: session.Caps{Node: c.node}})
			}
			q := inquiry{least: max(tt.least, dialect.FormNone+1), most: dialect.FormJetsend, ask: func(ctx context.Context, r session.Resource) *Peer {
				select {
				case <-time.After(scripts[r.JID].after):
					return &Peer{JID: r.JID, Form: scripts[r.JID].form}
				case <-ctx.Done():
					return nil
				}
			}}
			if tt.plain {
				q.most = dialect.FormPlaintext
			}
			begun := time.Now()
			var got []string
			for _, p := range q.run(t.Context(), clients) {
				got = append(got, p.JID.Resource())
			}
			if took := time.Since(begun); strings.Join(got, " ") != tt.want || took != tt.after {
				t.Errorf("%s: %q after %v, want %q after %v", name, got, took, tt.want, tt.after)
			}
		})
	}
}

// TestInquiryStops: a run that is stopped does not wait for answers.
func TestInquiryStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		begun := time.Now()
		q := inquiry{least: dialect.FormJET, most: dialect.FormJetsend, ask: func(ctx context.Context, _ session.Resource) *Peer {
			<-ctx.Done()
			return nil
		}}
		if got := q.run(ctx, make([]session.Resource, 3)); len(got) > 0 || time.Since(begun) != time.Second {
			t.Errorf("%v after %v", got, time.Since(begun))
		}
	})
}
