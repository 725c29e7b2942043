package event

// headed is an event of a transfer: one that carries a Head.
type headed interface {
	Event
	head() Head
	with(h Head) Event
}

// Of returns the head of an event; ok is false where it is about no transfer.
func Of(e Event) (h Head, ok bool) {
	t, ok := e.(headed)
	if !ok {
		return h, false
	}
	return t.head(), true
}

// For returns the same event about another transfer. One that is about none stays as it is.
func For(e Event, h Head) Event {
	if t, ok := e.(headed); ok {
		return t.with(h)
	}
	return e
}

func (h Head) head() Head { return h }

func (e Offer) with(h Head) Event       { e.Head = h; return e }
func (e Accepted) with(h Head) Event    { e.Head = h; return e }
func (e Negotiated) with(h Head) Event  { e.Head = h; return e }
func (e Progress) with(h Head) Event    { e.Head = h; return e }
func (e Interrupted) with(h Head) Event { e.Head = h; return e }
func (e Resumed) with(h Head) Event     { e.Head = h; return e }
func (e Entry) with(h Head) Event       { e.Head = h; return e }
func (e Sent) with(h Head) Event        { e.Head = h; return e }
func (e Received) with(h Head) Event    { e.Head = h; return e }
func (e Hook) with(h Head) Event        { e.Head = h; return e }
func (e Failed) with(h Head) Event      { e.Head = h; return e }
