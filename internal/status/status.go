// Package status keeps what a run is doing, for whoever asks: what runs and how fast, how
// the server is reached, what went wrong of late. It is told by the events that the run
// reports, and tells nobody by itself.
package status

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"jetsend/internal/event"
)

const (
	// MaxErrors is how many of the last errors are kept.
	MaxErrors = 20
	// MaxTransfers is how many transfers are told of: those of a large set would fill
	// screens. The others are counted.
	MaxTransfers = 256
)

// Snapshot is what a run is doing at a time. All text of others in it has been cleaned.
type Snapshot struct {
	Account string    `json:"account"` // bare JID
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
	// Paused means that no bytes move, and nothing begins.
	Paused bool `json:"paused"`
	// LimitRate is in bytes per second; 0: none.
	LimitRate  int64      `json:"limit_rate"`
	Connection Connection `json:"connection"`
	Transfers  []Transfer `json:"transfers"`
	// More is how many transfers there are beside those.
	More   int      `json:"more,omitempty"`
	Queue  []Queued `json:"queue"`
	Errors []Error  `json:"errors"`
}

// The states of a connection.
const (
	Online       = "online"
	Reconnecting = "reconnecting"
)

// Connection is that to the server.
type Connection struct {
	State string    `json:"state"`
	Since time.Time `json:"since"`
	JID   string    `json:"jid,omitempty"`
	// Server, TLS and Mechanism are how it was reached and how we logged in.
	Server    string `json:"server,omitempty"`
	TLS       string `json:"tls,omitempty"`
	Mechanism string `json:"mechanism,omitempty"`
	// Reason and NextTry belong to Reconnecting.
	Reason  string     `json:"reason,omitempty"`
	NextTry *time.Time `json:"next_try,omitempty"`
}

// The states of a transfer.
const (
	Offered     = "offered"  // not answered yet, or waiting for a place
	Accepted    = "accepted" // a path is looked for
	Running     = "running"
	Interrupted = "interrupted" // this run goes on with it
)

// Transfer is one that has not ended in this run.
type Transfer struct {
	event.Head
	Size     int64     `json:"size"`
	Bytes    int64     `json:"bytes"`
	Rate     int64     `json:"rate"`      // bytes per second, of late
	MeanRate int64     `json:"mean_rate"` // since the session began
	Path     string    `json:"path,omitempty"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	Reason   string    `json:"reason,omitempty"` // of the last interruption

	from  int64     // bytes when the session began
	begun time.Time // the session
}

// Queued is a file that waits to be sent.
type Queued struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Contact string `json:"contact"`
	Why     string `json:"why"` // it waits
}

// Error is something that went wrong.
type Error struct {
	Time time.Time `json:"time"`
	Code int       `json:"code,omitempty"` // exit code, of what has one
	Text string    `json:"text"`
}

// Collector keeps what happens. Its methods may be called from any goroutine, and none of
// them waits for anything.
type Collector struct {
	now func() time.Time

	mu         sync.Mutex
	transfers  map[key]*Transfer
	connection Connection
	queue      []Queued
	errors     []Error
	changed    chan struct{} // closed by the next change
}

// key is a transfer: the same file may come from another program of the account.
type key struct {
	direction event.Direction
	id        string
}

// New returns a collector of a run that begins.
func New(now func() time.Time) *Collector {
	return &Collector{
		now: func() time.Time { return now().UTC() }, transfers: make(map[key]*Transfer), changed: make(chan struct{}),
		connection: Connection{State: Reconnecting, Since: now().UTC()},
	}
}

// Changed returns what is closed when something has changed since.
func (c *Collector) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Touch says that something changed which the collector does not know.
func (c *Collector) Touch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.touch()
}

func (c *Collector) touch() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Up says that the server is reached, after next to nothing or after a loss.
func (c *Collector) Up() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.connection.State != Online {
		c.connection = Connection{State: Online, Since: c.now()}
		c.touch()
	}
}

// Down says that the server is lost, or could not be reached again, and when that is tried
// next. code is what a run would end with.
func (c *Collector) Down(reason string, next time.Duration, code int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.connection.State == Online {
		c.connection = Connection{State: Reconnecting, Since: now}
		c.fault(code, "connection to the server: "+reason)
	}
	at := now.Add(next)
	c.connection.Reason, c.connection.NextTry = reason, &at
	c.touch()
}

// SetQueue says what waits to be sent.
func (c *Collector) SetQueue(q []Queued) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.queue, q) { // it is told again and again
		c.queue = slices.Clone(q)
		c.touch()
	}
}

// Snapshot returns what there is; what only the run knows is left open.
func (c *Collector) Snapshot() Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Snapshot{Connection: c.connection, Transfers: []Transfer{}, Queue: append([]Queued{}, c.queue...), Errors: append([]Error{}, c.errors...)}
	now := c.now()
	for _, t := range c.transfers {
		told := *t
		if spent := now.Sub(t.begun).Seconds(); t.State == Running && spent > 0 {
			told.MeanRate = int64(float64(max(t.Bytes-t.from, 0)) / spent)
		}
		s.Transfers = append(s.Transfers, told)
	}
	slices.SortFunc(s.Transfers, func(a, b Transfer) int {
		return cmp.Or(rank(a.State)-rank(b.State), a.Since.Compare(b.Since), cmp.Compare(a.Transfer, b.Transfer))
	})
	if s.More = max(len(s.Transfers)-MaxTransfers, 0); s.More > 0 {
		s.Transfers = s.Transfers[:MaxTransfers]
	}
	return s
}

// rank has what moves come first.
func rank(state string) int {
	return slices.Index([]string{Running, Accepted, Interrupted, Offered}, state)
}

// fault takes note of an error. The caller holds c.mu.
func (c *Collector) fault(code int, text string) {
	if len(c.errors) == MaxErrors {
		c.errors = slices.Delete(c.errors, 0, 1)
	}
	c.errors = append(c.errors, Error{Time: c.now(), Code: code, Text: text})
}
