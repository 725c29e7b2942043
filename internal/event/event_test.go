package event

import (
	"reflect"
	"testing"
)

// TestFor: what is told of a transfer is told of another one, with everything else as it was.
func TestFor(t *testing.T) {
	from, to := Head{Transfer: "1", Name: "a"}, Head{Transfer: "2", Name: "b", Set: "3"}
	for _, e := range []Event{
		Offer{Head: from, Size: 1, Items: 2}, Accepted{from}, Negotiated{Head: from, Cipher: "c"}, Progress{Head: from, SetBytes: 1},
		Interrupted{Head: from, Bytes: 1}, Resumed{Head: from, Offset: 1}, Entry{Head: from, Path: "p"}, Sent{Head: from, Size: 1},
		Received{Head: from, Path: "/p"}, Hook{Head: from, Status: 1}, Failed{Head: from, Code: 12},
	} {
		if h, ok := Of(e); !ok || h != from {
			t.Errorf("%s is of %+v, %v", e.Kind(), h, ok)
		}
		other := For(e, to)
		if h, ok := Of(other); !ok || h != to || other.Kind() != e.Kind() {
			t.Errorf("%s is told of %+v, %v", e.Kind(), h, ok)
		}
		if !reflect.DeepEqual(For(other, from), e) {
			t.Errorf("%+v became %+v", e, other)
		}
	}
	for _, e := range []Event{Online{JID: "j"}, FailedEarly{Code: 6}, Warning{Text: "w"}, Waiting{Peer: "p"}} {
		if _, ok := Of(e); ok || !reflect.DeepEqual(For(e, to), e) {
			t.Errorf("%s is about a transfer", e.Kind())
		}
	}
}

// TestEntryPath: a path is told as it is, whatever bytes it has.
func TestEntryPath(t *testing.T) {
	for path, inBase64 := range map[string]bool{"": false, "a/b": false, "a\xff/b": true} {
		e := NewEntry(Head{}, path, "no")
		if (e.PathBase64 != "") != inBase64 || inBase64 && e.Path != "" || e.Where() != path || e.Reason != "no" {
			t.Errorf("%q: %+v", path, e)
		}
	}
}
