package transfer

import "context"

// sendingAtOnce bounds the sessions of one `send`: enough that the line is not
// idle while one file is being agreed on or confirmed, and few enough that one
// large file gets most of it.
const sendingAtOnce = 3

// turn lets one session of a `send` at a time look for its path: a person is asked
// about one file after the other, and both ends may have one port to listen on.
// Its one token is there when nobody does.
type turn chan struct{}

func newTurn() turn {
	t := make(turn, 1)
	t <- struct{}{}
	return t
}

// take waits for the turn of a session. The result ends it, and may be called
// again. A nil turn is always one's own.
func (t turn) take(ctx context.Context) (end func(), err error) {
	if t == nil {
		return func() {}, nil
	}
	select {
	case <-t:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	ended := false
	return func() {
		if !ended {
			ended = true
			t <- struct{}{}
		}
	}, nil
}
