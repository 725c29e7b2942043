package set

import (
	"context"
	"errors"
	"sync"
	"testing"
)

// parting is a link whose session ends right when its last record is out.
type parting struct {
	Records
	stop   func(cause error)
	closed chan struct{}
	once   sync.Once
}

func (p *parting) WriteRecord(b []byte, final bool) error {
	err := p.Records.WriteRecord(b, final)
	if final {
		p.stop(errors.New("ended with success"))
		<-p.closed
	}
	return err
}

func (p *parting) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.Records.Close()
}

// TestLastWord: the other end may have ended the session before it is known here that the
// last record is out, which is no failure of it.
func TestLastWord(t *testing.T) {
	from, into := &shelf{}, newBox()
	from.folder(3)
	x, y := newPipe()
	r := NewReceiver(y, ReceiveOptions{})
	into.settled = r.Settled
	ctx, stop := context.WithCancelCause(t.Context())
	var both sync.WaitGroup
	both.Go(func() {
		if _, err := Send(ctx, &parting{Records: x, stop: stop, closed: make(chan struct{})}, from, SendOptions{}); err != nil {
			t.Error(err)
		}
	})
	both.Go(func() {
		if _, err := r.Run(t.Context(), &rooted{box: into}); err != nil {
			t.Error(err)
		}
	})
	both.Wait()
}
