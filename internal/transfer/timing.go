package transfer

import (
	"time"

	"jetsend/internal/backoff"
	"jetsend/internal/conversation"
)

// timing holds the waits of a transfer, apart so that tests can do without them. Each is
// a pause, or bounds how long a peer that says nothing is waited for.
type timing struct {
	// retries are the pauses between the attempts of one run. They are copied, as the
	// others are, by whoever tries.
	retries backoff.Backoff
	// takeTime is how long a new session waits for the one before it, or for another
	// process, to let go of a transfer; takePause is the pace of looking.
	takeTime, takePause time.Duration

	conversation.Timing
	// tagHold is how long the tag of a file is held back from a client that seals no
	// receipt. Conversations that could not open the envelope takes what comes for the
	// file, ends at <size/> bytes and says success: before the tag that is known to be
	// false. One that decrypts waits for the tag.
	tagHold time.Duration

	// lookAtLeast is how often a receiver looks when nothing happens.
	lookAtLeast time.Duration
	// lookPause gathers what happens at the same time into one look of the keeper.
	lookPause time.Duration
	// firstAsk leaves the sender, who may be about to go on by itself, the first word
	// after an interruption.
	firstAsk time.Duration
	// requests are the pauses between the requests for one transfer; a contact who has come
	// online is asked at once.
	requests backoff.Backoff
	// nextOffer is how long a run with --once waits for the next file of its batch while
	// none of it is under way. A sender offers one right after the other; one that stopped,
	// or had a file that it could not send, would keep the run for ever.
	nextOffer time.Duration
}

// usual is the timing of every run.
var usual = timing{
	retries:   backoff.Backoff{First: time.Second, Last: time.Minute},
	takeTime:  10 * time.Second,
	takePause: 250 * time.Millisecond,

	Timing: conversation.Timing{
		Word:     5 * time.Second,
		Words:    backoff.Backoff{First: 2 * time.Second, Last: 8 * time.Second},
		Watch:    5 * time.Second,
		LostWord: 40 * time.Second,
		Reason:   2 * time.Second,
		Goodbye:  5 * time.Second,
		Checksum: 5 * time.Second,
	},
	tagHold: time.Second,

	lookAtLeast: time.Minute,
	lookPause:   500 * time.Millisecond,
	firstAsk:    3 * time.Second,
	requests:    backoff.Backoff{First: 20 * time.Second, Last: time.Hour},
	nextOffer:   30 * time.Second,
}

// quick is that of tests which are about something else: pauses are short, and a word
// that is waited for still has the time that a busy machine takes.
var quick = func() timing {
	t := usual
	t.retries.First = 50 * time.Millisecond
	t.takePause = 10 * time.Millisecond
	t.Words.First = 100 * time.Millisecond
	t.Watch = 500 * time.Millisecond
	t.Reason = 500 * time.Millisecond
	t.Goodbye = time.Second
	t.tagHold = time.Millisecond
	t.lookPause = 20 * time.Millisecond
	t.firstAsk = 300 * time.Millisecond
	t.requests.First = 500 * time.Millisecond
	return t
}()

func timingOf(isQuick bool) timing {
	if isQuick {
		return quick
	}
	return usual
}
