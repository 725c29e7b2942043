package transfer

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/policy"
	"jetsend/internal/source"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// inventor is a server that gives juliet a device of its own making towards romeo: one
// of tybalt's, whose bundle it hands out as hers.
type inventor struct {
	id string // of the device, once there is one

	mu    sync.Mutex
	asked string   // the id of the iq for its bundle
	keys  []string // the devices that the last offer was wrapped for
}

func (v *inventor) rewrite(dir xmpptest.Direction, raw []byte) [][]byte {
	x, err := xmltree.Parse(raw)
	if err != nil {
		return [][]byte{raw}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case word(x) == "session-initiate":
		v.keys = nil
		for _, k := range envelopeIn(x).Child(omemo.NS, "header").All(omemo.NS, "key") {
			v.keys = append(v.keys, k.Attr("rid"))
		}
		return [][]byte{raw}
	case dir == xmpptest.ToServer && x.Attr("to") == "juliet@jet.test" && strings.Contains(string(raw), "bundles:"+v.id):
		v.asked = x.Attr("id")
		x.Set("to", "tybalt@jet.test")
	case dir == xmpptest.ToClient && x.Attr("id") == v.asked && x.Attr("from") == "tybalt@jet.test":
		x.Set("from", "juliet@jet.test")
	default:
		return [][]byte{raw}
	}
	return [][]byte{x.Append(nil, "")}
}

// list is the device list of juliet as the server pushes it.
func (v *inventor) list(juliet uint32) *xmltree.Element {
	devices := xmltree.New(omemo.NS, "list")
	for _, id := range []string{strconv.Itoa(int(juliet)), v.id} {
		devices.Add(xmltree.New(omemo.NS, "device").Set("id", id))
	}
	const events = "http://jabber.org/protocol/pubsub#event"
	items := xmltree.New(events, "items", xmltree.New(events, "item", devices).Set("id", "current")).Set("node", omemo.NodeDevices)
	return xmltree.New("jabber:client", "message", xmltree.New(events, "event", items)).
		Set("from", "juliet@jet.test").Set("type", "headline").Set("id", "forged")
}

// wrapped returns the devices that the last offer was wrapped for.
func (v *inventor) wrapped() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.keys)
}

// TestAddedDevice: a device that the server adds to a contact is named as new in the
// events, and gets nothing once a key of the contact was verified.
func TestAddedDevice(t *testing.T) {
	s := prosody(t)
	if err := s.AddAccount("tybalt", "tybaltpw"); err != nil {
		t.Fatal(err)
	}
	tybalt := online(t, s, s.Addr, "tybalt", false, nil)
	v := &inventor{id: strconv.Itoa(int(tybalt.omemo.DeviceID()))}
	tap := xmpptest.StartTap(t, s, v.rewrite)
	var out events
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	romeo := online(t, s, tap.Addr, "romeo", false, out.report)
	receiving(t, juliet, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	to := jid.MustParse("juliet@jet.test")
	send := func(want ...event.DeviceInfo) {
		t.Helper()
		err := romeo.Send(t.Context(), SendOptions{To: to, Files: []source.Named{{Path: testFile(t, "text")}}, Wait: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		waitIdle(t, juliet)
		n, _ := last[event.Negotiated](&out)
		var rids []string
		for i := range n.Devices {
			n.Devices[i].Fingerprint = ""
		}
		for _, d := range want {
			rids = append(rids, strconv.Itoa(int(d.ID)))
		}
		byID := func(a, b event.DeviceInfo) int { return int(a.ID) - int(b.ID) }
		slices.SortFunc(n.Devices, byID)
		slices.SortFunc(want, byID)
		if !slices.Equal(n.Devices, want) {
			t.Errorf("negotiated with %+v, want %+v", n.Devices, want)
		}
		got := v.wrapped()
		slices.Sort(got)
		slices.Sort(rids)
		if !slices.Equal(got, rids) {
			t.Errorf("wrapped for %v, want %v", got, rids)
		}
	}
	hers, theirs := juliet.omemo.DeviceID(), tybalt.omemo.DeviceID()
	send(event.DeviceInfo{ID: hers, Trust: "blind", New: true})
	if err := tap.Inject(xmpptest.ToClient, v.list(hers).Append(nil, "")); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		devices, err := romeo.omemo.Devices(t.Context(), to)
		return err == nil && len(devices) == 2
	})
	send(event.DeviceInfo{ID: hers, Trust: "blind"}, event.DeviceInfo{ID: theirs, Trust: "blind", New: true})
	if err := romeo.omemo.Verify(t.Context(), to, juliet.omemo.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	send(event.DeviceInfo{ID: hers, Trust: "verified"})
}
