package event

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// all are the events that Decode reads.
var all = []Event{
	Online{}, Offer{}, Accepted{}, Negotiated{}, Progress{}, Interrupted{}, Resumed{}, Entry{}, Sent{}, Received{},
	Hook{}, Failed{}, FailedEarly{}, Warning{}, Acquainted{}, Waiting{},
}

// parcel is an event on its way to another process.
type parcel struct {
	Type  string          `json:"type"`
	Event json.RawMessage `json:"event"`
	Hints []string        `json:"hints,omitempty"` // which the event has for people alone
}

// Encode writes an event for another process of the same program, with all that is in it.
func Encode(e Event) ([]byte, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	p := parcel{Type: reflect.TypeOf(e).Name(), Event: b}
	switch e := e.(type) {
	case Failed:
		p.Hints = e.Hints
	case FailedEarly:
		p.Hints = e.Hints
	}
	return json.Marshal(p)
}

// Decode reads what Encode has written.
func Decode(b []byte) (Event, error) {
	var p parcel
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, err
	}
	for _, e := range all {
		t := reflect.TypeOf(e)
		if t.Name() != p.Type {
			continue
		}
		v := reflect.New(t)
		if err := json.Unmarshal(p.Event, v.Interface()); err != nil {
			return nil, fmt.Errorf("event %s: %w", p.Type, err)
		}
		e, _ = v.Elem().Interface().(Event)
		switch known := e.(type) {
		case Failed:
			known.Hints = p.Hints
			return known, nil
		case FailedEarly:
			known.Hints = p.Hints
			return known, nil
		}
		return e, nil
	}
	return nil, fmt.Errorf("there is no event of the type %.40q", p.Type)
}
