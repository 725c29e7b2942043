package session

import (
	"fmt"
	"sync"
	"testing"

	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// TestExactlyOnce sends messages and bulk requests both ways over connections
// that are cut all the time. Everything arrives once, and in order.
func TestExactlyOnce(t *testing.T) {
	const n, cuts = 1500, 12
	f := &fake{sm: &fakeSM{}}
	var mu sync.Mutex
	var got []string
	arrived := make(chan struct{})
	f.sm.counted = func(el *xmltree.Element) {
		if el.Name.Local == "presence" || el.Child("", "query") != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if got = append(got, el.Attr("id")); len(got) == 2*n {
			close(arrived)
		}
	}
	sent := 0
	f.session = func(c *fakeConn) {
		c.f.wg.Go(func() {
			for {
				has := f.sm.has(c)
				mu.Lock()
				i := sent
				if i == n || !has {
					mu.Unlock()
					return
				}
				sent++
				mu.Unlock()
				c.stanza(fmt.Sprintf("<message from='romeo@jet.test/orchard' id='%d'><x xmlns='urn:x'/></message>", i))
			}
		})
		for heard := 0; ; heard++ {
			el := c.hear()
			if el == nil {
				return
			}
			if el.Name.Local == "iq" {
				c.stanza(resultOf(el))
			}
			if c.n < cuts && heard > 2*n/cuts/2+c.n {
				c.raw.Close()
			}
		}
	}
	in := make(chan stanza.Message, n)
	s, _ := f.start(t).lasting(t, collect(in))
	ctx := testContext(t)
	var answers sync.WaitGroup
	var order []string
	flight := make(chan bool, maxPendingIQ/2)
	for i := range n {
		flight <- true
		id := fmt.Sprint("m", i)
		if err := s.Send(ctx, stanza.Message{To: romeo, ID: id}); err != nil {
			t.Fatal(err)
		}
		answers.Add(1)
		_, err := s.BulkIQ(ctx, romeo, func(b []byte, id string) []byte {
			order = append(order, id)
			return fmt.Appendf(b, "<iq type='set' to='%s' id='%s'><data xmlns='http://jabber.org/protocol/ibb' seq='%d' sid='x'/></iq>", romeo, id, i)
		}, func(err error) {
			if err != nil {
				t.Errorf("bulk request: %v", err)
			}
			<-flight
			answers.Done()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if m := receive(t, in); m.ID != fmt.Sprint(i) {
			t.Fatalf("message %s in place of %d", m.ID, i)
		}
	}
	receive(t, arrived)
	answers.Wait()
	mu.Lock()
	defer mu.Unlock()
	messages, requests := 0, 0
	for _, id := range got {
		switch {
		case messages < n && id == fmt.Sprint("m", messages):
			messages++
		case requests < n && id == order[requests]:
			requests++
		default:
			t.Fatalf("%q after %d messages and %d requests", id, messages, requests)
		}
	}
	if messages != n || requests != n || f.sm.granted() < cuts/2 {
		t.Errorf("%d messages and %d requests over %d resumptions", messages, requests, f.sm.granted())
	}
}
