package transfer

import (
	"context"
	"io"
	"log/slog"
	"time"

	"jetsend/internal/backoff"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/hook"
	"jetsend/internal/inbox"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/policy"
	"jetsend/internal/profile"
	"jetsend/internal/route"
	"jetsend/internal/session"
	"jetsend/internal/source"
	"jetsend/internal/together"
)

// Config says how an account goes online.
type Config struct {
	// Session is the account; Features, Identity, Resource and Priority are
	// filled in by Connect.
	Session session.Config
	// Account makes the account; nil means session.New. A simulation has its own.
	Account func(session.Config) Account
	// Prepare, unless nil, is called before the login, for what else has to do with the account.
	Prepare func(*Endpoint) error
	// StateDir holds the state file of the account.
	StateDir string
	// Trust is blind (before verification) or verified.
	Trust omemo.TrustMode
	// Receiver advertises the file transfer features and binds the resource of
	// the state directory; only `receive` does.
	Receiver bool
	// Priority is the presence priority; -1 never takes a chat message away.
	Priority int8
	// S5B bounds what is offered and dialled.
	S5B route.S5BConfig
	// IBBBlockSize is what we offer for in-band bytestreams; 0 means what [route.Config] says.
	IBBBlockSize int
	// ManyDevices lets a new OMEMO device be added to an account that already
	// has many; only `login` asks for that.
	ManyDevices bool
	// SessionLimit is how many bytes of a file one session carries, if that is
	// less than what one secret may encrypt; 0 means that. For tests.
	SessionLimit int64
	// NoSets takes no sets: where one file goes to an output, and for tests of what goes
	// without them.
	NoSets bool
	// Transports are what a receiver is asked about before [Endpoint.Receive] says what it
	// takes; none means all. Who asks in between must not learn another answer.
	Transports []string
	// Gather, unless nil, has what a route needs be found out beside the login.
	Gather *route.Options
	// Quick makes pauses short, and some of the patience with peers and a server that say
	// nothing. For tests.
	Quick bool
	// KeepFor is that of ReceiveOptions, for Send and Resume: where nobody
	// receives nothing would ever expire.
	KeepFor time.Duration
	// Connection, unless nil, is told of every change of the stream to the server; it must
	// not block.
	Connection func(session.State)
	// Report receives all events, in order for one transfer, from several
	// goroutines at once.
	Report func(event.Event)
	// Log may be nil.
	Log *slog.Logger
}

// KeepRate is the rate of a send beside others, which changes nothing.
const KeepRate = -1

// SendOptions are the choices of one `send`.
type SendOptions struct {
	To            jid.JID // bare or full
	Files         []source.Named
	Wait          time.Duration // for a capable resource to appear
	Patient       bool          // wait also when all that is online cannot take the files
	AnswerTimeout time.Duration // 0: wait for ever
	LimitRate     int64         // bytes per second; 0: none; KeepRate: as it is
	Description   string
	Route         route.Options
	Encryption    dialect.Choice
	Cipher        string // aes-128-gcm or aes-256-gcm; empty: what the form has
	// HiddenName and VerifiedReceipt refuse clients that cannot do without
	// showing the name to the servers, or cannot prove that the file arrived.
	HiddenName      bool
	VerifiedReceipt bool
	Checksum        bool // SHA-256 at both ends, shown in the events
	// AllOrNothing sends each file in a session of its own, and a directory as one file: so
	// that nothing of it arrives unless all of it does.
	AllOrNothing bool
	// MaxSpool is how many bytes an Input may have; 0: no limit.
	MaxSpool int64
	// AllowEmpty sends an Input without a byte, too.
	AllowEmpty bool
	Retry      RetryOptions
	NoResume   bool // begin anew even when the same send was interrupted
	// ID, a UUID, is that of the transfer, to go on with or to learn the end of; empty: any.
	ID string
	// Reader reads the files together with other sends of this run; nil: alone.
	Reader *together.Reader
	// Report receives the events of this send in the place of that of the Config; nil: that does.
	Report func(event.Event)
}

// RetryOptions bound how a run goes on by itself after an interruption.
type RetryOptions struct {
	// Retries is how many attempts in a row may bring nothing before the run
	// gives up; 0 gives up at the first interruption.
	Retries int
	// For is how long the run goes on trying after an interruption.
	For time.Duration
}

// attempts are those of a transfer of which so many bytes are there.
func (o RetryOptions) attempts(pauses backoff.Backoff, durable int64) backoff.Attempts {
	return backoff.Attempts{Retries: o.Retries, For: o.For, Pauses: pauses, Farthest: durable}
}

// ResumeOptions are the choices of one `resume`.
type ResumeOptions struct {
	// Transfers are the interrupted transfers to go on with, sent or received.
	Transfers []journal.Key
	// Named says that the user named them: one that somebody else is running is
	// then a failure, and otherwise skipped.
	Named bool
	Wait  time.Duration // for the contact's client to appear
	// AnswerTimeout is that of SendOptions, for what is offered again.
	AnswerTimeout time.Duration
	LimitRate     int64
	Route         route.Options
	Retry         RetryOptions
	// OnConflict is that of ReceiveOptions, for what is received.
	OnConflict inbox.Conflict
	// Anew, unless nil, is the hint for a transfer that has to begin anew.
	Anew func(*journal.Row) string
}

// Question is what `--accept ask` shows. All text is cleaned.
type Question struct {
	Peer        jid.JID
	Name        string
	Size        int64
	Description string
	Device      event.DeviceInfo
	// Insecure means that the file is not encrypted; there is no Device then.
	Insecure bool
	// Directory means that it is a directory, and Size that of its archive.
	Directory bool
	// Set says what comes together, of which Size are all bytes; nil for a file.
	Set *profile.Set
	// Batch says how many files of how many bytes a yes is for; nil is this one.
	Batch *profile.Batch
}

// ReceiveOptions are the choices of one `receive`.
type ReceiveOptions struct {
	Dir    string
	Once   bool
	Accept policy.Accept
	From   []jid.JID // bare or full; empty: anybody that Accept takes
	// Trust may be stricter than that of the Config, for what is offered or asked for.
	Trust      omemo.TrustMode
	MaxSize    int64 // 0: none
	MinFree    int64 // bytes that must stay free
	OnConflict inbox.Conflict
	LimitRate  int64
	Route      route.Options
	Checksum   bool
	Drain      time.Duration
	Retry      RetryOptions
	// PerSender puts the files of each contact into a folder of their own in Dir.
	PerSender bool
	// Out, with Once, gets the file, after it was verified, in the place of Dir.
	Out io.Writer
	// Hook, unless nil, is run once for each file that this run releases.
	Hook *hook.Config
	// InsecurePlaintext takes offers without encryption, too, from whom Accept and
	// From admit; with policy.Verified it does nothing.
	InsecurePlaintext bool
	// NoServe refuses contacts who ask for the rest of a file that was offered
	// to them and interrupted.
	NoServe bool
	// AutoResume is how long after its last byte this run asks for the rest of an
	// interrupted transfer when the contact comes online; 0: never.
	AutoResume time.Duration
	// KeepFor is how long interrupted transfers and their partial files are
	// kept after the last byte; 0: for ever.
	KeepFor time.Duration
	// Prime makes our OMEMO sessions known to clients that would not begin one
	// for a file.
	Prime bool
	// Stop ends the run gracefully when closed: no new offers, running
	// transfers get Drain.
	Stop <-chan struct{}
	// Changes brings new options while the run lasts; nil: never.
	Changes <-chan Change
	// Ask is called for each offer under policy.Ask, one at a time.
	Ask func(context.Context, Question) (bool, error)
}

// Change is new options for a receiver that runs. They hold for what is offered
// from then on; a transfer that runs, or an offer that is being decided, goes on as it
// began (see terms), but for LimitRate. Dir, Once, Stop and Changes of a run stay what
// they are.
type Change struct {
	Options ReceiveOptions
	// Applied is closed when the options are in force.
	Applied chan<- struct{}
}
